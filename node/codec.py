"""Codes recordings at 1 to 3 kbit/s and makes them sound again; for a voice of this node with a codebook of its own.

A file with a voice's own codebook carries it, so that anybody can decode it. Knows nothing of how facts are shown.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ml.audio.atomic import telling, whole
from ml.audio.logmel import HOP_SECONDS, LogMel
from ml.audio.read import read
from ml.audio.write import AudioWriter
from ml.errors import BadAudio, ModelDamaged
from ml.types import Audio
from ml.voice.codec.codebook import Codebook, genesis_codebook
from ml.voice.codec.container import LONGEST_SECONDS, from_file, to_file
from ml.voice.codec.speech import HIGHEST_RATE, LOWEST_RATE, decode, encode
from ml.voice.codec.together import learnt_together
from ml.voice.codec.transfer import pack, unpack
from ml.voice.training import HELD_OUT, Split, split
from node.codebooks import Heard, Kept, load, save
from node.errors import BadRequest, NotFound
from node.files import same_file
from node.frames import FrameShelf

SUFFIX = ".bmc"
LARGEST = 4_000_000
"""Bytes of a file that is read: an hour at 4 kbit/s has half of that."""
LEAST_SECONDS = 5.0
"""Speech below which a voice has no codebook of its own."""
JUDGED_SECONDS = 3.0
"""Held-out speech below which no codebook is chosen: by two seconds one of 34 speakers took one that cost him 21 %."""
SHARES = (HELD_OUT, 0.35, 0.5)
"""Shares of the utterances to hold out, tried until that is enough to choose by."""
_WAY = "2"
"""Names the way in which codebooks are made from their inputs; another way makes kept ones void."""


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
    saved_by_peers: float | None = None
    """How much of that is owed to what peers stated: nothing where they do not help."""
    peers: int | None = None
    """Peers whose statements are in the codebook."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Own:
    """A voice's codebook, the share of its own moments in it, percent of the price of held-out speech that it saves,
    percent that the best one without peers saves, peers whose statements are in it, and peers there were."""

    codebook: Codebook
    share: float
    saved: float
    saved_alone: float
    peers: int
    heard: int


def encode_file(
    source: Path, target: Path, rate: float, voice: str | None, frames: FrameShelf, peers: Heard | None = None
) -> CodedFacts:
    """Code a recording of up to an hour. `peers` are those whose statements may serve the voice.

    Raises BadAudio, BadRequest, CannotWrite, HomeUnusable, NotFound.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise BadRequest(
            f"{rate:g} kbit/s is not a rate of this codec.", f"Give --rate from {LOWEST_RATE:g} to {HIGHEST_RATE:g}."
        )
    if target.suffix.lower() != SUFFIX:
        raise BadRequest(f"Coded speech goes into a {SUFFIX} file, not {target.name}.", f"Give it a name in {SUFFIX}.")
    _keep_source(source, target)
    own = own_codebook(voice, frames, peers) if voice else None
    codebook = own.codebook if own else genesis_codebook()
    with whole(target) as sink:  # what cannot be written is told before the work
        samples = read(source, LONGEST_SECONDS).samples
        coded = encode(Audio(samples), codebook, rate)
        data = to_file(coded, genesis_codebook())
        with telling(target):
            sink.write(data)
    if own is None:
        return _facts(source, target, data)
    more = round(own.saved - own.saved_alone, 2)
    return _facts(
        source,
        target,
        data,
        voice=voice,
        own_share=own.share,
        bits_saved=own.saved,
        saved_by_peers=more,
        peers=own.peers,
    )


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


def own_codebook(voice: str, frames: FrameShelf, peers: Heard | None = None) -> Own:
    """The codebook of a voice on the shelf, made anew (in about a second) only when its speech, or what the given peers
    stated, has changed. Without `peers` nobody's statements are used.

    Raises NotFound without speech, BadRequest without enough of it, HomeUnusable.
    """
    known = genesis_codebook()
    statements = peers[0].statements(peers[1]) if peers else {}
    told = [f"{peer} {one.codebook.digest} {one.frames}" for peer, one in statements.items()]
    inputs = hashlib.sha256("\n".join((_WAY, known.digest, frames.state(voice), *told)).encode()).hexdigest()
    kept = load(frames, voice, Kept)
    if kept is not None and kept.inputs == inputs:
        with suppress(ModelDamaged):
            return _own(unpack(kept.body, known), kept)
    spoken = frames.utterances(voice)
    if not spoken:
        others = ", ".join(frames.voices())
        raise NotFound(
            f"There is no voice called {voice!r} with speech to learn from here.",
            f"Make it: node voice add {voice} RECORDING..." + (f" Here are: {others}." if others else ""),
        )
    parts = judged_by_enough(spoken)
    if frames.seconds(voice) < LEAST_SECONDS or parts is None:
        raise BadRequest(
            f"The voice {voice} has too little speech here for a codebook of its own.",
            f"Give it {LEAST_SECONDS:g} s and more, of which {JUDGED_SECONDS:g} s in whole utterances can be held out "
            f"to choose by: node voice add {voice} RECORDING... --more",
        )
    made = learnt_together(known, tuple(statements.values()), parts.train, parts.held_out)
    kept = Kept(
        inputs=inputs,
        body=pack(made.best.codebook, known),
        share=made.best.own,
        prior_cost=made.best.prior_cost,
        alone_cost=made.alone.cost,
        cost=made.best.cost,
        peers=len(made.used),
        heard=len(statements),
    )
    save(frames, voice, kept)
    return _own(made.best.codebook, kept)


def judged_by_enough(spoken: Sequence[LogMel]) -> Split | None:
    """Utterances in two parts, with enough held out to choose a codebook by; None where that leaves nothing to learn
    from."""
    for share in SHARES:
        parts = split(spoken, share)
        if parts.train and HOP_SECONDS * sum(map(len, parts.held_out)) >= JUDGED_SECONDS:
            return parts
    return None


def _own(codebook: Codebook, kept: Kept) -> Own:
    saved, alone = (round(100 * (1 - cost / kept.prior_cost), 2) for cost in (kept.cost, kept.alone_cost))
    return Own(codebook, kept.share, saved, alone, kept.peers, kept.heard)


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
    if same_file(target, source):
        raise BadRequest("The result would overwrite the input.", "Give the result another name.")
