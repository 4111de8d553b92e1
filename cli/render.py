"""How results, progress and errors look: rich tables on standard output, progress and errors on standard error.

Knows the shape of reports, nothing of how they came about. rich is imported when something is drawn.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from node.doctor import Finding
    from node.dubbing import Progress
    from node.report import FilmFacts, Report, SyncLine


def write_json(value: Any) -> None:  # noqa: ANN401
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def show_error(sentence: str, remedy: str, *, as_json: bool) -> None:
    """One sentence and what to do about it, on standard error; with `as_json` as a document on standard output."""
    if as_json:
        write_json({"error": sentence, "remedy": remedy})
        return
    from rich.text import Text

    line = Text.assemble(("error: ", "bold red"), sentence)
    if remedy:
        line.append(f"\n{remedy}", "yellow")
    console(error=True).print(line, soft_wrap=True)


def show_line(text: str, *, error: bool = False) -> None:
    """One plain line."""
    (sys.stderr if error else sys.stdout).write(text + "\n")


def console(*, error: bool = False) -> Console:
    """A console of the width that is there."""
    from rich.console import Console

    return Console(stderr=error, highlight=False)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output; cells are plain text."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # a name or a path that is cut off cannot be copied
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


@contextmanager
def progress_bars(name: str) -> Iterator[Progress]:
    """A bar per stage while a recording is worked on, with the time it took and will yet take; silent when standard
    error is not a terminal."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    columns = (
        TextColumn("{task.description:>15}"),
        BarColumn(),
        TextColumn("{task.fields[place]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(error=True), transient=True) as bars:
        bars.console.print(name, style="bold", highlight=False, markup=False)
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: float, total: float | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, place="")
            place = f"{done:6.1f} s" if total is None else f"{min(done, total):6.1f} of {total:.1f} s"
            bars.update(tasks[stage], completed=done, place=place)

        yield show


def show_report(report: Report, told: Collection[str] = ()) -> None:
    """What a person wants to know of a finished translation, but for warnings that were told before."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(report.input, "bold"), soft_wrap=True)
    silent = any(engine.task == "ast" for engine in report.engines)
    heard = "no transcript" if silent and not any(line.source_text for line in report.utterances) else "(no words)"
    columns = ("at", f"heard ({report.source})", f"said ({report.target})", "fit", "F0", "like you")
    table = Table(*columns, pad_edge=False)
    for line in report.utterances:
        table.add_row(
            f"{line.start:.1f} s",
            _shaky(line.source_text or heard, line.recognition_confidence),
            Text(line.target_text),
            _fit(line.fit),
            _pair(line.likeness, "f0_before", "f0_after", "{:.0f}"),
            _pair(line.likeness, "similarity_before", "similarity_after", "{:.2f}"),
        )
    out.print(table)
    for text in report_lines(report):
        out.print(Text(text), soft_wrap=True)
    for warning in report.warnings:
        if warning in told:
            continue
        out.print(Text(f"Note: {warning}", "yellow"), soft_wrap=True)


STATES = {"ok": ("ok", "green"), "missing": ("missing", "red"), "broken": ("broken", "red"), "info": ("note", "dim")}


def show_findings(findings: Sequence[Finding]) -> None:
    """The doctor's findings, then the commands that mend what is wrong."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table(pad_edge=False)
    for column in ("area", "what", "state", "detail"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        word, style = STATES[finding.state]
        table.add_row(finding.area, finding.name, Text(word, style), Text(finding.detail))
    out.print(table)
    wrong = [finding for finding in findings if finding.state in {"missing", "broken"}]
    for remedy in dict.fromkeys(finding.remedy for finding in wrong if finding.remedy):
        out.print(Text("To mend: ", "bold yellow").append(remedy), soft_wrap=True)
    if not wrong:
        out.print(Text("Everything works.", "green"))


CURVES = {
    "phonemes": "the sounds that the voice made",
    "alignment": "the text, laid along the sound",
    "sound": "the sound alone",
}
"""Where lips have their movement from."""


def report_lines(report: Report) -> list[str]:
    """The facts below the table, a sentence each."""
    lines = []
    if report.voice is not None:
        lines.append(_voice(report.voice))
    chain = "; ".join(
        f"{engine.task} {engine.name}" + (f" ({' -> '.join(engine.route)})" if engine.route else "")
        for engine in report.engines
    )
    lines.append(f"Engines: {chain}.")
    pace = report.input_seconds / report.seconds if report.seconds else 0.0
    kept = f"{report.resumed} utterance{'s were' if report.resumed > 1 else ' was'} kept from an earlier run"
    resumed = f"; {kept}" if report.resumed else ""
    lines.append(
        f"{report.input_seconds:.1f} s of sound in {report.seconds:.1f} s ({pace:.1f} times real time), "
        f"after {report.cold_start:.1f} s to start the engines{resumed}."
    )
    if report.watermark is not None:
        lines.append(f"Marked as synthetic speech (job {report.watermark}): node detect finds it.")
    if report.film is not None:
        lines += [film_line(report.film), *face_lines(report.film)]
    if report.clipped:
        lines.append(f"{report.clipped} samples were limited because the mix was too loud.")
    beside = report.film.beside if report.film is not None else ()
    lines.append("Written: " + ", ".join([report.output, *report.subtitles, *beside]))
    return lines


def film_line(facts: FilmFacts) -> str:
    """What became of the pictures of a video, in a sentence."""
    burnt = f"subtitles are drawn into {facts.captioned}"
    if facts.renderer == "off":
        if facts.codec == "copied":
            return f"Pictures: all {facts.pictures} are copied."
        return f"Pictures: all {facts.pictures} are encoded anew ({facts.codec}), because {burnt} of them; lips stay."
    counts = (
        (facts.silent, "have nothing to say"),
        (facts.faceless, "show no face that is to speak"),
        (facts.kept, "keep their lips, because the face is turned away or cut off"),
        (facts.untold, "are of a run that ended badly and left no account of them"),
        (facts.resumed, "were finished by an earlier run"),
    )
    rest = "; ".join([*(f"{count} {what}" for count, what in counts if count), *([burnt] if facts.captioned else [])])
    drawn = f"{facts.renderer} with {facts.weights.name}" if facts.weights else facts.renderer
    moved = f"Lips: {facts.moved} of {facts.pictures} pictures move ({drawn}, by {CURVES[facts.curves]})"
    return moved + (f"; {rest}." if rest else ".") + (f" {_sync(facts.sync)}" if facts.sync else "")


def _sync(sync: SyncLine) -> str:
    pictures = f"{abs(sync.offset)} picture{'s' if abs(sync.offset) > 1 else ''} of 1/25 s"
    late = f"{pictures} {'after' if sync.offset > 0 else 'before'} their sound"
    when = f"{sync.seconds:.1f} s from {sync.start:.1f} s on"
    return (
        f"Scored by SyncNet ({sync.weights.name}; {when}): confidence {sync.confidence:.2f}, "
        f"distance {sync.distance:.2f}, lips {late if sync.offset else 'at the time of their sound'}."
    )


def face_lines(facts: FilmFacts) -> list[str]:
    """Where the face that is to speak was in sight, in a sentence; none where nobody looked."""
    if not facts.found + facts.turned + facts.covered + facts.lost:
        return []
    counts = (
        (facts.turned, "turned away by more than 40 degrees"),
        (facts.covered, "covered about the mouth"),
        (facts.lost, "not in sight"),
    )
    rest = "".join(f"; {what} in {count}" for count, what in counts if count)
    who = "the face that is to speak is" if facts.faces <= 1 else f"of {facts.faces} that speak, one at least is"
    return [f"Faces: {who} seen from the front in {facts.found} of {facts.pictures} pictures{rest}."]


def _voice(voice: Any) -> str:  # noqa: ANN401
    text = f"Voice: tinted with {voice.name} ({voice.seconds:.1f} s of speech heard)"
    if voice.f0_hz and voice.f0_dub_hz:
        text += f"; F0 {voice.f0_dub_hz:.0f} Hz, the speaker's {voice.f0_hz:.0f} Hz"
    if voice.similarity_before is not None and voice.similarity_after is not None:
        text += f"; similarity {voice.similarity_before:.2f} before, {voice.similarity_after:.2f} after"
        if voice.ceiling is not None:
            text += f", the real speaker {voice.ceiling:.2f}"
    return text + "."


def _shaky(text: str, confidence: float | None) -> Any:  # noqa: ANN401
    from rich.text import Text

    return Text(text, "dim" if confidence is not None and confidence < 0.5 else "")


def _fit(fit: Mapping[str, Any] | None) -> str:
    if fit is None:
        return "-"
    return f"{fit['action']} x{fit['speed']:.2f}" if abs(fit["speed"] - 1) > 0.005 else str(fit["action"])


def _pair(values: Mapping[str, Any] | None, before: str, after: str, form: str) -> str:
    if values is None or values[after] is None:
        return "-"
    first = form.format(values[before]) if values[before] is not None else "?"
    return f"{first} -> {form.format(values[after])}"
