"""Where results go: names beside the input, folders for batches, standard input and output.

Sound from standard input is kept in a temporary file while it is worked on, because it is listened to twice: once for
the voice, once for the words. Knows nothing of what is done with the files.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.common import STDIO
from cli.errors import BadUsage

WRITABLE = frozenset({".wav", ".flac", ".mp3", ".opus", ".ogg", ".m4a"})
"""Extensions a result may have; for any other input the result is a WAV file."""


@dataclass(frozen=True)
class Jobs:
    """What is to be done: inputs with their outputs."""

    pairs: tuple[tuple[Path, Path], ...]
    to_stdout: bool = False
    piped: bool = False


VIDEOS = frozenset({".mp4", ".m4v", ".mkv"})
"""Extensions of videos that can be written; another video's result is an MP4."""


def beside(source: Path, target: str) -> Path:
    """`talk.mp3` gives `talk.es.mp3`, `talk.aiff` `talk.es.wav`; a video gives a video: `talk.mov` `talk.es.mp4`."""
    suffix = source.suffix.lower()
    if suffix not in WRITABLE | VIDEOS or (suffix in VIDEOS and not _is_video(source)):
        suffix = ".mp4" if _is_video(source) else ".wav"
    return source.with_name(f"{source.stem}.{target}{suffix}")


@contextmanager
def plan(inputs: Sequence[Path], output: Path | None, target: str) -> Iterator[Jobs]:
    """Pairs of input and output, with standard input and output put through temporary files. Raises BadUsage."""
    from node.files import find_inputs

    given = [path for path in inputs if path != STDIO]
    piped = len(given) != len(inputs)
    if piped and given:
        raise BadUsage("Standard input cannot be mixed with other inputs.", "Translate it in a command of its own.")
    with tempfile.TemporaryDirectory(prefix="babelmesh-") as scratch:
        if piped:
            sources = [_spooled(Path(scratch))]
        else:
            endings = [f".{target}{suffix}" for suffix in WRITABLE | VIDEOS]
            sources = find_inputs(given, endings)
        to_stdout = output == STDIO or (piped and output is None and not sys.stdout.isatty())
        if to_stdout:
            _refuse_terminal()
            if len(sources) != 1:
                raise BadUsage("Only one result fits on standard output.", "Name a folder with -o.")
            pairs = [(sources[0], Path(scratch, "result.wav"))]
        else:
            pairs = _outputs(sources, output, target, piped=piped)
        yield Jobs(tuple(pairs), to_stdout, piped)
        if to_stdout:
            with pairs[0][1].open("rb") as sound:
                shutil.copyfileobj(sound, sys.stdout.buffer)


def _refuse_terminal() -> None:
    """Raise BadUsage where standard output is a terminal."""
    if sys.stdout.isatty():
        raise BadUsage("Sound does not go to a terminal.", "Name a file with -o, or put a pipe behind it.")


def _is_video(source: Path) -> bool:
    from node.film.revoicing import is_video

    return is_video(source)


def _spooled(folder: Path) -> Path:
    path = folder / "standard-input"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _outputs(sources: list[Path], output: Path | None, target: str, *, piped: bool) -> list[tuple[Path, Path]]:
    if output is None:
        pairs = [(source, Path(f"translated.{target}.wav") if piped else beside(source, target)) for source in sources]
    elif len(sources) > 1 or output.is_dir():
        if output.suffix.lower() in WRITABLE and not output.is_dir():
            raise BadUsage(f"{len(sources)} recordings cannot go into one file.", "Name a folder with -o.")
        pairs = [(source, output / beside(source, target).name) for source in sources]
    else:
        pairs = [(sources[0], output)]
    pairs = _told_apart(pairs, target)
    _keep(sources, pairs)
    if output is not None and (len(sources) > 1 or output.is_dir()):
        output.mkdir(parents=True, exist_ok=True)
    return pairs


def _keep(sources: list[Path], pairs: list[tuple[Path, Path]]) -> None:
    """Raise BadUsage where a result would be written over one of the inputs."""
    from node.files import identity

    inputs = {identity(source): source for source in sources}
    for source, result in pairs:
        kept = inputs.get(identity(result))
        if kept == source:
            raise BadUsage(f"The result would overwrite its own input {source}.", "Name another file with -o.")
        if kept is not None:
            raise BadUsage(
                f"The result of {source} would overwrite {kept}, which is an input too.",
                "Name a folder for the results with -o, or leave that input out.",
            )


def _told_apart(pairs: list[tuple[Path, Path]], target: str) -> list[tuple[Path, Path]]:
    """Results whose subtitles would have one name get the whole name of their input: `talk.mp3.es.mp3`."""
    count = Counter(result.with_suffix("") for _, result in pairs)
    apart = [
        (
            source,
            result.with_name(f"{source.name}.{target}{result.suffix}") if count[result.with_suffix("")] > 1 else result,
        )
        for source, result in pairs
    ]
    seen: dict[Path, Path] = {}
    for source, result in apart:
        if result in seen:
            raise BadUsage(
                f"{seen[result]} and {source} would give results of the same name.",
                "Translate them into different folders.",
            )
        seen[result] = source
    return apart


@contextmanager
def speech_output(output: Path | None, target: str) -> Iterator[Path]:
    """A file for spoken text: the one named, `speech.es.wav`, or a temporary one that then goes to standard output.

    Raises BadUsage for a terminal."""
    if output != STDIO:
        yield output or Path(f"speech.{target}.wav")
        return
    _refuse_terminal()
    with tempfile.TemporaryDirectory(prefix="babelmesh-") as scratch:
        path = Path(scratch, "result.wav")
        yield path
        with path.open("rb") as sound:
            shutil.copyfileobj(sound, sys.stdout.buffer)
