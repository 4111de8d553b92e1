"""One take of a benchmark of lips: a clip, a speech and a renderer, in; what judges read off the new pictures, out.

The judges are trackers that saw nothing else: the one that the renderers themselves go by, and one on another network.
They see each picture twice, as it was drawn and as it came back from the encoder. Knows nothing of tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from skimage.data import astronaut

from ml.engines.protocols import EngineHome, Tts
from ml.lips.curves import curves
from ml.lips.geometry import head_frame, measure
from ml.lips.mouths import Habit, mouths
from ml.lips.presets import PRESETS
from ml.lips.renderers import RendererName, renderer_at
from ml.lips.tracker import second_judge, tracker_at
from ml.lips.types import Face, FaceTracker, Mouth, Patch, Picture, put
from ml.types import SAMPLE_RATE, Audio, Delivery, Phoneme, Speech
from ml.video.encode import VideoOptions
from ml.video.probe import VideoInfo, probe
from ml.video.read import Still, VideoReader
from ml.video.write import VideoWriter

Row = npt.NDArray[np.float64]
Rows = dict[str, dict[str, float | int]]
"""Figures by what they are of."""
Spans = tuple[tuple[float, float], ...]

RATE = 25
MOST_LAG = 15
"""Pictures."""
_SILENCE = 1.0
_LEAVE, _COME = 0.3, 0.25
"""Seconds after and before speech in which lips may still, or already, move."""
_LIPS = ("p", "b", "m")
_MOVES = 0.01
"""Eye-widths of standard deviation from which on a source's lips are said to move."""
_SIDE = 256
"""Pixels of a face on a contact sheet."""
CLIPS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "video"
TEXTS = {
    "en": (
        "My brother bought a big blue umbrella.",
        "People speak, and lips must meet.",
        "Maybe we may have a map.",
        "Both of them jumped above the bamboo.",
    ),
    "es": (
        "Mi abuela compró un paraguas amarillo.",
        "Para poder hablar, la boca se abre.",
        "Mañana vamos a beber un buen vino.",
        "El tiempo pasa y nunca vuelve.",
    ),
}
OPTIONS = VideoOptions(quality="balanced", hardware="off")


@dataclass(frozen=True, eq=False)
class Said:
    """A speech of a wanted length with pauses in it, and when these are."""

    speech: Speech
    silent: Spans


def spoken(tts: Tts, language: str, seconds: float) -> Said:
    """As many whole sentences as there is time for, each between pauses of a second."""
    sounds: list[npt.NDArray[np.float32]] = []
    phonemes: list[Phoneme] = []
    texts: list[str] = []
    silent: list[tuple[float, float]] = []
    at = 0.0
    for text in TEXTS[language] * 4:
        piece = tts.speak(text, language, Delivery())
        if at + _SILENCE + piece.audio.seconds + _SILENCE > seconds and texts:
            break
        silent.append((at, at + _SILENCE))
        phonemes.append(Phoneme("", at, at + _SILENCE))
        at += _SILENCE
        phonemes += [Phoneme(each.symbol, at + each.start, at + each.end) for each in piece.phonemes]
        sounds += [np.zeros(round(_SILENCE * SAMPLE_RATE), np.float32), piece.audio.samples]
        at = sum(map(len, sounds)) / SAMPLE_RATE
        texts.append(text)
    left = max(0.0, seconds - at)
    silent.append((at, at + left))
    sounds.append(np.zeros(round(left * SAMPLE_RATE), np.float32))
    audio = Audio(np.concatenate(sounds).astype(np.float32))
    return Said(Speech(audio, " ".join(texts), language, "espeak", (), tuple(phonemes)), tuple(silent))


def stilled(path: Path, height: int, seconds: float) -> None:
    """The astronaut of scikit-image, as high as the picture, her edges repeated at both sides to 16:9 (4:3 at 480)."""
    width = {480: 640}.get(height, height * 16 // 9)
    face = cv2.resize(astronaut(), (height, height), interpolation=cv2.INTER_CUBIC)
    left = (width - height) // 2
    picture: Picture = np.asarray(
        cv2.copyMakeBorder(face, 0, 0, left, width - height - left, cv2.BORDER_REPLICATE), np.uint8
    )
    written(path, (picture for _ in range(round(seconds * RATE))), width, height)


def scaled(source: Path, path: Path, width: int, height: int, pictures: int | None = None) -> None:
    """A clip in another size, its first pictures only where a number is given."""
    with VideoReader(source) as reader:
        small = (cv2.resize(still.picture, (width, height), interpolation=cv2.INTER_AREA) for still in reader)
        written(path, (np.asarray(each, np.uint8) for each in islice(small, pictures)), width, height)


def clips_found() -> list[Path]:
    """The clips of real people, where there are any."""
    return sorted(path for path in CLIPS.glob("*") if path.suffix in {".mp4", ".mkv", ".mov", ".webm"})


def at_720(clip: Path, scratch: Path, pictures: int | None = None) -> Path:
    """The clip at 720 pixels on its shorter side, in `scratch`; its first pictures only where a number is given."""
    path = scratch / f"{clip.stem}-720.mp4"
    if not path.exists():
        info = probe(clip)
        scale = 720 / min(info.width, info.height)
        width, height = (round(side * scale / 2) * 2 for side in (info.width, info.height))
        scaled(clip, path, width, height, pictures)
    return path


def written(path: Path, pictures: Iterator[Picture], width: int, height: int) -> None:
    like = VideoInfo(path.name, "mp4", "h264", "yuv420p", width, height, Fraction(RATE), Fraction(1, 12800))
    with VideoWriter(path, like, OPTIONS) as writer:
        for index, picture in enumerate(pictures):
            writer.write(index / RATE, picture)


@dataclass(eq=False)
class Take:
    """Rows of one value per picture, NaN where there is none; gaps in eye-widths. `read` holds what a judge read, by
    "drawn" or "encoded" and the judge's name; `faces` are small pictures for a contact sheet."""

    times: Row
    wanted: Row
    press: Row
    source: Row
    read: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    outside: list[float] = field(default_factory=list)
    touched: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    faces: list[tuple[Picture, Picture]] = field(default_factory=list)


def judged(clip: Path, said: Said, name: RendererName, home: EngineHome, scratch: Path) -> Take:
    """Draw a take, and let both judges see it before and after encoding."""
    faces, times = found(clip, home)
    wanted = wished(said, faces, times)
    take = Take(
        np.array(times),
        np.array([np.nan if mouth is None else mouth.gap for mouth in wanted]),
        np.array([np.nan if mouth is None else mouth.press for mouth in wanted]),
        np.array([np.nan if face is None else measure(face.points).gap for face in faces]),
    )
    out = scratch / "take.mp4"
    with closing(renderer_at(name, PRESETS["balanced"])) as renderer:
        for still in _stills(clip):
            if (face := faces[still.index]) is not None:
                renderer.offer(still.index, still.picture, face)
        renderer.plan(faces, wanted)
        with judges(home) as eyes, VideoWriter(out, probe(clip), OPTIONS) as writer:
            for still in _stills(clip):
                before, face, mouth = still.picture.copy(), faces[still.index], wanted[still.index]
                patch = None
                if face is not None and mouth is not None:
                    patch = renderer.render(still.index, still.picture, face, mouth)
                    take.faces.append((_face(before, face), np.empty(0, np.uint8)))
                if face is not None and patch is not None:
                    put(still.picture, patch)
                    take.faces[-1] = (take.faces[-1][0], _face(still.picture, face))
                _compare(take, before, still.picture, patch)
                writer.write(still.time, still.picture, still, areas(patch))
                for judge, eye in eyes.items():
                    take.read["drawn", judge].append(_gap(eye, still.picture))
    with judges(home) as eyes:
        for old, still in zip(_stills(clip), _stills(out), strict=True):
            for judge, eye in eyes.items():
                take.read["encoded", judge].append(_gap(eye, still.picture))
            if (face := faces[still.index]) is not None:
                take.loss.append(_loss(old.picture, still.picture, face))
    out.unlink()
    return take


def found(clip: Path, home: EngineHome) -> tuple[list[Face | None], list[float]]:
    """The largest face of each picture, and when it is shown."""
    faces: list[Face | None] = []
    times = []
    with closing(tracker_at(home)) as tracker:
        for still in _stills(clip):
            faces.append(next(iter(tracker.follow(still.picture)), None))
            times.append(still.time)
    return faces, times


def wished(said: Said, faces: Sequence[Face | None], times: Sequence[float]) -> list[Mouth | None]:
    """The mouth of each picture in which a face is seen."""
    habit = Habit.learnt([measure(face.points) for face in faces if face is not None])
    made = mouths(curves(said.speech), times, habit)
    return [None if face is None else mouth for face, mouth in zip(faces, made, strict=True)]


@contextmanager
def judges(home: EngineHome) -> Iterator[dict[str, FaceTracker]]:
    """Two that have seen nothing yet."""
    with closing(tracker_at(home)) as first, closing(second_judge(home)) as second:
        yield {"tracker": first, "second": second}


def areas(patch: Patch | None) -> list[tuple[int, int, int, int]]:
    """What a writer is told of a patch."""
    return [] if patch is None else [patch.area]


def _stills(clip: Path) -> Iterator[Still]:
    with VideoReader(clip) as reader:
        yield from reader


def _gap(eye: FaceTracker, picture: Picture) -> float:
    face = next(iter(eye.follow(picture)), None)
    return float("nan") if face is None else measure(face.points).gap


def _compare(take: Take, before: Picture, after: Picture, patch: Patch | None) -> None:
    """Note how much of a picture changed outside of its mask, and how much the mask covers."""
    changed = (before != after).any(axis=2)
    free = np.ones(changed.shape, bool)
    if patch is not None:
        height, width = patch.mask.shape
        free[patch.y : patch.y + height, patch.x : patch.x + width] = patch.mask == 0
    take.outside.append(float(changed[free].mean()))
    take.touched.append(float(1 - free.mean()))


def _loss(before: Picture, after: Picture, face: Face) -> float:
    """PSNR in dB of what lies more than an eye-width and a half from the mouth."""
    head = head_frame(face.points)
    x, y = head.to_picture(np.array([0.0, 0.3]))
    rows, columns = np.ogrid[: before.shape[0], : before.shape[1]]
    far = (columns - x) ** 2 + (rows - y) ** 2 > (1.5 * head.unit) ** 2
    error = float(((before[far].astype(np.float32) - after[far]) ** 2).mean())
    return 10 * float(np.log10(65025 / max(error, 1e-3)))


def _face(picture: Picture, face: Face) -> Picture:
    """The lower part of a face, upright, in a small square."""
    head = head_frame(face.points)
    turn = head.axes * (_SIDE / 1.6 / head.unit)
    way = np.column_stack([turn, np.array([_SIDE / 2, _SIDE * 0.36]) - turn @ head.origin])
    return np.asarray(cv2.warpAffine(picture, way, (_SIDE, _SIDE), flags=cv2.INTER_AREA), np.uint8)


def figures(take: Take, said: Said, at: str, judge: str) -> dict[str, float | int]:
    """What a judge's readings say of a take."""
    read = np.array(take.read[at, judge])
    lag, _ = best_lag(take.wanted, read)
    source_lag, source_most = best_lag(take.wanted, take.source)
    half = 0.5 / RATE
    lips = [(each.start, each.end) for each in said.speech.phonemes if each.symbol.startswith(_LIPS)]
    least = np.array([_least(read[(take.times >= s - half) & (take.times <= e + half)]) for s, e in lips])
    still = np.zeros(len(read), bool)
    for start, end in said.silent:
        still |= (take.times > start + _LEAVE) & (take.times < end - _COME)
    error = np.abs(read - take.wanted)
    moves = bool(np.nanstd(take.source) > _MOVES)
    nothing = float("nan")
    return {
        "pictures": len(read),
        "unseen": int(np.isnan(read).sum()),
        "r": related(take.wanted, read),
        "lag": lag,
        "source_r": related(take.wanted, take.source) if moves else nothing,
        "source_r_most": source_most if moves else nothing,
        "source_lag": source_lag if moves else nothing,
        "error_p50": float(np.nanmedian(error)),
        "error_p95": float(np.nanpercentile(error, 95)),
        "closures": len(least),
        "closure_gap": float(np.nanmean(np.maximum(least, 0))),
        "closure_gap_most": float(np.nanmax(least)),
        "shut_pictures_gap": float(np.nanmean(np.maximum(read[take.press > 0.9], 0))),
        "jitter": jitter(read),
        "jitter_per_source": _ratio(jitter(read), jitter(take.source)) if moves else nothing,
        "jitter_per_wanted": _ratio(jitter(read), jitter(take.wanted)),
        "silent_pictures": int(still.sum()),
        "silent_gap": float(np.nanmean(np.maximum(read[still], 0))),
        "silent_sd": float(np.nanstd(read[still])),
        "silent_sd_source": float(np.nanstd(take.source[still])),
        "outside_changed": max(take.outside),
        "touched": float(np.mean(take.touched)),
        "outside_psnr_encoded": float(np.median(take.loss)),
    }


def related(one: Row, other: Row) -> float:
    """Pearson's r where both are; NaN where one does not move."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3 or one[both].std() < 1e-6 or other[both].std() < 1e-6:
        return float("nan")
    return float(np.corrcoef(one[both], other[both])[0, 1])


def best_lag(wanted: Row, read: Row) -> tuple[int, float]:
    """By how many pictures `read` comes after `wanted` where r is largest, and that r; lag 0 where it does not move."""
    lags = range(-MOST_LAG, MOST_LAG + 1)
    found = [
        related(wanted[max(0, -lag) : len(wanted) - max(0, lag)], read[max(0, lag) : len(read) - max(0, -lag)])
        for lag in lags
    ]
    if np.isnan(found).all():
        return 0, float("nan")
    best = int(np.nanargmax(found))
    return lags[best], found[best]


def jitter(gaps: Row) -> float:
    """The mean second difference of a gap, eye-widths."""
    return float(np.nanmean(np.abs(np.diff(gaps, 2))))


def sheet(take: Take, path: Path) -> None:
    """A contact sheet of twelve pictures, source above and result below: the errors about the median, and the worst."""
    seen = np.flatnonzero(np.isfinite(take.wanted))
    read = np.array(take.read["drawn", "tracker"])
    error = np.nan_to_num(np.abs(read - take.wanted)[seen])
    order = np.argsort(error)
    shown = [*order[len(order) // 2 - 3 : len(order) // 2 + 3], *order[-6:]]
    rows = []
    for at in shown:
        before, after = take.faces[at]
        column = np.concatenate([before, after if after.size else np.zeros_like(before)]).copy()
        told = f"{seen[at]}: {take.wanted[seen[at]]:.2f} / {read[seen[at]]:.2f}"
        cv2.putText(column, told, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1, cv2.LINE_AA)
        rows.append(column)
    whole = np.concatenate([np.concatenate(rows[:6], 1), np.concatenate(rows[6:], 1)])
    cv2.imwrite(str(path), cv2.cvtColor(whole, cv2.COLOR_RGB2BGR))


def _least(values: Row) -> float:
    return float(np.nanmin(values)) if np.isfinite(values).any() else float("nan")


def _ratio(one: float, other: float) -> float:
    return one / other if other > 1e-4 else float("nan")
