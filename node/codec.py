"""Codes recordings at 1 to 3 kbit/s and makes them sound again; for a voice of this node with a codebook of its own.

A file with a voice's own codebook carries it, so that anybody can decode it. Knows nothing of how facts are shown.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ml.audio.read import read
from ml.audio.write import AudioWriter
from ml.errors import BadAudio, CannotWrite
from ml.types import Audio
from ml.voice.codec.codebook import Codebook, genesis_codebook
from ml.voice.codec.container import LONGEST_SECONDS, from_file, to_file
from ml.voice.codec.fitting import personal
from ml.voice.codec.speech import HIGHEST_RATE, LOWEST_RATE, decode, encode
from ml.voice.training import split
from node.errors import BadRequest
from node.files import write_bytes
from node.frames import FrameShelf

SUFFIX = ".bmc"
LARGEST = 4_000_000
"""Bytes of a file that is read: an hour at 4 kbit/s has half of that."""
LEAST_SECONDS = 5.0
"""Speech below which a voice has no codebook of its own."""


@dataclass(frozen=True)
class CodedFacts:
    """What was written. `kbits` is of packets alone, `file_kbits` of the file without a carried codebook, of which
    `codebook_bytes` tells; `voice` is None for the codebook that everybody has; `lost` counts missing packets."""

    input: str
    output: str
    seconds: float
    packets: int
    lost: int
    bytes: int
    kbits: float
    file_kbits: float
    codebook: str
    codebook_bytes: int
    voice: str | None = None
    own_share: float | None = None
    bits_saved: float | None = None
    """Percent of the price of held-out speech, bits and error together, that the voice's own codebook saves."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def encode_file(source: Path, target: Path, rate: float, voice: str | None, frames: FrameShelf) -> CodedFacts:
    """Code a recording of up to an hour. Raises BadAudio, BadRequest, CannotWrite."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise BadRequest(
            f"{rate:g} kbit/s is not a rate of this codec.", f"Give --rate from {LOWEST_RATE:g} to {HIGHEST_RATE:g}."
        )
    if target.suffix.lower() != SUFFIX:
        raise BadRequest(f"Coded speech goes into a {SUFFIX} file, not {target.name}.", f"Give it a name in {SUFFIX}.")
    _keep_source(source, target)
    codebook, share, saved = own_codebook(voice, frames) if voice else (genesis_codebook(), None, None)
    samples = read(source, LONGEST_SECONDS).samples
    coded = encode(Audio(samples), codebook, rate)
    data = to_file(coded, genesis_codebook())
    try:
        if not target.parent.is_dir():
            raise FileNotFoundError(2, "there is no such folder", str(target.parent))
        write_bytes(target, data)
    except OSError as error:
        raise CannotWrite(
            f"{target} cannot be written: {error.strerror}.", "Check the folder and its rights."
        ) from error
    return _facts(source, target, data, voice=voice, own_share=share, bits_saved=saved)


def decode_file(source: Path, target: Path) -> CodedFacts:
    """Make coded speech sound again. Raises BadAudio, Unavailable, ModelDamaged, BadRequest, CannotWrite."""
    _keep_source(source, target)
    try:
        with source.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise BadAudio(
            f"{source} cannot be read: {error.strerror or error}.", "Check the path and its rights."
        ) from error
    if len(data) > LARGEST:
        raise BadAudio(f"{source} is longer than coded speech can be.", "Give a file made by: node voice encode")
    coded = from_file(data, [genesis_codebook()])
    if not coded.samples:
        raise BadAudio(f"{source} holds no speech.", "Give a file made by: node voice encode")
    with AudioWriter(target) as writer:
        for piece in decode(coded):
            writer.write(piece)
    return _facts(source, target, data)


def own_codebook(voice: str, frames: FrameShelf) -> tuple[Codebook, float, float]:
    """The codebook of a voice on the shelf, the share of its own moments in it, and the percent of its price saved on
    held-out speech. Raises BadRequest without enough speech."""
    spoken = frames.utterances(voice)
    parts = split(spoken)
    if frames.seconds(voice) < LEAST_SECONDS or not parts.held_out:
        raise BadRequest(
            f"The voice {voice} has too little speech here for a codebook of its own.",
            f"Give it {LEAST_SECONDS:g} s in two utterances: node voice add {voice} RECORDING...",
        )
    made = personal([genesis_codebook()], parts.train, parts.held_out)
    return made.codebook, made.own, round(100 * (1 - made.cost / made.prior_cost), 2)


def _facts(source: Path, target: Path, data: bytes, **more: Any) -> CodedFacts:  # noqa: ANN401
    coded = from_file(data, [genesis_codebook()])
    seconds = coded.samples / 16_000
    sent = sum(len(packet or b"") for packet in coded.packets)
    return CodedFacts(
        input=os.fspath(source),
        output=os.fspath(target),
        seconds=round(seconds, 3),
        packets=len(coded.packets),
        lost=coded.packets.count(None),
        bytes=len(data),
        kbits=round(sent * 8 / 1000 / seconds, 3),
        file_kbits=round((len(data) - coded.carried) * 8 / 1000 / seconds, 3),
        codebook=coded.codebook.digest,
        codebook_bytes=coded.carried,
        **more,
    )


def _keep_source(source: Path, target: Path) -> None:
    if target.exists() and source.exists() and target.samefile(source):
        raise BadRequest("The result would overwrite the input.", "Give the result another name.")
