"""Nodes tell each other of their owners' voices, and codebooks get better; liars and old nodes spoil nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ml.audio.logmel import log_mel
from ml.voice.codec.codebook import Codebook, genesis_codebook
from ml.voice.codec.moments import bands_of
from ml.voice.codec.together import FORMAT, Statement, stated, to_bytes
from ml.voice.codec.transfer import pack
from node.codebooks import CodebookShelf, Told
from node.codec import Own, own_codebook
from node.config import PrivacySettings, load
from node.errors import HomeUnusable
from node.frames import FrameShelf
from node.stating import Hearing, Speaker, Stating, allowed, in_words
from node.stats import CODEBOOK
from p2p.identity import Identity
from p2p.offers import UNSIGNED, check_offer, sign_offer
from p2p.peers import Trust
from p2p.transfer import Intake, IntakeOptions
from p2p.wire import Done, Offer, Piece, Refused, Want
from tests.fakes import DictQuarantine, fake_identity, run_virtually
from tests.ml.voice.codec.conftest import made_speech
from tests.node.swarm import Swarm

KNOWN = genesis_codebook()
ALICE = fake_identity(1)


def offered(body: bytes, result: str, sequence: int = 1, who: Identity = ALICE, **fields: object) -> Offer:
    plain = Offer(
        update=hashlib.sha256(body).digest(),
        size=len(body),
        layout=FORMAT,
        base=bytes.fromhex(KNOWN.digest),
        result=bytes.fromhex(result),
        encoding="tables",
        sequence=sequence,
        frames=500,
        signature=UNSIGNED,
    )
    return sign_offer(who, msgspec.structs.replace(plain, **fields))


class Ear:
    """The receiving side of one node."""

    def __init__(self, folder: Path) -> None:
        self.shelf = CodebookShelf(folder, KNOWN)
        self.intake = Intake(DictQuarantine(), Hearing(self.shelf, KNOWN), lambda: 0.0, IntakeOptions(FORMAT))

    async def hear(self, offer: Offer, body: bytes, who: Identity = ALICE) -> Want | Done | Refused:
        answer = await self.intake.offer(who.peer_id, offer)
        while isinstance(answer, Want):
            piece = Piece(update=offer.update, offset=answer.offset, data=body[answer.offset :][:8192])
            answer = await self.intake.piece(who.peer_id, piece)
        return answer


def statement_of(seed: int) -> Statement:
    return stated(KNOWN, bands_of([log_mel(made_speech(1.5, seed))]))


def test_a_statement_is_taken_once_and_an_old_one_not_again(tmp_path: Path) -> None:
    ear, one, two = Ear(tmp_path), statement_of(1), statement_of(2)
    first, second = (to_bytes(it, KNOWN) for it in (one, two))
    offer = offered(first, one.codebook.digest, 1)

    async def main() -> None:
        assert isinstance(await ear.hear(offer, first), Done)
        assert isinstance(await ear.intake.offer(ALICE.peer_id, offer), Done), "without a byte of it"
        assert isinstance(await ear.hear(offered(second, two.codebook.digest, 2), second), Done)
        again = await ear.intake.offer(ALICE.peer_id, offer)
        assert isinstance(again, Refused)
        assert again.code == "stale"

    asyncio.run(main())
    assert ear.shelf.statements()[ALICE.peer_id].codebook.digest == two.codebook.digest


def hostile() -> dict[str, tuple[bytes, dict[str, object], str]]:
    """Body, fields of the offer, and the code of the refusal."""
    good = statement_of(1)
    body, digest = to_bytes(good, KNOWN), good.codebook.digest
    loud = KNOWN.tensors["shift"].copy()
    loud[0, 0] = 30_000
    rates = KNOWN.tensors["rates"].copy()
    rates[-1, 0] += 1
    return {
        "noise": (bytes(range(256)) * 20, {}, "bad-update"),
        "one byte": (b"x", {}, "bad-update"),
        "cut short": (body[:-5], {"result": digest}, "bad-update"),
        "another result": (body, {"result": "00" * 32}, "bad-update"),
        "another base": (body, {"result": digest, "base": bytes(32)}, "unknown-base"),
        "of no speech": (body, {"result": digest, "frames": 0}, "bad-update"),
        "beyond full scale": (pack(Codebook({**KNOWN.tensors, "shift": loud}), KNOWN), {}, "bad-update"),
        "other tables": (pack(Codebook({**KNOWN.tensors, "rates": rates}), KNOWN), {}, "bad-update"),
        "another kind": (body, {"result": digest, "layout": "codebook-2"}, "other-ground"),
    }


@pytest.mark.parametrize("kind", hostile())
def test_what_is_no_statement_is_refused_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    ear = Ear(tmp_path)
    body, fields, code = hostile()[kind]
    answer = asyncio.run(ear.hear(offered(body, **{"result": KNOWN.digest} | fields), body))
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert ear.shelf.state() == ()
    assert ear.intake.open == 0


def test_nobody_speaks_for_another(tmp_path: Path) -> None:
    ear, good = Ear(tmp_path), statement_of(1)
    body = to_bytes(good, KNOWN)
    answer = asyncio.run(ear.hear(offered(body, good.codebook.digest), body, fake_identity(2)))
    assert isinstance(answer, Refused)
    assert answer.code == "bad-signature"


def test_a_line_says_what_is_saved_and_by_whom() -> None:
    own = Own(KNOWN, 0.75, 20.0, 20.0, 0, 0)
    assert "no peer has stated anything yet" in in_words(own)
    assert "what 2 stated does not help" in in_words(replace(own, heard=2))
    helped = in_words(replace(own, saved=26.5, peers=1, heard=2))
    assert "26.5 % cheaper" in helped
    assert "6.5 points of it by what 1 of 2 peers stated" in helped


def test_who_asked_for_a_protection_gets_it_here_too(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    assert allowed(config), "as much as a model does"
    assert not allowed(config.with_(train={"codebook": False}))
    for asked in ({"share": "part"}, {"share": "subspace"}, {"epsilon": 8.0}):
        assert not allowed(config.with_(privacy=asked))


def among(tmp_path: Path, count: int, **settings: object) -> Swarm:
    """Nodes whose owners have voices that are alike and unlike the readers of the shipped codebook."""
    swarm = Swarm(tmp_path, count, seed=3, **settings)
    for member in swarm.members:
        spoken = [log_mel(made_speech(3.1, 10 * member.number + take, colour=1.5)) for take in range(3)]
        FrameShelf(member.home / "voices").add("me", spoken)
    return swarm


def heard_by(swarm: Swarm, number: int) -> set[str]:
    return set(CodebookShelf(swarm.members[number].home / "codebooks", KNOWN).statements())


def test_nodes_tell_each_other_and_pay_less(tmp_path: Path) -> None:
    async def main() -> None:
        swarm = among(tmp_path, 4, rounds=1)
        swarm.start_all()
        await asyncio.sleep(120)
        first = swarm.members[0]
        others = set(swarm.peers(range(1, 4)))
        assert heard_by(swarm, 0) == others
        frames = FrameShelf(first.home / "voices")
        made = own_codebook("me", frames, (CodebookShelf(first.home / "codebooks", KNOWN), others))
        assert made.saved > made.saved_alone > 0
        assert 0 < made.peers <= made.heard == 3
        assert first.mesh is not None
        assert first.mesh.parts.gate.tally.strikes == {}
        assert first.mesh.parts.store.fact(CODEBOOK) == in_words(made)
        assert f"by what {made.peers} of 3 peers stated" in in_words(made)
        first.mesh.parts.book.set_trust(swarm.peers([1])[0], Trust.BLOCKED)
        first.mesh.parts.book.remove(swarm.peers([2])[0])
        await asyncio.sleep(20)
        assert heard_by(swarm, 0) == set(swarm.peers([3])), "the others' are gone with the trust"
        await swarm.end_all()

    run_virtually(main())


def test_more_speech_is_told_again_and_the_same_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        swarm = among(tmp_path, 2, rounds=1)
        swarm.start_all()
        await asyncio.sleep(60)
        one, other = swarm.members
        shelf = CodebookShelf(one.home / "codebooks", KNOWN)
        before, state = shelf.offer(swarm.peers([1])[0]), shelf.state()
        assert before is not None
        await swarm.end(other)
        swarm.start(other)
        await asyncio.sleep(120)
        assert shelf.state() == state, "what is here already is not sent again, after a restart either"
        FrameShelf(other.home / "voices").add("me", [log_mel(made_speech(2.5, 99, colour=1.5))])
        await asyncio.sleep(30)
        after = shelf.offer(swarm.peers([1])[0])
        assert after is not None
        assert after.sequence > before.sequence
        assert after.frames > before.frames
        await swarm.end_all()

    run_virtually(main())


@pytest.mark.parametrize("asked", [{"codebook": False}, {"share": "subspace", "dimensions": 8}])
def test_who_does_not_want_to_tell_hears_all_the_same(tmp_path: Path, asked: dict[str, object]) -> None:
    async def main() -> None:
        swarm = among(tmp_path, 2, rounds=1)
        usual = swarm.settings, swarm.privacy
        if "share" in asked:
            swarm.privacy = PrivacySettings(**asked)
        else:
            swarm.settings = msgspec.structs.replace(swarm.settings, **asked)
        swarm.start(swarm.members[0])
        swarm.settings, swarm.privacy = usual
        swarm.start(swarm.members[1])
        await asyncio.sleep(60)
        assert heard_by(swarm, 0) == set(swarm.peers([1]))
        assert heard_by(swarm, 1) == set()
        await swarm.end_all()

    run_virtually(main())


def test_an_old_node_says_no_and_is_left_alone(tmp_path: Path) -> None:
    """A node of the first version answers any layout but its own with `other-ground`; that is no offence."""

    async def main() -> None:
        swarm = among(tmp_path, 2, rounds=1)
        for member in swarm.members:
            swarm.start(member)
        new, old = (member.mesh for member in swarm.members)
        assert new is not None
        assert old is not None
        old.parts.intake._others.clear()
        await asyncio.sleep(120)
        assert heard_by(swarm, 1) == set()
        assert new.parts.gate.tally.asked["offer", "other-ground"] == 1, "asked once, not every few seconds"
        assert old.parts.gate.tally.strikes == {}
        assert new.parts.book.get(swarm.peers([1])[0]).strikes == 0
        assert heard_by(swarm, 0) == set(swarm.peers([1])), "and the other way it goes"
        await swarm.end_all()

    run_virtually(main())


@pytest.mark.parametrize("place", [-20, 60])
def test_a_statement_that_the_disk_has_spoilt_is_made_anew(tmp_path: Path, place: int) -> None:
    """In the middle of the bytes that are told, or in the offer that they are told under."""

    async def main() -> None:
        swarm = among(tmp_path, 2, rounds=1)
        swarm.start_all()
        await asyncio.sleep(60)
        one, other = swarm.members
        await swarm.end(one)
        file = FrameShelf(one.home / "voices").path("me") / "statement"
        sound = msgspec.msgpack.decode(file.read_bytes(), type=Told)
        if place < 0:
            spoilt = msgspec.structs.replace(sound, body=_flipped(sound.body, place))
        else:
            offer = msgspec.structs.replace(sound.offer, signature=_flipped(sound.offer.signature, place))
            spoilt = msgspec.structs.replace(sound, offer=offer)
        file.write_bytes(msgspec.msgpack.encode(spoilt))
        CodebookShelf(other.home / "codebooks", KNOWN).keep_only(())
        swarm.start(one)
        await asyncio.sleep(60)
        assert not one.task.done()
        assert heard_by(swarm, 1) == set(swarm.peers([0]))
        mended = msgspec.msgpack.decode(file.read_bytes(), type=Told)
        assert mended.body == sound.body
        assert check_offer(swarm.peers([0])[0], mended.offer)
        assert mesh_strikes(swarm, 1) == {}
        await swarm.end_all()

    run_virtually(main())


def mesh_strikes(swarm: Swarm, number: int) -> dict[str, int]:
    mesh = swarm.members[number].mesh
    assert mesh is not None
    return dict(mesh.parts.gate.tally.strikes)


def _flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def test_a_codebook_that_a_full_disk_did_not_take_is_tried_again(tmp_path: Path) -> None:
    frames = FrameShelf(tmp_path)
    frames.add("me", [log_mel(made_speech(3.1, take, colour=1.5)) for take in range(3)])
    room, tries, notes = [False], [], []

    async def work(function: Callable[..., Any], *args: Any) -> Any:
        tries.append(function)
        if not room[0]:
            raise HomeUnusable("The disk is full.", "Make room.")
        return function(*args)

    speaker = Speaker(ALICE, frames, lambda: 1, work, notes.append)
    stating = Stating(speaker, CodebookShelf(tmp_path / "codebooks", KNOWN), KNOWN, NoPeers())

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(HomeUnusable):
                await stating.look()
        room[0] = True
        for _ in range(3):
            await stating.look()

    asyncio.run(main())
    assert len(tries) == 3, "twice in vain, once to the end"
    assert len(notes) == 1


class NoPeers:
    """A gate at which nobody is."""

    def connected(self) -> tuple[str, ...]:
        return ()
