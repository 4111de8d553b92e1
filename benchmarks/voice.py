"""How near the tinted voice comes to its speaker, what that does to its words, and what it costs.

For each real speaker a profile is made from 10-12 s of speech. Spanish sentences are spoken by each method and compared
with *other* recordings of the speaker: by the cosine of speaker embeddings, beside what real recordings of the speaker
reach, and, since methods were chosen with the help of that encoder, by two measures that have nothing to do with it:
a Gaussian mixture on cepstra of the log-mel spectrum, and the formants that Praat finds. English sentences spoken in
the same way are given to the embedded recogniser, which counts the words that got lost. The speakers in UNTOUCHED were
left alone while methods were chosen.

`python benchmarks/voice.py [--json FILE] [--methods ...] [--no-words] [--speakers ...]`; needs ../shared/data, the
speaker encoder (`node models pull resemblyzer`) and, for the WORLD row, `pip install 'babelmesh[world]'`.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import parselmouth
from models_home import models_home
from strict_json import strict

from ml.audio.logmel import log_mel
from ml.audio.prosody import measure
from ml.audio.read import read
from ml.engines.protocols import AsrOptions, EngineHome
from ml.engines.registry import Registry, discover
from ml.errors import Unavailable
from ml.types import SAMPLE_RATE, Audio, Delivery
from ml.voice.match import MatchOptions, VoiceMatcher
from ml.voice.profile import VoiceProfile, build_profile

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
TUNED_ON = ("lto-1688", "lto-1998", "lto-2033", "lto-2609", "lto-3005", "lto-367", "p225", "librivox")
UNTOUCHED = ("lto-3080", "lto-533", "wall-19", "wall-26", "p226", "LJ")
HEARD = ("lto-1998", "p225", "lto-2609", "librivox", "lto-3080", "LJ")  # whose dubs the recogniser hears
ENROLMENT = 12.0

SPANISH = (
    "Hola, mi nombre es Juan y vivo en Londres desde hace diez años.",
    "Pienso que tendríamos que esperar unos minutos, porque hay un problema con mi teléfono.",
    "¿Puede ayudarme a encontrar mi hotel? Vamos a la playa este fin de semana.",
    "La reunión de mañana empieza a las nueve y todavía no hemos preparado nada.",
)
ENGLISH = """The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.
It is easy to tell the depth of a well. These days a chicken leg is a rare dish. Rice is often served in round bowls.
The juice of lemons makes fine punch. The box was thrown beside the parked truck. Four hours of steady work faced us.
A large size in stockings is hard to sell. The boy was there when the sun rose. A rod is used to catch pink salmon.
The source of the huge river is the clear spring. Kick the ball straight and follow through.
Help the woman get back to her feet. A pot of tea helps to pass the evening. Smoky fires lack flame and heat.
The soft cushion broke the man's fall. The salt breeze came across from the sea. The girl at the booth sold fifty bonds.
The small pup gnawed a hole in the sock. I would like a table for two near the window please.
Can you tell me how to get to the railway station? We will meet again tomorrow at nine in the morning.
My brother works in a hospital and he lives in the city. They want to buy a new house before the end of the year.
The doctor said that I should drink more water every day. She told me that the weather would be better on Sunday.
How much does it cost to send this letter to France? The meeting starts in ten minutes and everybody is waiting for you.
Please speak a little more slowly because I do not understand. Our teacher asked us to read the first two chapters.
He has been learning to play the guitar for several months."""
SENTENCES = [s.strip() for s in ENGLISH.replace("?", "?|").replace(".", ".|").split("|") if s.strip()]

METHODS: dict[str, MatchOptions | None] = {
    "raw": None,
    "F0 and rate": None,
    "neighbours": MatchOptions("neighbours", strength=0.5, base="engine"),
    "WORLD": MatchOptions("world", strength=1.0, base="engine"),
    "transport": MatchOptions(),
}
PARTS: dict[str, MatchOptions | None] = {
    "transport, engine's base": MatchOptions(base="engine"),
    "neighbours, suited base": MatchOptions("neighbours", strength=0.5),
    "strength 0": MatchOptions(strength=0.0),
    "strength 0.3": MatchOptions(strength=0.3),
    "strength 1": MatchOptions(strength=1.0),
}
"""What the parts of the method contribute; measured with --methods."""


@dataclass
class Speaker:
    """A real speaker: utterances to enrol with, and others to be compared with."""

    name: str
    enrolment: list[Audio]
    others: list[Audio]
    facts: dict[str, float] = field(default_factory=dict)

    @cached_property
    def other_samples(self) -> np.ndarray:
        return np.concatenate([audio.samples for audio in self.others])


def trimmed(samples: np.ndarray) -> Audio:
    """Without the silence at both ends, as voice activity detection would leave it."""
    loud = np.flatnonzero(np.convolve(samples**2, np.ones(400) / 400, "same") > 1e-4 * np.max(samples**2))
    return Audio(samples[max(0, loud[0] - 800) : loud[-1] + 800].astype(np.float32))


def load_speaker(name: str) -> Speaker:
    if name.startswith(("lto", "wall")):
        files = json.loads((DATA / "speakers" / "manifest.json").read_text())
        parts: dict[str, list[np.ndarray]] = {}
        for entry in files:
            if entry["speaker"] == name:
                whole = read(DATA / "speakers" / entry["file"]).samples
                parts[entry["split"]] = [whole[s["start"] : s["end"]] for s in entry["segments"]]
        first, others = parts["train"], parts["test"]
    else:
        entries = json.loads((DATA / "speech" / "manifest.json").read_text())
        others = [read(DATA / "speech" / e["file"]).samples for e in entries if e["speaker"] == name]
        first = []
        while sum(map(len, first)) < 10 * SAMPLE_RATE:
            first.append(others.pop(0))
    enrolment, left = [], round(ENROLMENT * SAMPLE_RATE)
    for samples in first:
        if left > SAMPLE_RATE // 2:
            enrolment.append(trimmed(samples[:left]))
            left -= len(samples)
    return Speaker(name, enrolment, [trimmed(samples) for samples in others])


class Mixture:
    """A mixture of 16 Gaussians with diagonal covariances over cepstra of the log-mel spectrum."""

    def __init__(self, frames: np.ndarray, size: int = 16, rounds: int = 20) -> None:
        rng = np.random.default_rng(0)
        self.means = frames[rng.choice(len(frames), size, replace=False)]
        self.variances = np.tile(frames.var(axis=0), (size, 1))
        self.weights = np.full(size, 1 / size)
        for _ in range(rounds):
            joint = self.joint(frames)
            share = np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])
            mass = share.sum(axis=0) + 1e-6
            self.means = share.T @ frames / mass[:, None]
            self.variances = np.maximum(share.T @ frames**2 / mass[:, None] - self.means**2, 1e-2)
            self.weights = mass / mass.sum()

    def joint(self, frames: np.ndarray) -> np.ndarray:
        squares = ((frames[:, None] - self.means) ** 2 / self.variances).sum(axis=2)
        return np.log(self.weights) - 0.5 * (squares + np.log(2 * np.pi * self.variances).sum(axis=1))

    def score(self, frames: np.ndarray) -> float:
        return float(np.logaddexp.reduce(self.joint(frames), axis=1).mean())


def mfcc(samples: np.ndarray) -> np.ndarray:
    """Cepstra 1-19 of frames that are not silent `[T, 19]`."""
    mel = log_mel(samples)
    loud = mel.mean(axis=1) > np.percentile(mel.mean(axis=1), 95) - 4.0
    order, band = np.arange(1, 20)[:, None], np.arange(80)[None]
    return mel[loud] @ (np.cos(np.pi * order * (band + 0.5) / 80) * np.sqrt(2 / 80)).T


def formants(samples: np.ndarray, f0: float) -> np.ndarray:
    """Medians of ln F1..F4 over voiced frames, as Praat's Burg method finds them."""
    sound = parselmouth.Sound(samples.astype(float), SAMPLE_RATE)
    found = sound.to_formant_burg(time_step=0.01, max_number_of_formants=5, maximum_formant=5000 if f0 < 155 else 5500)
    pitch = sound.to_pitch_ac(0.01, 60)
    times = [t for t in found.ts() if pitch.get_value_at_time(t) > 0]
    table = np.array([[found.get_value_at_time(n, t) for n in range(1, 5)] for t in times])
    return np.nanmedian(np.log(table), axis=0)


def praat_f0(samples: np.ndarray) -> float:
    f0 = parselmouth.Sound(samples.astype(float), SAMPLE_RATE).to_pitch_ac(0.01, 60, pitch_ceiling=450)
    values = f0.selected_array["frequency"]
    return float(np.median(values[values > 0]))


def distance(reference: str, heard: str) -> tuple[int, int]:
    """Words wrong (inserted, deleted, substituted) and words in the reference."""
    keep = "abcdefghijklmnopqrstuvwxyz' "
    left, right = ("".join(c for c in text.lower() if c in keep).split() for text in (reference, heard))
    row = list(range(len(right) + 1))
    for i, word in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1], len(left)


class Bench:
    def __init__(self, models: Path) -> None:
        self.registry = Registry(discover(), EngineHome(models))
        self.tts = self.registry.load("tts")
        self.encoder = self.registry.load("speaker")

    def profile(self, speaker: Speaker, language: str) -> VoiceProfile:
        return build_profile(speaker.enrolment, self.encoder, self.tts, language)

    def speak(self, method: str, profile: VoiceProfile, language: str, texts) -> tuple[list[Audio], float, float]:
        """Dubs, CPU milliseconds per second of sound of the filter, and of building it."""
        if method == "raw":
            return [self.tts.speak(text, language, Delivery()).audio for text in texts], 0.0, 0.0
        options = (METHODS | PARTS)[method]
        began = time.thread_time()
        matcher = VoiceMatcher(profile, self.tts, language, options or MatchOptions(base="engine"), self.encoder)
        built = 1000 * (time.thread_time() - began)
        spoken = [self.tts.speak(text, language, matcher.delivery()) for text in texts]
        if options is None:
            return [speech.audio for speech in spoken], 0.0, 0.0
        began = time.thread_time()
        dubs = [matcher.apply(speech).audio for speech in spoken]
        return dubs, 1e6 * (time.thread_time() - began) / sum(dub.seconds for dub in dubs) / 1000, built

    def hear(self, audio: Audio) -> str:
        asr = self.registry.load("asr")
        session = asr.listen(AsrOptions("en"))
        silence = np.zeros(SAMPLE_RATE // 4, np.float32)
        level = 0.05 / max(1e-6, float(np.sqrt(np.mean(audio.samples**2))))
        noise = np.random.default_rng(0).normal(0, 1e-4, len(audio.samples) + len(silence) * 2)
        padded = np.concatenate([silence, audio.samples * np.float32(level), silence])
        session.accept((padded + noise).astype(np.float32))
        return session.finish().text


def similarity_rows(bench: Bench, speakers: list[Speaker], methods: list[str]) -> dict:
    def centre(speaker: Speaker) -> np.ndarray:
        total = np.sum([bench.encoder.embed(a) for a in speaker.others if a.seconds >= 1.5], axis=0)
        return total / np.linalg.norm(total)

    centres = np.stack([centre(s) for s in speakers])
    mixtures = [Mixture(mfcc(s.other_samples)) for s in speakers]
    everyone = Mixture(np.concatenate([mfcc(s.other_samples)[::4] for s in speakers]), 32)
    f0s = [measure(Audio(np.concatenate([a.samples for a in s.enrolment]))).f0_median for s in speakers]
    shapes = np.stack([formants(s.other_samples, f0) for s, f0 in zip(speakers, f0s, strict=True)])
    result: dict = {"speakers": {}, "methods": {}}
    profiles, costs = [], []
    for index, speaker in enumerate(speakers):
        began = time.thread_time()
        profiles.append(bench.profile(speaker, "es"))
        costs.append(1000 * (time.thread_time() - began))
        whole = bench.encoder.embed(Audio(np.concatenate([a.samples for a in speaker.enrolment])))
        real = [float(bench.encoder.embed(a) @ whole) for a in speaker.others if a.seconds >= 1.5]
        result["speakers"][speaker.name] = {
            "f0": f0s[index],
            "seconds": profiles[-1].seconds,
            "ceiling": float(np.mean(real)),
            "ceiling_centre": float(whole @ centres[index]),
            "variant": profiles[-1].variant,
        }
    result["profile_cpu_ms"] = float(np.median(costs))
    for method in methods:
        rows = {}
        for index, (speaker, profile) in enumerate(zip(speakers, profiles, strict=True)):
            try:
                dubs, per_second, built = bench.speak(method, profile, "es", SPANISH)
            except Unavailable as error:
                print(f"{method}: {error.sentence} {error.remedy}")
                rows = {}
                break
            samples = np.concatenate([dub.samples for dub in dubs])
            cosines = centres @ bench.encoder.embed(Audio(samples))
            frames = mfcc(samples)
            likely = np.array([m.score(frames) for m in mixtures]) - everyone.score(frames)
            spread = shapes.std(axis=0)
            away = np.sqrt((((formants(samples, f0s[index]) - shapes) / spread) ** 2).mean(axis=1))
            f0 = praat_f0(samples)
            rows[speaker.name] = {
                "similarity": float(cosines[index]),
                "to_others": float(np.delete(cosines, index).mean()),
                "nearest": speakers[int(cosines.argmax())].name,
                "gmm": float(likely[index]),
                "gmm_others": float(np.delete(likely, index).mean()),
                "formants": float(away[index]),
                "formants_others": float(np.delete(away, index).mean()),
                "f0": f0,
                "f0_error": f0 / f0s[index] - 1,
                "ms_per_second": per_second,
                "build_ms": built,
            }
        if rows:
            result["methods"][method] = rows
            print_row(method, rows, speakers)
    return result


def print_row(method: str, rows: dict, speakers: list[Speaker]) -> None:
    def mean(key: str) -> float:
        return float(np.mean([row[key] for row in rows.values()]))

    right = sum(row["nearest"] == name for name, row in rows.items())
    worst = max(abs(row["f0_error"]) for row in rows.values())
    print(
        f"{method:24} self {mean('similarity'):.3f}  others {mean('to_others'):.3f}  nearest {right:2}/{len(speakers)}"
        f"  mixture {mean('gmm'):+.2f} (others {mean('gmm_others'):+.2f})"
        f"  formants {mean('formants'):.2f} (others {mean('formants_others'):.2f})  F0 {100 * worst:4.1f} % at worst"
        f"  {mean('ms_per_second'):.1f} ms/s, built in {mean('build_ms'):.0f} ms",
        flush=True,
    )


def word_rows(bench: Bench, speakers: list[Speaker], methods: list[str]) -> dict:
    """Word errors: raw speech once, every other method for each speaker."""
    result = {}
    for method in methods:
        rows = {}
        for speaker in speakers[:1] if method == "raw" else speakers:
            try:
                dubs, _, _ = bench.speak(method, bench.profile(speaker, "en-us"), "en-us", SENTENCES)
            except Unavailable:
                break
            counts = [distance(text, bench.hear(dub)) for text, dub in zip(SENTENCES, dubs, strict=True)]
            rows[speaker.name] = {"wrong": [wrong for wrong, _ in counts], "words": [words for _, words in counts]}
        if rows:
            result[method] = rows
            wer = {name: 100 * sum(row["wrong"]) / sum(row["words"]) for name, row in rows.items()}
            each = "  ".join(f"{name} {value:.0f}" for name, value in wer.items())
            print(f"{method:24} WER {np.mean(list(wer.values())):.1f} %   {each}", flush=True)
    return result


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    means = differences[rng.integers(0, len(differences), (4000, len(differences)))].mean(axis=1)
    return float(differences.mean()), *(float(q) for q in np.percentile(means, (2.5, 97.5)))


def compare(result: dict, ours: str, words: dict) -> dict:
    """Paired differences of our method against the others: over speakers, and over sentences for words."""
    table = {}
    mine = result["methods"][ours]
    for method, rows in result["methods"].items():
        if method == ours:
            continue
        gains = np.array([mine[name]["similarity"] - rows[name]["similarity"] for name in rows])
        entry = {"similarity": interval(gains), "worst": float(gains.min())}
        if ours in words and method in words:
            per_sentence = []
            for name, row in words[ours].items():
                other = words[method].get(name) or next(iter(words[method].values()))
                per_sentence += [
                    100 * (a - b) / n for a, b, n in zip(row["wrong"], other["wrong"], row["words"], strict=True)
                ]
            entry["wer"] = interval(np.array(per_sentence))
        table[method] = entry
        wer = "" if "wer" not in entry else "  WER {:+.1f} [{:+.1f}, {:+.1f}]".format(*entry["wer"])
        print(
            f"{ours} - {method:24} similarity {{:+.3f}} [{{:+.3f}}, {{:+.3f}}]".format(*entry["similarity"])
            + f"  smallest {entry['worst']:+.3f}{wer}"
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--models", type=Path, default=models_home().models)
    parser.add_argument("--methods", nargs="+", choices=METHODS | PARTS, default=list(METHODS))
    parser.add_argument("--speakers", nargs="+", default=[*TUNED_ON, *UNTOUCHED])
    parser.add_argument("--no-words", action="store_true")
    options = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"The recordings of {DATA} are not here.")
    bench = Bench(options.models)
    speakers = [load_speaker(name) for name in options.speakers]
    result = similarity_rows(bench, speakers, options.methods)
    facts = result["speakers"].values()
    print(
        f"real speech: utterance against enrolment {np.mean([f['ceiling'] for f in facts]):.3f},"
        f" profile built in {result['profile_cpu_ms']:.0f} ms"
    )
    heard = [s for s in speakers if s.name in HEARD]
    words = {} if options.no_words else word_rows(bench, heard, options.methods)
    result["words"] = words
    if "transport" in result["methods"]:
        result["compared"] = compare(result, "transport", words)
        fresh = [n for n in UNTOUCHED if n in result["methods"]["transport"]]
        for method, rows in result["methods"].items():
            if fresh:
                print(f"untouched speakers, {method:24} {np.mean([rows[n]['similarity'] for n in fresh]):.3f}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(strict(result, indent=1) + "\n")
        print(f"written to {options.json}")
    bench.registry.close()


if __name__ == "__main__":
    main()
