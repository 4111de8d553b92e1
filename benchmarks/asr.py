"""How well, how fast and how sure the embedded recogniser hears real speech; prints tables and writes JSON.

Run from the root of the checkout: `python benchmarks/asr.py [--json benchmarks/out/asr.json] [--part plain|notes|all]`.
The recordings are those of ../shared/data/speech when they lie beside the checkout, else examples/audio.

WER is jiwer's over all words of a group, after this normaliser: lower case, hyphens become spaces, everything but
letters and apostrophes goes, Mr becomes mister. Real-time factor is CPU seconds per second of audio. Rows named `plain
library` are PocketSphinx with its own settings and no level or cepstral mean of ours, in the same run on the same
machine: `first sentence` with a fresh front end for each recording, `later sentence` with what it learned from those
before. Ours starts afresh each time. The texts of VCTK were typed from memory, so its WER stands apart and nothing was
tuned on it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import jiwer  # noqa: E402
import numpy as np  # noqa: E402
import soundfile  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from strict_json import strict  # noqa: E402

from ml.engines import sphinx  # noqa: E402
from ml.engines.protocols import AsrOptions, EngineHome  # noqa: E402
from ml.engines.sphinx_decoder import model_folder  # noqa: E402
from ml.types import SAMPLE_RATE, Samples, Transcript  # noqa: E402

SHARED = ROOT.parent / "shared" / "data" / "speech"
EXAMPLES = {
    "lj.flac": (
        "lj",
        "the invention of movable metal letters in the middle of the fifteenth century may justly be considered as the "
        "invention of the art of printing",
    ),
    "demo.flac": (
        "librivox",
        "he was not an ill disposed young man had he married a more amiable woman he might have been made still more "
        "respectable than he was he might even have been made amiable himself",
    ),
}
FROM_MEMORY = ("vctk",)
TOPICS = ("lj", "librivox")
"""Groups of one text each, long enough to make notes of some of its sentences."""


@dataclass(frozen=True)
class Recording:
    name: str
    group: str
    text: str
    samples: Samples

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class Heard:
    recording: Recording
    text: str
    confidence: float | None
    cpu: float
    finish: float
    """CPU seconds of the call that ends the utterance."""


def normalise(text: str) -> str:
    plain = re.sub(r"\bmr\b\.?", "mister", text.lower().replace("-", " ").replace("\u2019", "'"))
    return " ".join(re.sub(r"(?<![a-z])'|'(?![a-z])", " ", re.sub(r"[^a-z']", " ", plain)).split())


def recordings() -> tuple[str, list[Recording]]:
    if (SHARED / "manifest.json").is_file():
        items = json.loads((SHARED / "manifest.json").read_text(encoding="utf-8"))
        groups = {"misc": "jfk"}
        wanted = [(SHARED / i["file"], groups.get(i["group"], i["group"]), i["text"]) for i in items]
        source = "../shared/data/speech"
    else:
        folder = ROOT / "examples" / "audio"
        wanted = [(folder / name, group, text) for name, (group, text) in EXAMPLES.items()]
        source = "examples/audio (../shared/data/speech is not here)"
    found = []
    for path, group, text in wanted:
        samples, rate = soundfile.read(path, dtype="float32")
        if rate != SAMPLE_RATE or samples.ndim != 1:
            raise SystemExit(f"{path} is not mono at {SAMPLE_RATE} Hz")
        found.append(Recording(path.name, group, normalise(text), np.asarray(samples, np.float32)))
    return source, found


def by_engine(engine: sphinx.Sphinx, options: AsrOptions) -> Callable[[Recording], Heard]:
    engine.prepare(options)

    def hear(recording: Recording) -> Heard:
        start = time.process_time()
        session = engine.listen(options)
        for at in range(0, len(recording.samples), 320):
            session.accept(recording.samples[at : at + 320])
            if options.live and at % 3200 == 0:
                session.partial()
        middle = time.process_time()
        result: Transcript = session.finish()
        end = time.process_time()
        return Heard(recording, result.text, result.confidence, end - start, end - middle)

    return hear


def by_library(*, live: bool, fresh: bool = True) -> Callable[[Recording], Heard]:
    """The rival: the library's own way, with its own settings (live: the settings that make it quick)."""
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL", **({"fwdflat": False, "maxhmmpf": 3000} if live else {}))

    def hear(recording: Recording) -> Heard:
        pcm = np.clip(np.rint(recording.samples * 32768), -32768, 32767).astype("<i2").tobytes()
        start = time.process_time()
        if fresh:
            decoder.reinit_feat()
        decoder.start_utt()
        if live:
            for at in range(0, len(pcm), 640):
                decoder.process_raw(pcm[at : at + 640])
        else:
            decoder.process_raw(pcm, full_utt=True)
        middle = time.process_time()
        decoder.end_utt()
        end = time.process_time()
        found = decoder.hyp()
        return Heard(recording, found.hypstr if found else "", None, end - start, end - middle)

    return hear


def wer(heard: Iterable[Heard]) -> float | None:
    pairs = [(h.recording.text, normalise(h.text)) for h in heard]
    return 100 * jiwer.wer([r for r, _ in pairs], [t for _, t in pairs]) if pairs else None


def ranks(values: list[float]) -> np.ndarray:
    return np.argsort(np.argsort(values))


def summary(heard: list[Heard]) -> dict[str, object]:
    groups = sorted({h.recording.group for h in heard} - set(FROM_MEMORY))
    trusted = [h for h in heard if h.recording.group not in FROM_MEMORY]
    row: dict[str, object] = {"all": wer(trusted)}
    row |= {group: wer([h for h in trusted if h.recording.group == group]) for group in groups}
    row |= {f"{g} (typed from memory)": wer([h for h in heard if h.recording.group == g]) for g in FROM_MEMORY}
    row["rtf"] = sum(h.cpu for h in heard) / sum(h.recording.seconds for h in heard)
    row["finish_ms_p50"], row["finish_ms_p95"] = (
        1000 * float(np.percentile([h.finish for h in heard], q)) for q in (50, 95)
    )
    if all(h.confidence is not None for h in heard) and len(trusted) > 2:
        sure = [float(h.confidence or 0.0) for h in trusted]
        wrong = [float(wer([h]) or 0.0) for h in trusted]
        row["mean_confidence"] = float(np.mean(sure))
        row["confidence_vs_wer_spearman"] = float(np.corrcoef(ranks(sure), ranks(wrong))[0, 1])
    return row


def notes_cases(engine: sphinx.Sphinx, items: list[Recording]) -> dict[str, dict[str, float | None]]:
    """WER of the sentences of two books when the notes hold them, the book's other sentences, or the other book."""
    books = {group: [r for r in items if r.group == group] for group in TOPICS}
    chosen = [r for group in TOPICS for r in books[group]]
    if any(len(book) < 2 for book in books.values()):
        return {}

    def notes(case: str, recording: Recording) -> str | None:
        own = books[recording.group]
        other = next(books[group] for group in TOPICS if group != recording.group)
        texts = {
            "no notes": None,
            "hold the sentences": own,
            "same book, other sentences": [r for r in own if r is not recording],
            "another book": other,
        }[case]
        return None if texts is None else "\n\n".join(r.text for r in texts)

    table: dict[str, dict[str, float | None]] = {}
    for case in ("no notes", "hold the sentences", "same book, other sentences", "another book"):
        table[case] = {}
        for mode in ("file", "live"):
            heard = [by_engine(engine, AsrOptions(live=mode == "live", notes=notes(case, r)))(r) for r in chosen]
            table[case][mode] = wer(heard)
            print(f"  notes: {case}, {mode}: {table[case][mode]:.1f} %", file=sys.stderr)
    return table


def notes_only(items: list[Recording]) -> dict[str, float | None]:
    """The rival for notes: the library's own ARPA builder over the notes alone, which forgets all other English."""
    import tempfile

    from pocketsphinx import Decoder
    from pocketsphinx.lm import ArpaBoLM

    books = {group: [r for r in items if r.group == group] for group in TOPICS}
    found: dict[str, float | None] = {}
    for case, swap in (("hold the sentences", False), ("another book", True)):
        heard = []
        for group in TOPICS:
            source = books[next(g for g in TOPICS if g != group)] if swap else books[group]
            model = ArpaBoLM(text="\n".join(f"<s> {r.text} </s>" for r in source))
            model.compute()
            with tempfile.NamedTemporaryFile("w", suffix=".arpa") as file:
                model.write(file)
                file.flush()
                decoder = Decoder(loglevel="FATAL", lm=file.name)
            for recording in books[group]:
                decoder.reinit_feat()
                decoder.start_utt()
                pcm = np.rint(recording.samples * 32767).astype("<i2").tobytes()
                decoder.process_raw(pcm, full_utt=True)
                decoder.end_utt()
                best = decoder.hyp()
                heard.append(Heard(recording, best.hypstr if best else "", None, 0.0, 0.0))
        found[case] = wer(heard)
    return found


def show(console: Console, title: str, rows: dict[str, dict[str, object]]) -> None:
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    table = Table(title=title)
    for name in ("", *columns):
        table.add_column(name, justify="right" if name else "left")
    for name, row in rows.items():
        cells = [row.get(column) for column in columns]
        shown = [
            f"{c:.2f}" if isinstance(c, float) and abs(c) < 2 else f"{c:.1f}" if isinstance(c, float) else ""
            for c in cells
        ]
        table.add_row(name, *shown)
    console.print(table)


def machine() -> dict[str, object]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "out" / "asr.json")
    parser.add_argument("--part", choices=("plain", "notes", "all"), default="all")
    arguments = parser.parse_args()
    if model_folder() is None:
        print("skipped: pip install pocketsphinx==5.1.1", file=sys.stderr)
        return 0
    source, items = recordings()
    seconds = sum(r.seconds for r in items)
    console = Console(width=160)
    console.print(f"{len(items)} recordings, {seconds:.0f} s, from {source}")
    engine = sphinx.SPEC.factory(EngineHome(ROOT))
    if not isinstance(engine, sphinx.Sphinx):
        raise TypeError(engine)
    result: dict[str, object] = {"source": source, "recordings": len(items), "seconds": seconds, **machine()}
    result["engine"] = engine.capabilities().version
    if arguments.part in ("plain", "all"):
        ways = {
            "file": by_engine(engine, AsrOptions()),
            "file, plain library": by_library(live=False),
            "live": by_engine(engine, AsrOptions(live=True)),
            "live, plain library, first sentence": by_library(live=True),
            "live, plain library, later sentence": by_library(live=True, fresh=False),
        }
        heard = {name: [hear(r) for r in items] for name, hear in ways.items()}
        rows = {name: summary(row) for name, row in heard.items()}
        show(console, "General English: WER %, real-time factor (CPU), CPU of the last call", rows)
        result["general"] = rows
        result["texts"] = {
            r.name: {"reference": r.text, **{name: heard[name][at].text for name in heard}}
            for at, r in enumerate(items)
        }
    if arguments.part in ("notes", "all"):
        cases = notes_cases(engine, items)
        if cases:
            only = notes_only(items)
            rows = {case: {**row, "file, notes alone": only.get(case)} for case, row in cases.items()}
            show(console, "With the speaker's notes: WER %", rows)
            result["notes"] = rows
        else:
            console.print("notes: skipped, they need two or more sentences of two books (../shared/data/speech)")
    engine.close()
    result["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak RSS {result['peak_rss_mb']:.0f} MB")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(strict(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(f"written to {arguments.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
