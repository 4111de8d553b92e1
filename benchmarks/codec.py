"""The voice codec on speakers it has not heard, beside Opus, Codec2 and learnt quantisers; and what a codebook of one's
own, and one from a group, save.

`python benchmarks/codec.py [--json FILE] [--picture FILE] [--quick] [--own] [--every N]`; needs ../shared/data. All
rates are of real bytes; PESQ needs the `pesq` package, Codec2 needs Debian's c2enc and c2dec: what is missing is said
and left out.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soxr
from codec_liars import KINDS, just_good_enough
from codec_rivals import CODEC2, FiniteScalar, Residual, codec2, has_codec2, opus
from pystoi import stoi
from strict_json import strict

from ml.audio.logmel import LogMel, griffin_lim, log_mel
from ml.audio.read import read
from ml.federated.people import recorded
from ml.types import Audio, Samples
from ml.voice.codec.bits import costs
from ml.voice.codec.blocks import BLOCK, BLOCK_SECONDS, REFERENCE, Bands, floored, from_bands, level, to_bands
from ml.voice.codec.codebook import Codebook, genesis_codebook
from ml.voice.codec.container import Coded, to_file
from ml.voice.codec.fitting import Personal, adapted, group_codebook, personal
from ml.voice.codec.moments import Moments, bands_of
from ml.voice.codec.packet import Block, to_packet
from ml.voice.codec.pitch import Pitch, f0_of_frames, from_pitch, to_pitch
from ml.voice.codec.quantiser import analyse, choose, restore, synthesise
from ml.voice.codec.speech import decode, decode_frames, encode
from ml.voice.codec.stream import Frames
from ml.voice.codec.synthesis import sound_of
from ml.voice.codec.together import Statement, learnt_together, stated
from ml.voice.codec.transfer import pack
from ml.voice.measures import DB, mcd, mse

try:
    from pesq import pesq
except ImportError:
    pesq = None

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
RATES = (1.0, 1.6, 2.4, 3.2)
STEPS = (66, 71, 76, 81)
REAL_STEPS = (71, 78)
REAL_BLOCKS = 40
FOLDS = 5
LOSS = 0.05
MOST_HEARD, LIARS = (3, 8, 27), 4
SEED = 5
SLACK = 0.5
"""Points below which somebody counts as not worse off than without peers."""
SPOKEN = ("Babelmesh 1", "Babelmesh 2.4", "Codec2 3200", "Opus 6")
"""What the recogniser listens through."""

Speech = Sequence[LogMel]
Coder = Callable[[Samples], tuple[Samples, float, float]]
"""Sound to decoded sound, bit/s of packets, bit/s with headers."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def clips(seconds: float, every: int) -> list[tuple[str, Samples]]:
    """The beginning of each test speaker's unseen speech, utterances one after another, whole blocks."""
    found = []
    entries = json.loads((DATA / "speakers" / "manifest.json").read_text(encoding="utf-8"))
    for entry in [one for one in entries if one["split"] == "test"][::every]:
        samples = read(DATA / "speakers" / entry["file"]).samples
        spoken = np.concatenate([samples[part["start"] : part["end"]] for part in entry["segments"]])
        spoken = spoken[: int(16000 * seconds)]
        found.append((entry["speaker"], spoken[: len(spoken) // BLOCK * BLOCK].copy()))
    return found


def ours(rate: float, *, loss: float = 0.0, pitch: bool = True) -> Coder:
    book = genesis_codebook()

    def run(sound: Samples) -> tuple[Samples, float, float]:
        coded = encode(Audio(sound), book, rate)
        seconds, rng = len(sound) / 16000, np.random.default_rng(int(1e6 * np.abs(sound).sum()))
        bits = 8 * sum(len(packet or b"") for packet in coded.packets) / seconds
        whole = 8 * len(to_file(coded, book)) / seconds
        if loss:
            gone = set(rng.permutation(len(coded.packets))[: max(1, round(loss * len(coded.packets)))].tolist())
            packets = tuple(None if at in gone else packet for at, packet in enumerate(coded.packets))
            coded = Coded(coded.codebook, coded.step, coded.gain, coded.samples, packets)
        heard = np.concatenate(list(decode(coded))) if pitch else griffin_lim(decode_frames(coded).mel).samples
        return heard, bits, whole

    return run


def learnt(quantiser: Residual | FiniteScalar) -> Coder:
    """A learnt quantiser in the codec's place; pitch at the entropy it has in the codec's tables."""
    book = genesis_codebook()

    def run(sound: Samples) -> tuple[Samples, float, float]:
        mel = log_mel(sound)
        gain = np.float32(REFERENCE - level(mel))
        rebuilt = from_bands(quantiser(to_bands(mel + gain))) - gain
        pitches = [to_pitch(f0) for f0 in f0_of_frames(sound, 0, len(mel)).reshape(-1, 8)]
        f0 = np.concatenate([from_pitch(one) for one in pitches])
        bits = quantiser.bits() + sum(map(pitch_bits, pitches)) / (len(sound) / 16000)
        return np.concatenate(list(sound_of(Frames(rebuilt, f0)))), bits, bits

    def pitch_bits(one: Pitch) -> float:
        voicing = costs(book.odds("voicing").sum(axis=0))[one.pattern]
        more = costs(book.odds("pitch"))[one.height] + costs(book.odds("slope"))[one.slope] if one.pattern else 0
        return float(voicing + more)

    return run


def unchanged(sound: Samples) -> tuple[Samples, float, float]:
    """No quantiser: 80 mel values of each frame, the true pitch, and the vocoder. The ceiling of the codec."""
    mel = log_mel(sound)
    f0 = f0_of_frames(sound, 0, len(mel))
    return np.concatenate(list(sound_of(Frames(mel, f0)))), float("nan"), float("nan")


def judged(sound: Samples, heard: Samples) -> dict[str, float]:
    """Error of what is heard: log-mel above the floor and mel cepstra in dB, and how well it is understood."""
    one, other = log_mel(sound), log_mel(heard[: len(sound)])
    gain = np.float32(REFERENCE - level(one))
    narrow = [soxr.resample(part, 16000, 8000) for part in (sound, heard[: len(sound)])]
    found = {
        "rmse_db": float(DB * np.sqrt(mse(floored(other + gain), floored(one + gain)))),
        "mcd": mcd(floored(other + gain), floored(one + gain)),
        "stoi": float(stoi(sound, heard[: len(sound)], 16000)),
        "stoi_narrow": float(stoi(narrow[0], narrow[1], 8000)),
    }
    if pesq is not None:
        found["pesq"] = float(pesq(16000, sound, heard[: len(sound)], "wb"))
        found["pesq_narrow"] = float(pesq(8000, narrow[0], narrow[1], "nb"))
    return found


def quality(sounds: list[tuple[str, Samples]], coders: dict[str, Coder]) -> dict[str, dict[str, float]]:
    rows = {}
    for name, coder in coders.items():
        began, parts, rates = time.process_time(), [], []
        for _, sound in sounds:
            heard, bits, whole = coder(sound)
            rates.append((bits, whole, len(sound)))
            parts.append(judged(sound, heard))
        bits, whole, lengths = np.array(rates).T
        rows[name] = {
            "bits": float((bits * lengths).sum() / lengths.sum()),
            "file_bits": float((whole * lengths).sum() / lengths.sum()),
            **{key: float(np.mean([part[key] for part in parts])) for key in parts[0]},
        }
        say(f"{name}: {time.process_time() - began:.0f} s of CPU")
    return rows


def words(coders: dict[str, Coder]) -> dict[str, float]:
    """Word error rate (%) of the embedded recogniser on LibriVox and LibriSpeech sentences through each coder."""
    import jiwer
    from asr import by_engine, normalise, recordings, sphinx

    from ml.engines.protocols import AsrOptions, EngineHome

    _, found = recordings()
    spoken = [one for one in found if one.group in ("librivox", "libri", "lj") and 3 < one.seconds < 8][:6]
    engine = sphinx.SPEC.factory(EngineHome(ROOT))
    hear = by_engine(engine, AsrOptions(language="en"))
    rates = {}
    for name, coder in {"original": None, **coders}.items():
        texts = []
        for one in spoken:
            sound = one.samples[: len(one.samples) // BLOCK * BLOCK]
            heard = coder(sound)[0].astype(np.float32) if coder else sound
            texts.append(normalise(hear(type(one)(one.name, one.group, one.text, heard)).text))
        rates[name] = 100 * jiwer.wer([one.text for one in spoken], texts)
        say(f"WER {name}: {rates[name]:.1f} %")
    engine.close()
    return rates


def curve(book: Codebook, bands: Bands) -> np.ndarray:
    """`[steps, 2]`: bit/s by the codebook's tables and squared error per value, from the finest step on."""
    points = []
    coefficients = analyse(book, bands)
    for step in STEPS:
        chosen = choose(book, coefficients, step)
        rebuilt = synthesise(book, restore(book, chosen.classes, chosen.integers, step))
        points.append((chosen.bits.mean() / BLOCK_SECONDS, np.square(bands - rebuilt).mean()))
    return np.array(points)


def real_curve(book: Codebook, bands: Bands) -> np.ndarray:
    """The same from real packets, without pitch, of the first blocks."""
    points = []
    bands = bands[:REAL_BLOCKS]
    for step in REAL_STEPS:
        chosen = choose(book, analyse(book, bands), step)
        rebuilt = synthesise(book, restore(book, chosen.classes, chosen.integers, step))
        sizes = [
            len(to_packet(book, Block(int(number), integers, Pitch(0)), step))
            for number, integers in zip(chosen.classes, chosen.integers, strict=True)
        ]
        points.append((8 * np.mean(sizes) / BLOCK_SECONDS, np.square(bands - rebuilt).mean()))
    return np.array(points)


def saved(before: np.ndarray, after: np.ndarray) -> float:
    """Percent of the bits that `after` saves at the errors that both reach, on the interpolated curves."""
    one, other = np.log(before), np.log(after)
    errors = np.linspace(max(one[0, 1], other[0, 1]), min(one[-1, 1], other[-1, 1]), 9)
    gain = np.interp(errors, other[:, 1], other[:, 0]) - np.interp(errors, one[:, 1], one[:, 0])
    return float(100 * (1 - np.exp(gain.mean())))


def with_and_without(book: Codebook, groups: tuple[Codebook, ...], spoken: Speech, held_out: Speech) -> list[Personal]:
    """The codebook of a person who has everybody's, and of one who has those of groups too: the cheapest of all."""
    found = [personal([prior], spoken, held_out) for prior in (book, *groups)]
    return [found[0], min(found, key=lambda one: one.cost)]


def cunning(book: Codebook, learn: Sequence[Bands]) -> list[Statement]:
    """What each person would state as a liar that knows how statements are ranked."""
    rng = np.random.default_rng(SEED)
    return [just_good_enough(book, stated(book, bands), bands, rng) for bands in learn]


def heard_by(number: int, statements: Sequence[Statement], liars: Sequence[Statement]) -> dict[str, list[Statement]]:
    """Whose statements a person may have, drawn from all other people: few and many, and a third of them hostile."""
    rng = np.random.default_rng([SEED, number])
    others = [int(other) for other in rng.permutation(len(statements)) if other != number]
    honest, bad = [statements[other] for other in others], others[MOST_HEARD[1] :]
    kinds = list(KINDS.values())
    loud = [kinds[(number + place) % len(kinds)](statements[other], rng) for place, other in enumerate(bad[:LIARS])]
    heard = {f"{count} statements": honest[:count] for count in MOST_HEARD}
    heard[f"{MOST_HEARD[1]} statements and {LIARS} liars"] = honest[: MOST_HEARD[1]] + loud
    heard[f"{MOST_HEARD[1]} statements and {LIARS} cunning liars"] = [
        *honest[: MOST_HEARD[1]],
        *(liars[other] for other in bad[:LIARS]),
    ]
    return heard


def alone_of(name: str, rows: Sequence[dict]) -> np.ndarray:
    """What each person saves without anybody's statements, for a row of own speech; else nothing."""
    alone = "6 s of own + genesis" if name.startswith("6 s") else "own + genesis"
    return np.array([row[alone] if name.startswith(alone) else 0.0 for row in rows])


def own(every: int) -> dict:
    """Bits saved by each way to a codebook, against everybody's, on the test speech of each `every`th person."""
    book, people = genesis_codebook(), recorded(DATA / "speakers")
    learn = [bands_of(one.speech.train) for one in people]
    test = [bands_of(one.test) for one in people]
    everybody = [group_codebook(book, [b for j, b in enumerate(learn) if j % FOLDS != fold]) for fold in range(FOLDS)]
    kinds = sorted({one.group for one in people})
    alike = {
        (kind, fold): group_codebook(
            book, [b for j, b in enumerate(learn) if j % FOLDS != fold and people[j].group == kind] or learn[:1]
        )
        for kind in kinds
        for fold in range(FOLDS)
    }
    statements, liars = [stated(book, bands) for bands in learn], cunning(book, learn)
    rows, sizes, real = [], [], []
    for number in range(0, len(people), every):
        one, fold = people[number], number % FOLDS
        base = curve(book, test[number])
        near, mixed = alike[one.group, fold], everybody[fold]
        little = [mel[:125] for mel in one.speech.train][: 3 if len(one.speech.train) < 20 else 6]
        mine, ours = with_and_without(book, (near, mixed), one.speech.train, one.speech.held_out)
        short_mine, short_ours = with_and_without(book, (near, mixed), little, one.speech.held_out)
        books = {
            "newcomer: codebook of all other people": mixed,
            "newcomer: codebook of people of the same collection": near,
            "own speech only": adapted(book, Moments.of(learn[number]), learn[number]),
            "own + genesis": mine.codebook,
            "own + genesis + peers": ours.codebook,
            "6 s of own + genesis": short_mine.codebook,
            "6 s of own + genesis + peers": short_ours.codebook,
        }
        for name, heard in heard_by(number, statements, liars).items():
            for who, spoken in (("own", one.speech.train), ("6 s of own", little)):
                found = learnt_together(book, heard, spoken, one.speech.held_out).best
                books[f"{who} + genesis + {name}"] = found.codebook
        say(f"{one.name}: {saved(base, curve(ours.codebook, test[number])):.1f} % saved")
        rows.append(
            {"name": one.name, "group": one.group} | {k: saved(base, curve(b, test[number])) for k, b in books.items()}
        )
        sizes.append(len(pack(ours.codebook, book)))
        real.append(saved(real_curve(book, test[number]), real_curve(ours.codebook, test[number])))
    table = {}
    for name in [key for key in rows[0] if key not in ("name", "group")]:
        values = np.array([row[name] for row in rows])
        worst = np.sort(values)[: max(1, round(len(values) / 10))]
        table[name] = {
            "mean": float(values.mean()),
            "median": float(np.median(values)),
            "worst_decile": float(worst.mean()),
            "gain": int((values > 0).sum()),
            "worse": int((values < alone_of(name, rows) - SLACK).sum()),
            "people": len(values),
            **{kind: float(np.mean([row[name] for row in rows if row["group"] == kind])) for kind in kinds},
        }
    return {
        "table": table,
        "people": rows,
        "codebook_bytes": float(np.mean(sizes)),
        "real_bytes_saved": float(np.mean(real)),
    }


def picture(result: dict, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "codec"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2))
    for axis, key, label in zip(
        axes, ("stoi_narrow", "pesq_narrow"), ("STOI, 0-4 kHz", "PESQ, narrow band"), strict=False
    ):
        for family, mark in (("Babelmesh", "o-"), ("Codec2", "s--"), ("Opus", "D"), ("RVQ", "^"), ("FSQ", "v")):
            points = [
                (r["bits"] / 1000, r[key])
                for n, r in result["quality"].items()
                if n.startswith(family) and key in r and "," not in n
            ]
            if points:
                axis.plot(*zip(*sorted(points), strict=True), mark, label=family)
        axis.set(xlabel="kbit/s, real bytes", ylabel=label)
        axis.grid(alpha=0.3)
        axis.legend()
    for name, style in (("own + genesis + peers", "-"), ("own + genesis", "--"), ("own speech only", ":")):
        axes[2].plot(sorted(row[name] for row in result["own"]["people"]), style, label=name)
    axes[2].axhline(0, color="grey", lw=0.8)
    axes[2].set(xlabel="people, sorted", ylabel="bits saved at equal error, %")
    axes[2].legend()
    axes[2].grid(alpha=0.3)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def show(result: dict) -> None:
    columns = ("bits", "file_bits", "rmse_db", "mcd", "stoi", "pesq", "stoi_narrow", "pesq_narrow")
    heads = ("bit/s", "with headers", "RMSE dB", "MCD dB", "STOI", "PESQ", "STOI 0-4 kHz", "PESQ narrow", "WER %")
    print(f"{'coder':44}" + "".join(f"{head:>14}" for head in heads))
    for name, row in result.get("quality", {}).items():
        cells = [row.get(key, float("nan")) for key in columns] + [result.get("wer", {}).get(name, float("nan"))]
        shown = [
            f"{cell:.0f}" if key.endswith("bits") else f"{cell:.3f}"
            for key, cell in zip((*columns, "wer"), cells, strict=True)
        ]
        print(f"{name:44}" + "".join(f"{'-' if cell == 'nan' else cell:>14}" for cell in shown))
    if "wer" in result:
        print(f"WER of the original: {result['wer']['original']:.1f} %")
    heads = f"{'mean':>8}{'median':>8}{'worst 10 %':>11}{'gain':>9}{'worse':>7}"
    print(f"\n{'bits saved at equal error, %':56}{heads}  by collection")
    for name, row in result["own"]["table"].items():
        kinds = ", ".join(f"{key[:24]} {value:.1f}" for key, value in row.items() if key[:1].isupper())
        counted = f"{row['gain']}/{row['people']}"
        figures = f"{row['mean']:8.1f}{row['median']:8.1f}{row['worst_decile']:11.1f}{counted:>9}{row['worse']:7}"
        print(f"{name:56}{figures}  {kinds}")
    print(f"A codebook of one's own is sent once, in {result['own']['codebook_bytes']:.0f} bytes.")
    real = result["own"]["real_bytes_saved"]
    print(f"Real packets of the first {REAL_BLOCKS} blocks, pitch not counted: {real:.1f} % saved.")
    print("\n".join(result["missing"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--quick", action="store_true", help="every sixth speaker, no learnt rivals, no recogniser")
    parser.add_argument("--every", type=int, help="people by whom codebooks are judged; with --quick every sixth")
    parser.add_argument("--own", action="store_true", help="only what codebooks of one's own and of peers save")
    given = parser.parse_args()
    if not (DATA / "speakers" / "manifest.json").is_file():
        print("There are no speakers in ../shared/data: nothing was measured.")
        return
    began = time.process_time()
    sounds = clips(2.0 if given.quick else 3.0, 6 if given.quick else 4)
    coders: dict[str, Coder] = {f"Babelmesh {rate:g}": ours(rate) for rate in RATES}
    missing = [] if pesq else ["PESQ is missing: pip install pesq."]
    if has_codec2():
        coders |= {f"Codec2 {mode}": _twice(partial(codec2, mode=mode)) for mode in CODEC2}
    else:
        missing.append("Codec2 is missing: apt-get install codec2.")
    coders["Opus 6"] = _twice(partial(opus, rate=6000))
    heard = dict(coders)
    coders["Babelmesh 2.4, 5 % of packets lost"] = ours(2.4, loss=LOSS)
    coders["Babelmesh 2.4, pitch not used"] = ours(2.4, pitch=False)
    coders["no coder, the same vocoder"] = unchanged
    result: dict = {"speakers": len(sounds), "missing": missing}

    def keep() -> None:
        result["cpu_seconds"] = time.process_time() - began
        say(f"{result['cpu_seconds']:.0f} s of CPU so far")
        if given.json:
            given.json.write_text(strict(result, indent=1) + "\n", encoding="utf-8")

    result["own"] = own(given.every or (6 if given.quick else 1))
    keep()
    if given.own:
        show(result)
        return
    result["quality"] = quality(sounds, coders)
    keep()
    if not given.quick:
        pool, rivals = pool_bands(), {}
        for rate in (1.0, 2.4):
            rivals[f"RVQ {rate:g}"] = learnt(Residual(genesis_codebook(), pool, rate))
            rivals[f"FSQ {rate:g}"] = learnt(FiniteScalar(genesis_codebook(), pool, rate))
        result["quality"] |= quality(sounds, rivals)
        keep()
        result["wer"] = words({name: heard[name] for name in SPOKEN if name in heard})
        keep()
    show(result)
    if given.picture:
        picture(result, given.picture)


def _twice(coder: Callable[[Samples], tuple[Samples, float]]) -> Coder:
    def run(sound: Samples) -> tuple[Samples, float, float]:
        heard, bits = coder(sound)
        return heard, bits, bits

    return run


def pool_bands() -> Bands:
    """Blocks of the pool that the codebook was made from."""
    parts = []
    for entry in json.loads((DATA / "genesis" / "manifest.json").read_text(encoding="utf-8")):
        samples = read(DATA / "genesis" / entry["file"]).samples
        parts += [bands_of([log_mel(samples[part["start"] : part["end"]])]) for part in entry["segments"]]
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
