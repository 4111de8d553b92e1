"""`node detect`: whether a recording bears the mark of synthetic speech.

Parses, asks, prints. Knows nothing of how a mark is found.
"""

from __future__ import annotations

from pathlib import Path

from cli.common import Common, household
from cli.render import progress_bars, show_line, write_json


def detect(recording: Path, /, *, common: Common | None = None) -> int:
    """Say whether a recording, or the sound of a video, bears Babelmesh's mark of synthetic speech.

    No mark proves nothing: whoever wants it gone can remove it, and other programs set none.

    Parameters
    ----------
    recording
        Any file with sound.
    """
    common = common or Common()
    with household(common):
        from node.marking import seen

        if common.json:
            found = seen(recording)
        else:
            with progress_bars(recording.name) as progress:
                found = seen(recording, progress)
    if common.json:
        write_json({"input": str(recording), **found.as_dict()})
        return 0
    if found.marked:
        job = "" if found.job is None else f", job {found.job}"
        spans = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in found.spans)
        show_line(f"Synthetic speech by Babelmesh{job}: the watermark is there ({spans}).")
        often = f"{1 / found.chance:,.0f}" if found.chance > 1e-9 else "a thousand million"
        show_line(f"Speech without it looks like this at most once in {often} recordings.")
    else:
        show_line("No watermark of Babelmesh was found.")
    if found.said:
        from node.telemetry import shown

        show_line(f"The file says: {shown(' / '.join(found.said.splitlines()))}")
    return 0
