"""Which small voice model to ship: bodies of 32 numbers a frame, side by side on speakers that none was trained on.

    python benchmarks/architectures.py [--json FILE] [--quick | --full]

Every body is trained from its closed form by the recipe of scripts/genesis.py on the same 248 readers of LibriSpeech
(223 to learn from, 25 to choose the epoch by): 10 epochs, with --full 300 (most of an hour), with --quick 1 and a fifth
of the readers. What ships is loaded, and trained as briefly as the others as well, so that no row wins by patience.

Judged on the test utterances of the 34 speakers in ../shared/data/speakers: error of the log-mel spectrum in dB (RMSE)
and mel-cepstral distortion (MCD), mean over speakers; the same with the weights as they travel (int8 + gzip); and of
sound made from it by Griffin-Lim: STOI where pystoi is installed, PESQ where pesq is, and the embedded recogniser's
word error rate on 18 recordings with transcripts. `delay` is how much sound has to be there before the first of its
frames can be coded and decoded.

Without ../shared/data there is nothing to measure, and it says so.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from strict_json import strict

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
sys.path[:0] = [str(ROOT), str(ROOT / "scripts"), str(Path(__file__).parent)]

import genesis as recipe  # noqa: E402
from architecture_rows import (  # noqa: E402
    SHARES_OF_8,
    ClassicFrames,
    CosineFrames,
    DenseBlocks,
    LinearBlocks,
    LinearFrames,
    TemporalConvolution,
)

from ml.audio.logmel import HOP, HOP_SECONDS, LogMel, griffin_lim, log_mel  # noqa: E402
from ml.audio.read import read  # noqa: E402
from ml.federated.cohort import Person  # noqa: E402
from ml.federated.diff import Encoding, encode  # noqa: E402
from ml.federated.people import recorded  # noqa: E402
from ml.types import SAMPLE_RATE, Samples  # noqa: E402
from ml.voice.autoencoder import Autoencoder, architecture  # noqa: E402
from ml.voice.blocks import SHARES_OF_4, ResidualBlocks  # noqa: E402
from ml.voice.genesis import FILES, genesis  # noqa: E402
from ml.voice.measures import Score, score  # noqa: E402
from ml.weights import Weights  # noqa: E402

GROUPS = {"asc": "Arabic commands", "lto": "LibriSpeech test-other", "wall": "LibriSpeech clean"}
SPOKEN = 2.0
"""Seconds of each speaker that are made into sound."""
EPOCHS = {"quick": 1, "usual": 10, "full": 300}


@dataclass
class Row:
    """One line of the table."""

    title: str
    body: Autoencoder | None = None
    shipped: str | None = None
    trained: bool = False
    spoken: bool = False
    """Whether it is always heard by the recogniser; the others are with --full."""
    delay: float = 0.0
    """Milliseconds; by default a block."""
    facts: dict[str, Any] = field(default_factory=dict)


def rows() -> list[Row]:
    convolution = TemporalConvolution()
    ahead = 1000 * HOP_SECONDS * (1 + 2 * convolution.reach)
    return [
        Row("original spectrum (ceiling)", spoken=True),
        Row("DCT-32", CosineFrames()),
        Row("KLT-32, the linear autoencoder", LinearFrames(), spoken=True),
        Row("MLP 80-64-32-64-80, the classic", ClassicFrames(), trained=True),
        Row("residual frames, res64", architecture("res64"), trained=True),
        Row("depth-wise convolution over 7 frames", convolution, trained=True, delay=ahead),
        Row("res64 as shipped", architecture("res64"), shipped="res64", spoken=True),
        Row("blocks of 4, KLT", LinearBlocks("b4", SHARES_OF_4)),
        Row("blocks of 4, KLT + MLP over the block", DenseBlocks("b4d40", SHARES_OF_4, 40), trained=True),
        Row("blocks of 4, KLT + MLP of the frames, b4h80", architecture("b4h80"), trained=True),
        Row("b4h80 as shipped", architecture("b4h80"), shipped="b4h80", spoken=True),
        Row("blocks of 8, KLT", LinearBlocks("b8", SHARES_OF_8)),
        Row("blocks of 8, KLT + MLP of the frames", ResidualBlocks("b8h40", SHARES_OF_8, 40), trained=True),
    ]


@dataclass(frozen=True)
class Voice:
    """Sound of one speaker, in utterances."""

    name: str
    utterances: list[Samples]


def voices(limit: int) -> list[Voice]:
    """About `SPOKEN` seconds of every speaker's test utterances, whole frames."""
    manifest = json.loads((DATA / "speakers" / "manifest.json").read_text(encoding="utf-8"))
    found: dict[str, list[Samples]] = {}
    for entry in [entry for entry in manifest if entry["split"] == "test"]:
        samples, left = read(DATA / "speakers" / entry["file"]).samples, round(SPOKEN * SAMPLE_RATE)
        for part in entry["segments"]:
            if left > 0:
                cut = samples[part["start"] : part["end"]][:left]
                left -= len(cut)
                found.setdefault(entry["speaker"], []).append(cut[: len(cut) // HOP * HOP])
    return [Voice(name, found[name]) for name in sorted(found)][:limit]


def mean(values: list[float]) -> float:
    return float(np.mean(values))


def judge(body: Autoencoder, weights: Weights, people: list[Person]) -> dict[str, Any]:
    """Errors on the test utterances: mean over speakers, the worst, and by group."""
    scores: dict[str, Score] = {one.name: score(body, weights, one.test) for one in people}
    groups = {
        title: mean([one.rmse_db for name, one in scores.items() if name.startswith(prefix)])
        for prefix, title in GROUPS.items()
        if any(name.startswith(prefix) for name in scores)
    }
    errors = [one.rmse_db for one in scores.values()]
    worst = max(scores, key=lambda name: scores[name].rmse_db)
    return {
        "rmse_db": mean(errors),
        "worst_rmse_db": max(errors),
        "worst_speaker": worst,
        "mcd": mean([one.mcd for one in scores.values()]),
        "groups": groups,
        "speakers": {name: one.rmse_db for name, one in scores.items()},
    }


def travelling(body: Autoencoder, weights: Weights, people: list[Person]) -> dict[str, Any]:
    """Bytes of the whole model as the node's diffs are written, and the error with what arrives."""
    if not body.layout.shapes:
        return {"int8_bytes": 0, "fp16_bytes": 0}
    nothing = {name: np.zeros(shape, np.float32) for name, shape in body.layout.shapes.items()}
    small = encode(weights, nothing, body.layout, Encoding.INT8)
    half = encode(weights, nothing, body.layout, Encoding.FP16)
    return {
        "int8_bytes": len(small.body),
        "fp16_bytes": len(half.body),
        "int8_rmse_db": judge(body, small.result, people)["rmse_db"],
    }


def heard(rebuilt: Callable[[LogMel], LogMel], spoken: list[Voice]) -> dict[str, float]:
    """STOI and PESQ after Griffin-Lim, mean over speakers, and STOI by language."""
    measures: dict[str, Callable[[Samples, Samples], float]] = {}
    if importlib.util.find_spec("pystoi"):
        from pystoi import stoi

        measures["stoi"] = lambda clean, made: float(stoi(clean, made, SAMPLE_RATE))
    if importlib.util.find_spec("pesq"):
        from pesq import pesq

        measures["pesq"] = lambda clean, made: float(pesq(SAMPLE_RATE, clean, made, "wb"))
    values: dict[str, dict[str, float]] = {name: {} for name in measures}
    for voice in spoken if measures else []:
        clean = np.concatenate(voice.utterances)
        made = np.concatenate([griffin_lim(rebuilt(log_mel(one))).samples for one in voice.utterances])
        for name, measure in measures.items():
            values[name][voice.name] = measure(clean, made)
    found = {name: mean(list(by_speaker.values())) for name, by_speaker in values.items()}
    english = [value for name, value in values.get("stoi", {}).items() if not name.startswith("asc")]
    return found | ({"stoi_english": mean(english)} if english else {})


class Listener:
    """The embedded recogniser over recordings with transcripts; nothing where there is no recogniser."""

    def __init__(self, limit: int) -> None:
        import asr

        from ml.engines import sphinx
        from ml.engines.protocols import AsrOptions, EngineHome
        from ml.engines.sphinx_decoder import model_folder

        self.items: list[Any] = []
        if model_folder() is None:
            say("word error rates are left out: pip install pocketsphinx==5.1.1")
            return
        self.items = [one for one in asr.recordings()[1] if one.group not in asr.FROM_MEMORY][:limit]
        engine = sphinx.SPEC.factory(EngineHome(ROOT))
        self._asr, self._hear = asr, asr.by_engine(engine, AsrOptions())

    def errors(self, rebuilt: Callable[[LogMel], LogMel]) -> dict[str, float]:
        if not self.items:
            return {}
        found = []
        for one in self.items:
            made = griffin_lim(rebuilt(log_mel(one.samples))).samples
            found.append(self._hear(self._asr.Recording(one.name, one.group, one.text, made)))
        return {"wer": float(self._asr.wer(found)), "words": sum(len(one.text.split()) for one in self.items)}


def measure(
    row: Row, pool: list[Any], people: list[Person], spoken: list[Voice], listener: Listener, epochs: int
) -> None:
    """Fills in the facts of one row."""
    began = time.process_time()

    def same(mel: LogMel) -> LogMel:
        return mel

    rebuilt: Callable[[LogMel], LogMel] = same
    if row.body is not None:
        body = row.body
        if row.shipped:
            start = genesis(row.shipped)
            weights, row.facts["epochs"] = start.weights, start.facts["recipe"]
        elif row.trained:
            weights, row.facts["epochs"] = recipe.pretrain(body, pool, epochs), epochs
        else:
            weights, row.facts["epochs"] = body.start(np.concatenate(learned_from(pool))), "closed form"
        delay = row.delay or 1000 * HOP_SECONDS * body.block
        row.facts |= {"parameters": body.layout.parameters, "delay_ms": delay}
        row.facts |= judge(body, weights, people) | travelling(body, weights, people)

        def rebuilt(mel: LogMel) -> LogMel:
            return body.reconstruct(weights, mel)

    row.facts |= heard(rebuilt, spoken)
    if row.spoken:
        row.facts |= listener.errors(rebuilt)
    row.facts["cpu_seconds"] = time.process_time() - began


def learned_from(pool: list[Any]) -> list[LogMel]:
    """The utterances of the pool that training sees."""
    held = set(sorted({speaker for speaker, _, _ in pool})[:: recipe.HOLD])
    return [mel for speaker, _, mel in pool if speaker not in held]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(table: list[Row], epochs: int, people: int, words: int) -> None:
    print(f"{people} speakers that no row was trained on. Rows marked * were trained here, {epochs} epochs.")
    if words:
        print(f"WER over {words} words: differences of less than about 5 points say nothing.")
    columns = [
        ("numbers", "parameters", "d"), ("int8 B", "int8_bytes", "d"), ("fp16 B", "fp16_bytes", "d"),
        ("delay ms", "delay_ms", ".0f"), ("RMSE dB", "rmse_db", ".3f"), ("worst", "worst_rmse_db", ".3f"),
        ("int8", "int8_rmse_db", ".3f"), ("MCD dB", "mcd", ".3f"), ("STOI", "stoi", ".3f"),
        ("English", "stoi_english", ".3f"), ("PESQ", "pesq", ".2f"), ("WER %", "wer", ".1f"),
    ]  # fmt: skip
    columns = [one for one in columns if any(one[1] in row.facts for row in table)]
    print(f"\n{'':46s}" + " ".join(f"{title:>8s}" for title, _, _ in columns))
    for row in table:
        cells = (f"{row.facts[key]:8{form}}" if key in row.facts else f"{'':8s}" for _, key, form in columns)
        print(f"{row.title + (' *' if row.trained else ''):46s}" + " ".join(cells))
    print(f"\n{'RMSE dB by group':46s}" + " ".join(f"{title:>22s}" for title in GROUPS.values()))
    for row in [row for row in table if "groups" in row.facts]:
        cells = (f"{row.facts['groups'].get(title, float('nan')):22.3f}" for title in GROUPS.values())
        print(f"{row.title + (' *' if row.trained else ''):46s}" + " ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_const", dest="how", const="quick", default="usual")
    how.add_argument("--full", action="store_const", dest="how", const="full")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not (DATA / "genesis" / "manifest.json").is_file() or not (DATA / "speakers" / "manifest.json").is_file():
        print("Nothing measured: this needs the speech collections in ../shared/data (docs/architectures.md).")
        return
    recipe.say = say
    epochs, quick = EPOCHS[given.how], given.how == "quick"
    pool, people = recipe.utterances(DATA / "genesis", 1 if quick else None), list(recorded(DATA / "speakers"))
    spoken, listener = voices(4 if quick else 1000), Listener(2 if quick else 1000)
    table = [row for row in rows() if not row.shipped or row.shipped in FILES]
    for row in table:
        say(f"{row.title} ...")
        row.spoken = row.spoken or given.how == "full"
        measure(row, pool, people, spoken, listener, epochs)
    words = next((row.facts["words"] for row in table if "words" in row.facts), 0)
    show(table, epochs, len(people), words)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"how": given.how, "epochs": epochs, "rows": {row.title: row.facts for row in table}}
        given.json.write_text(strict(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
