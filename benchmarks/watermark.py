"""The watermark of synthetic speech: whether it is heard, what it outlives, how often it is seen where it is not.

python benchmarks/watermark.py [--json FILE] [--picture FILE] [--seconds 5] [--clips 24] [--minutes 30] [--quick]

Real speech: ../shared/data where it is there, examples/audio otherwise; and what espeak-ng says. Every clip is marked
with a number of its own, goes through one attack, is cut at an odd sample, and is searched alone. Codecs are libav's,
through PyAV, and 8 kHz telephone is 300 to 3400 Hz with A-law. Audibility is by measures, not by listeners:
noise-to-mask ratio with the model that the writer uses, on frames that the writer does not use; and by STOI.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import av
import numpy as np
import soxr
from figures_table import figures_table
from models_home import models_home
from rich.console import Console
from strict_json import strict
from watermark_picture import draw

from ml.audio.markcode import Mark
from ml.audio.masking import critical_starts, noise_to_tone
from ml.audio.read import read
from ml.audio.watermark import watermark
from ml.audio.watermark_search import WatermarkSearch
from ml.engines.espeak import SPEC
from ml.engines.protocols import EngineHome
from ml.types import SAMPLE_RATE, Audio, Delivery, Samples

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
Attack = Callable[[Samples], Samples]


def recordings(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((DATA / folder).glob("*")) if path.suffix in _SOUND]
    return found or sorted(path for path in (ROOT / "examples" / "audio").glob("*") if path.suffix in _SOUND)


_SOUND = {".flac", ".opus", ".wav"}


def resampled(sound: Samples, rate: float, new: float) -> Samples:
    return np.asarray(soxr.resample(sound, rate, new), np.float32)


def coded(sound: Samples, codec: str, muxer: str, bit_rate: int | None, rate: int) -> Samples:
    """Through a codec and back to 16 kHz."""
    buffer = io.BytesIO()
    sent = resampled(sound, SAMPLE_RATE, rate)
    with av.open(buffer, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        if bit_rate:
            stream.bit_rate = bit_rate
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.frame_size or 0)
        frame = av.AudioFrame.from_ndarray(sent[None], "flt", "mono")
        frame.sample_rate, frame.pts = rate, 0
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    buffer.seek(0)
    back = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(buffer) as container:
        frames = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in back.resample(frame)]
        frames += [part.to_ndarray()[0] for part in back.resample(None)]
    return np.concatenate(frames).astype(np.float32)


def telephone(sound: Samples) -> Samples:
    spectrum = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    return coded(np.fft.irfft(spectrum, len(sound)).astype(np.float32), "pcm_alaw", "wav", None, 8000)


def noisy(decibel: float) -> Attack:
    def attack(sound: Samples) -> Samples:
        noise = np.random.default_rng(len(sound)).standard_normal(len(sound))
        return (sound + noise * np.sqrt((sound**2).mean() / 10 ** (decibel / 10))).astype(np.float32)

    return attack


def room(sound: Samples) -> Samples:
    """A room of 0.3 s (T60), direct sound and reverberation of equal energy."""
    rng = np.random.default_rng(0)
    tail = rng.standard_normal(4800) * 10 ** (-3 * np.arange(4800) / 4800)
    tail /= np.sqrt((tail**2).sum())
    tail[0] += 1
    size = len(sound) + len(tail)
    return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)[: len(sound)].astype(np.float32)


ATTACKS: dict[str, Attack] = {
    "none": lambda s: s,
    "AAC 128 kbit/s": lambda s: coded(s, "aac", "adts", 128_000, 48_000),
    "AAC 96 kbit/s": lambda s: coded(s, "aac", "adts", 96_000, 48_000),
    "AAC 64 kbit/s": lambda s: coded(s, "aac", "adts", 64_000, 48_000),
    "MP3 64 kbit/s": lambda s: coded(s, "libmp3lame", "mp3", 64_000, 44_100),
    "Opus 32 kbit/s": lambda s: coded(s, "libopus", "ogg", 32_000, 48_000),
    "Opus 24 kbit/s": lambda s: coded(s, "libopus", "ogg", 24_000, 48_000),
    "Opus 12 kbit/s": lambda s: coded(s, "libopus", "ogg", 12_000, 48_000),
    "16 -> 48 -> 16 kHz": lambda s: resampled(resampled(s, 16_000, 48_000), 48_000, 16_000),
    "16 -> 44.1 -> 16 kHz": lambda s: resampled(resampled(s, 16_000, 44_100), 44_100, 16_000),
    "telephone, 8 kHz A-law": telephone,
    "AMR 12.2 kbit/s": lambda s: coded(s, "libopencore_amrnb", "amr", 12_200, 8_000),
    "12 dB louder, clipped": lambda s: np.clip(s * 4, -1, 1),
    "12 dB softer, 16 bit": lambda s: (np.round(s / 4 * 32767) / 32767).astype(np.float32),
    "noise at 20 dB": noisy(20),
    "noise at 10 dB": noisy(10),
    "1 % quicker": lambda s: resampled(s, 16_160, 16_000),
    "1 % slower": lambda s: resampled(s, 15_840, 16_000),
    "0.5 % quicker, then Opus 24": lambda s: coded(resampled(s, 16_080, 16_000), "libopus", "ogg", 24_000, 48_000),
    "room, T60 0.3 s": room,
    "telephone and noise at 20 dB": lambda s: telephone(noisy(20)(s)),
}


LENGTHS = (1, 2, 3, 5, 10, 30)
"""Seconds that are heard."""
LENGTHS_AFTER = (
    *("none", "AAC 64 kbit/s", "Opus 24 kbit/s", "telephone, 8 kHz A-law", "Opus 12 kbit/s"),
    *("noise at 20 dB", "noise at 10 dB", "room, T60 0.3 s"),
)
PITCHES = (95, 120, 165, 210)
"""Hz of the synthetic voice."""
AT_ONCE = 4
"""Sentences that are said at one pitch."""
MOST = 4
"""Clips that are taken of one recording."""


def clips(seconds: float, count: int, sounds: Iterable[Samples]) -> list[Samples]:
    """`count` pieces of speech, each `seconds` and 1.5 more: one of every sound that is long enough, then a second of
    every one, up to `MOST`; fewer where that is not enough."""
    size = round((seconds + 1.5) * SAMPLE_RATE)
    rounds: list[list[Samples]] = [[] for _ in range(MOST)]
    for sound in sounds:
        for number in range(min(MOST, len(sound) // size)):
            rounds[number].append(sound[number * size : (number + 1) * size].copy())
        if len(rounds[0]) == count:
            break
    return list(chain(*rounds))[:count]


def recorded(words: bool = False) -> Iterator[Samples]:
    """Read sentences, with `words` single words into telephones and laptops too; in an order drawn by chance, the same
    each time, so that a few of them are of many people."""
    paths = [path for path in recordings("speech", "speakers", "genesis") if words or not path.name.startswith("asc-")]
    for at in np.random.default_rng(21).permutation(len(paths)):
        yield read(paths[at]).samples


def spoken(home: EngineHome, language: str = "es") -> Iterator[Samples]:
    """The sentences of the translation benchmark, as the synthesiser that comes with the project says them."""
    rows = (ROOT / "benchmarks" / "data" / "mt_reference.tsv").read_text(encoding="utf-8").splitlines()
    column = rows[0].split("\t").index(language)
    texts = [row.split("\t")[column].split(" || ")[0] for row in rows[1:]]
    with closing(SPEC.factory(home)) as tts:
        for at in range(0, len(texts), AT_ONCE):
            delivery = Delivery(f0_hz=PITCHES[at // AT_ONCE % len(PITCHES)])
            said = [tts.speak(text, language, delivery).audio.samples for text in texts[at : at + AT_ONCE]]
            yield np.concatenate(said)


@dataclass(frozen=True)
class Marked:
    """A clip with a mark of its own; it is heard from sample `start` on."""

    mark: Mark
    sound: Samples
    start: int


def marked(seconds: float, count: int, sounds: Iterable[Samples]) -> list[Marked]:
    rng = np.random.default_rng(6)
    made = []
    for clip in clips(seconds, count, sounds):
        mark = Mark(int(rng.integers(1 << 20)))
        made.append(Marked(mark, watermark(Audio(clip), mark).samples, int(rng.integers(1, SAMPLE_RATE))))
    return made


def outlived(made: list[Marked], seconds: float, attack: Attack, search: WatermarkSearch) -> dict[str, float]:
    found = []
    for clip in made:
        part = attack(clip.sound)[clip.start : clip.start + round(seconds * SAMPLE_RATE)]
        result = search.detect(Audio(part))
        found.append((result.score, result.found, result.mark == clip.mark, result.mark not in (None, clip.mark)))
    score, seen, right, wrong = np.array(found, float).T
    return {
        "clips": len(found),
        "score_p50": float(np.median(score)),
        "score_least": float(score.min()),
        "found": float(seen.mean()),
        "read": float(right.mean()),
        "misread": float(wrong.mean()),
    }


def lengths(count: int, search: WatermarkSearch) -> dict[str, dict[str, float]]:
    """The share of clips in which the mark is found, by attack and by how many seconds are heard."""
    rows: dict[str, dict[str, float]] = {name: {} for name in ("clips", *LENGTHS_AFTER)}
    for seconds in LENGTHS:
        made = marked(seconds, count, recorded())
        rows["clips"][f"{seconds} s"] = len(made)
        for name in LENGTHS_AFTER:
            rows[name][f"{seconds} s"] = outlived(made, seconds, ATTACKS[name], search)["found"] if made else math.nan
    return rows


def heard(count: int) -> dict[str, float]:
    """Measures of what the mark adds, at 16 and 48 kHz, on frames of 21 ms, begun where none is written."""
    from pystoi import stoi

    result: dict[str, float] = {}
    for rate in (16_000, 48_000):
        lasts, ratios, snr, intelligible = round(rate * 0.0213), [], [], []
        window = np.hanning(lasts)
        starts = critical_starts(rate / lasts, lasts // 2 + 1)
        for number, clip in enumerate(clips(8.5, count, recorded())):
            plain = resampled(clip, 16_000, rate)
            marked = watermark(Audio(plain, rate), Mark(number)).samples
            added = marked.astype(np.float64) - plain
            pieces = [np.lib.stride_tricks.sliding_window_view(s, lasts)[77 :: lasts // 2] for s in (plain, added)]
            sound, noise = (np.abs(np.fft.rfft(piece * window)) ** 2 for piece in pieces)
            loud = sound.sum(axis=1) > 1e-6 * sound.sum(axis=1).max()
            energy = np.add.reduceat(sound[loud], starts, axis=1)
            mask = noise_to_tone(sound[loud], starts) * energy
            used = (starts * rate / lasts >= 290) & (starts * rate / lasts < 6950)
            ratios.append(
                (10 * np.log10((np.add.reduceat(noise[loud], starts, axis=1) + 1e-20) / (mask + 1e-20)))[:, used]
            )
            snr.append(10 * np.log10(sound[loud].sum(axis=1) / np.maximum(noise[loud].sum(axis=1), 1e-20)))
            intelligible.append(stoi(plain, marked, rate))
        cells = np.concatenate([part.ravel() for part in ratios])
        name = f"{rate // 1000}k"
        result[f"{name}_cells"] = len(cells)
        result[f"{name}_segmental_snr_db"] = float(np.concatenate(snr).clip(-10, 35).mean())
        result[f"{name}_nmr_mean_db"] = float(10 * np.log10((10 ** (cells / 10)).mean()))
        result[f"{name}_nmr_p50_db"] = float(np.median(cells))
        result[f"{name}_nmr_p99_db"] = float(np.quantile(cells, 0.99))
        result[f"{name}_below_mask_share"] = float((cells < 0).mean())
        result[f"{name}_stoi_least"] = float(min(intelligible))
    return result


def unmarked(minutes: float, seconds: float, search: WatermarkSearch) -> dict[str, float]:
    """Scores and alarms on speech that was never marked."""
    scores, alarms, listened = [], 0, 0.0
    for clip in clips(seconds - 1.5, round(minutes * 60 / seconds), recorded(words=True)):
        result = search.detect(Audio(clip))
        scores.append(result.score)
        alarms += result.found
        listened += len(clip) / SAMPLE_RATE
    return {
        "minutes": listened / 60,
        "searches": len(scores),
        "alarms": alarms,
        "score_p50": float(np.median(scores)),
        "score_most": max(scores),
    }


def other_keys(keys: int, seconds: float) -> dict[str, float]:
    """Marked speech searched with other keys: each key is one more draw of the false-alarm lottery."""
    sound = [watermark(Audio(clip), Mark(1)) for clip in clips(seconds - 1.5, 4, recorded())]
    scores, chances, alarms = [], [], 0
    for number in range(keys):
        result = WatermarkSearch(key=number.to_bytes(4, "big")).detect(sound[number % len(sound)])
        scores.append(result.score)
        chances.append(result.chance)
        alarms += result.found
    claimed = np.array(chances)
    return {
        "searches": keys,
        "score_p50": float(np.median(scores)),
        "score_most": max(scores),
        "share_at_chance_0.1": float((claimed <= 0.1).mean()),
        "share_at_chance_0.01": float((claimed <= 0.01).mean()),
        "share_at_chance_1e-4": float((claimed <= 1e-4).mean()),
        "alarms": alarms,
    }


def cost(search: WatermarkSearch) -> dict[str, float]:
    """Least CPU milliseconds per second of sound of three runs."""
    clip = np.resize(clips(5, 1, recorded())[0], 20 * SAMPLE_RATE)
    result = {}
    for rate in (16_000, 48_000):
        audio = Audio(resampled(clip, 16_000, rate), rate)
        for name, work in (
            ("write", lambda a=audio: watermark(a, Mark(7))),
            ("search", lambda a=audio: search.detect(a)),
        ):
            spent = []
            for _ in range(3):
                start = time.process_time()
                work()
                spent.append(time.process_time() - start)
            result[f"{name}_{rate // 1000}k_ms_per_s"] = 1000 * min(spent) / audio.seconds
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="also draw what the mark does to a recording of examples/audio")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    options = parser.parse_args()
    if options.quick:
        options.clips, options.minutes, options.keys = 2, 0.5, 5
    search = WatermarkSearch()
    home = models_home()
    seconds = options.seconds
    survived = {
        name: {attack: outlived(made, seconds, work, search) for attack, work in ATTACKS.items()}
        for name, sounds in (("attacks", recorded()), ("attacks, synthetic voice", spoken(home)))
        if (made := marked(seconds, options.clips, sounds))
    }
    longer = lengths(options.clips // 2, search)
    single = {
        "heard": heard(options.clips),
        "unmarked speech": unmarked(options.minutes, 10, search),
        "other keys": other_keys(options.keys, 5),
        "cost": cost(search),
    }
    console = Console(width=118)
    voices = {"attacks": "recorded", "attacks, synthetic voice": "synthetic (espeak-ng, Spanish)"}
    for name, rows in survived.items():
        console.print(figures_table(f"Found in {seconds:g} s of marked {voices[name]} speech after", rows))
    console.print(figures_table("Share of clips of recorded speech in which it is found, by seconds heard", longer))
    for name, values in single.items():
        console.print(figures_table(name, {key: {"value": value} for key, value in values.items()}))
    if options.json:
        options.json.write_text(strict({**survived, "lengths": longer, **single}, 2) + "\n")
    if options.picture:
        draw(ROOT / "examples" / "audio" / "lj.flac", options.picture)


if __name__ == "__main__":
    main()
