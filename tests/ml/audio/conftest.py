"""Sound for the tests of ml/audio: real speech that ships with the project or lies beside it, and made signals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

ROOT = Path(__file__).resolve().parents[3]
Samples = npt.NDArray[np.float32]


def load(path: Path) -> Samples:
    """A file at 16 kHz, by a reader that is not the one under test."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate, 16_000), np.float32)


@pytest.fixture(scope="session")
def speech() -> Samples:
    """A few seconds of a real person speaking, 16 kHz."""
    shipped = sorted(path for path in (ROOT / "examples/audio").glob("*") if path.suffix in {".wav", ".flac", ".opus"})
    beside = ROOT.parent / "shared/data/speech/LJ001-0004.flac"
    for path in (*shipped, beside):
        if path.is_file():
            return load(path)
    pytest.skip("no recorded speech in examples/audio or ../shared/data")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of recorded speech with transcripts that may lie beside the project."""
    folder = ROOT.parent / "shared/data/speech"
    if not (folder / "manifest.json").is_file():
        pytest.skip("needs ../shared/data/speech")
    return folder


Encode = Callable[..., Path]


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    """Makes files that `ml.audio.write` does not: any container, codec, layout and time stamps, pictures."""

    def encode(
        name: str,
        pieces: list[tuple[float, Samples]],
        rate: int,
        codec: str = "aac",
        layout: str = "mono",
        **more: object,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options=more.get("options")) as container:
            video = (
                container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
                if more.get("video")
                else None
            )
            audio = container.add_stream(codec, rate=rate, layout=layout) if pieces else None
            if video is not None:
                for index in range(10):
                    frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), index * 20, np.uint8), format="rgb24")
                    frame.pts = index
                    container.mux(video.encode(frame))
                container.mux(video.encode(None))
            for start, samples in pieces:
                channels = audio.codec_context.layout.nb_channels
                for first in range(0, len(samples), 1024):
                    piece = np.tile(samples[None, first : first + 1024], (channels, 1))
                    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format="fltp", layout=layout)
                    frame.sample_rate, frame.pts = rate, round(start * rate) + first
                    container.mux(audio.encode(frame))
            if audio is not None:
                container.mux(audio.encode(None))
        return path

    return encode
