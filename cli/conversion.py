"""`node voice convert`: the same words in the voice of somebody who was enrolled here.

Parses, asks the household, prints. Knows nothing of engines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.common import Common, household
from cli.render import progress_bars, show_line, write_json


def convert(
    source: Path,
    target: Path,
    *,
    voice: str,
    engine: str | None = None,
    like: Annotated[tuple[Path, ...], Parameter(negative="", show_default=False)] = (),
    common: Common | None = None,
) -> int:
    """Say a recording again in the voice of somebody enrolled here: the same words, another voice.

    Needs a fetched model (node models pull speecht5-vc). For voices whose owners agreed to it, and never to pass for a
    recording of them. What is not speech becomes silence.

    Parameters
    ----------
    source
        A recording of any length, of one speaker.
    target
        Where the result goes: .wav, .flac, .mp3, .opus, .ogg or .m4a.
    voice
        The voice to speak in (see: node voice list).
    engine
        Engine by name [default: the best that is installed].
    like
        A recording of that voice to hear it in (repeatable), where the voice was added without --keep-recordings.
    """
    common = common or Common()
    from node.conversion import ConvertOptions
    from node.conversion import convert as converted

    options = ConvertOptions(voice, engine, like)
    with household(common) as node, progress_bars(f"voice {voice}") as progress:
        done = converted(source, target, options, node.registry, node.voices, progress)
    if common.json:
        write_json(done.as_dict())
        return 0
    show_line(f"Written: {done.output} ({done.seconds:.1f} s from {done.seconds_before:.1f} s).")
    show_line(f"Converted by {done.engine} ({done.licence}): {done.reason}.")
    show_line(f"The voice {done.voice} was heard in {done.reference_seconds:.1f} s of {done.reference}.")
    if done.similarity_before is not None and done.similarity_after is not None:
        own = f" (the speaker's own: {done.ceiling:.2f})" if done.ceiling else ""
        show_line(f"Likeness to {done.voice}: {done.similarity_before:.2f} -> {done.similarity_after:.2f}{own}.")
    for warning in done.warnings:
        show_line(f"Note: {warning}", error=True)
    for first, last in done.silent:
        show_line(f"Note: silent from {first:.1f} to {last:.1f} s of the recording.", error=True)
    show_line("This is a synthetic imitation of a voice: say so wherever you use it.")
    return 0
