"""How soon translated speech sounds after the speaker has finished: real-time paced, engines warm, two modes.

Sound is delivered in 10 ms pieces at the pace of a microphone; the clock runs from the acoustic end of speech (the last
10 ms frame within 35 dB of the utterance's loudest) to the moment when the first sample of translated, tinted speech is
there. `python benchmarks/latency.py [--json FILE] [--mode fast|safe] [--most N]`; needs ../shared/data/speech.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import gc
import json
import time
from collections import defaultdict
from pathlib import Path

import jiwer
import numpy as np
from models_home import models_home
from strict_json import strict

from ml.audio.read import read
from ml.audio.vad import SileroActivity, SileroNetwork
from ml.audio.webrtc import WebRtcEndpoint, voice_judge
from ml.engines.protocols import AsrOptions
from ml.engines.registry import Registry, discover
from ml.speech.live import Interpreter, LiveTranslator, Said
from ml.speech.turn import FastTurn, SafeTurn
from ml.voice.match import VoiceMatcher
from ml.voice.profile import build_profile

ROOT = Path(__file__).resolve().parent.parent
SPEECH = ROOT.parent / "shared" / "data" / "speech"
MODES = ("fast", "safe")
LEAD, TAIL = 0.5, 1.5


class Stopwatch:
    """Seconds of wall time inside each engine call since `clear`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def wrap(self, stage: str, call):
        def timed(*arguments):
            began = time.perf_counter()
            try:
                return call(*arguments)
            finally:
                self.seconds[stage] += time.perf_counter() - began

        return timed


def acoustic_end(samples: np.ndarray) -> float:
    """Seconds until the last 10 ms frame within 35 dB of the loudest (98th percentile)."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-10)
    return float((np.flatnonzero(level > np.percentile(level, 98) - 35)[-1] + 1) * 0.01)


def padded(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The utterance between the quiet of a room (-72 dB noise)."""

    def room(seconds: float) -> np.ndarray:
        return rng.normal(0, 2.5e-4, round(seconds * 16000)).astype(np.float32)

    return np.concatenate([room(LEAD), samples, room(TAIL)])


def pace(stream: LiveTranslator, sound: np.ndarray, watch: Stopwatch) -> list[tuple[Said, float, dict[str, float]]]:
    """Feed the sound as a microphone would; each turn with the wall time of the stream when it was there."""
    taken: list[tuple[Said, float, dict[str, float]]] = []
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    for at in range(0, len(sound) - 159, 160):
        wait = began + (at + 160) / 16000 - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        watch.seconds.clear()
        events = stream.push(sound[at : at + 160])
        there = time.perf_counter() - began
        taken.extend((event, there, dict(watch.seconds)) for event in events if isinstance(event, Said))
    gc.enable()
    stream.flush()
    return taken


def spread(values: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    if not values:
        return {}
    ms = np.array(values) * 1000
    return {
        name: round(float(np.percentile(ms, q)), 1) for name, q in (("p50", 50), ("p90", 90), ("p95", 95), ("max", 100))
    }


def measure(mode: str, recordings: list[dict], registry: Registry) -> dict:
    """One mode over all recordings."""
    asr, mt, tts = (registry.load(task) for task in ("asr", "mt", "tts"))
    encoder = None
    watch, rng, network = Stopwatch(), np.random.default_rng(0), SileroNetwork.load()
    by_speaker = defaultdict(list)
    for item in recordings:
        by_speaker[item["speaker"]].append(item)
    profiles = {
        speaker: build_profile([item["audio"] for item in items[:3]], encoder, None, "es")
        for speaker, items in by_speaker.items()
    }
    rows = []
    for number, item in enumerate([recordings[0], *recordings]):
        matcher = VoiceMatcher(profiles[item["speaker"]], tts, "es")
        interpreter = Interpreter(mt, tts, matcher, "en", "es")
        interpreter._mt = type("T", (), {"translate": staticmethod(watch.wrap("mt", mt.translate))})()
        interpreter._tts = type("T", (), {"speak": staticmethod(watch.wrap("tts", tts.speak))})()
        interpreter._matcher = type(
            "T",
            (),
            {"apply": staticmethod(watch.wrap("voice", matcher.apply)), "delivery": staticmethod(matcher.delivery)},
        )()
        interpreter.interpret("one two three")
        watch.seconds.clear()
        turn = (
            FastTurn(voice_judge(3))
            if mode == "fast"
            else SafeTurn(WebRtcEndpoint(0.27, 0.8), WebRtcEndpoint(0.36, 0.9))
        )
        stream = LiveTranslator(
            asr, AsrOptions(), SileroActivity(network), turn, interpreter, finish=False, captions=False
        )
        sound, end = padded(item["audio"].samples, rng), LEAD + acoustic_end(item["audio"].samples)
        taken = pace(stream, sound, watch)
        if number == 0:
            continue  # warm-up
        rows.append({key: item[key] for key in ("file", "group", "text")} | {"end": end, "turns": taken})
    lasts = [(row, *row["turns"][-1]) for row in rows if row["turns"]]
    latency = [wall - row["end"] for row, said, wall, _ in lasts]
    endpoint = [said.decided_at - row["end"] for row, said, _, _ in lasts]
    compute = [wall - said.decided_at for _, said, wall, _ in lasts]
    everyone = [turn for row in rows for turn in row["turns"]]
    after = [value for value, point in zip(latency, endpoint, strict=True) if point >= -0.05]
    return {
        "mode": mode,
        "utterances": len(rows),
        "without_any_turn": len(rows) - len(lasts),
        "turn_taken_before_the_end": sum(point < -0.05 for point in endpoint),
        "latency_ms": spread(after),
        "latency_ms_all": spread(latency),
        "endpoint_ms": spread([point for point in endpoint if point >= -0.05]),
        "compute_after_endpoint_ms": spread([wall - said.decided_at for said, wall, _ in everyone]),
        "compute_last_turn_ms": spread(compute),
        "stages_ms": {
            stage: spread([seconds.get(stage, 0.0) for _, _, seconds in everyone]) for stage in ("mt", "tts", "voice")
        },
        "prepared_share": round(sum(said.prepared for said, _, _ in everyone) / max(1, len(everyone)), 3),
        "turns_per_utterance": round(len(everyone) / len(rows), 3),
        "utterances_cut": [row["file"] for row in rows if len(row["turns"]) > 1] if mode == "safe" else None,
        "wer_percent": word_errors(rows),
        "share_below_200_ms": round(sum(value < 0.2 for value in after) / max(1, len(after)), 3),
    }


def word_errors(rows: list[dict]) -> float:
    """WER in percent of all that was said of each recording; VCTK's texts were typed from memory and are left out."""
    clean = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()])
    known = [row for row in rows if row["group"] != "vctk"]
    heard = [clean(" ".join(said.transcript.text for said, _, _ in row["turns"])) for row in known]
    return round(100 * jiwer.wer([clean(row["text"].replace("-", " ")) for row in known], heard), 1)


def show(result: dict) -> None:
    print(
        f"\n{result['mode']}: {result['utterances']} utterances, {result['turns_per_utterance']} turns each, "
        f"{result['turn_taken_before_the_end']} taken before the acoustic end, "
        f"prepared {result['prepared_share']:.0%}, WER {result['wer_percent']} %"
    )
    print(f"{'ms':28s} {'p50':>7s} {'p90':>7s} {'p95':>7s} {'max':>7s}")
    for name in ("latency_ms", "latency_ms_all", "endpoint_ms", "compute_after_endpoint_ms"):
        print(f"{name:28s} " + " ".join(f"{value:7.1f}" for value in result[name].values()))
    for stage, values in result["stages_ms"].items():
        print(f"  {stage:26s} " + " ".join(f"{value:7.1f}" for value in values.values()))
    if result["utterances_cut"]:
        print("cut in two:", ", ".join(result["utterances_cut"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--most", type=int, default=1000)
    arguments = parser.parse_args()
    if not SPEECH.is_dir():
        raise SystemExit(f"needs recordings in {SPEECH}")
    items = json.loads((SPEECH / "manifest.json").read_text())[: arguments.most]
    recordings = [item | {"audio": read(SPEECH / item["file"])} for item in items]
    registry = Registry(discover(), models_home())
    results = []
    try:
        for mode in [arguments.mode] if arguments.mode else MODES:
            results.append(measure(mode, recordings, registry))
            show(results[-1])
    finally:
        registry.close()
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(strict(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
