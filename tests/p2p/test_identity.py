"""The key file, the peer id, and signatures that are checked by the id alone."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import base58
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID

from p2p.errors import BadAddress, BadIdentity
from p2p.identity import Identity, is_locked, is_peer_id, peer_of, verify, with_peer

PUBLISHED_KEY = bytes.fromhex(
    "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
    "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
)
"""The Ed25519 private key among the test vectors of libp2p's peer id specification: header of 4 bytes, seed, public."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "identity.pem"


def test_the_id_survives_a_restart(path: Path) -> None:
    made = Identity.create(path)
    assert Identity.load(path).peer_id == made.peer_id
    assert Identity.load_or_create(path).peer_id == made.peer_id


def test_load_or_create_makes_what_is_not_there(path: Path) -> None:
    assert Identity.load_or_create(path, "words").peer_id == Identity.load(path, "words").peer_id


@given(st.binary(min_size=32, max_size=32))
def test_the_id_is_libp2ps_own(seed: bytes) -> None:
    identity = Identity(Ed25519PrivateKey.from_private_bytes(seed))
    theirs = create_new_key_pair(identity.private_bytes)
    assert identity.peer_id == ID.from_pubkey(theirs.public_key).to_base58()
    assert theirs.public_key.verify(b"data", identity.sign(b"data"))
    assert verify(identity.peer_id, theirs.private_key.sign(b"data"), b"data")


def test_the_published_key_gives_its_public_half() -> None:
    identity = Identity(Ed25519PrivateKey.from_private_bytes(PUBLISHED_KEY[4:36]))
    assert base58.b58decode(identity.peer_id)[-32:] == PUBLISHED_KEY[36:]


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_the_key(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        Identity.create(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["identity.pem"]


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o610])
def test_a_key_that_others_may_touch_is_refused(path: Path, mode: int) -> None:
    Identity.create(path)
    path.chmod(mode)
    with pytest.raises(BadIdentity, match="other users") as caught:
        Identity.load(path)
    assert "chmod 600" in caught.value.remedy
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_key_is_never_replaced(path: Path) -> None:
    first = Identity.create(path)
    with pytest.raises(BadIdentity, match="already"):
        Identity.create(path)
    assert Identity.load(path).peer_id == first.peer_id
    assert len(list(path.parent.iterdir())) == 1


def test_of_many_that_create_at_once_one_wins_and_all_agree(path: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(Identity.load_or_create(path).peer_id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {Identity.load(path).peer_id}


def test_a_passphrase_locks_the_key(path: Path) -> None:
    made = Identity.create(path, "correct horse")
    assert b"ENCRYPTED" in path.read_bytes()
    assert Identity.load(path, "correct horse").peer_id == made.peer_id
    with pytest.raises(BadIdentity, match="locked"):
        Identity.load(path)
    with pytest.raises(BadIdentity, match="passphrase, or the file is damaged") as caught:
        Identity.load(path, "battery staple")
    assert caught.value.remedy


def test_a_key_is_protected_later_and_stays_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Identity.create(path).peer_id
    before = path.read_bytes()
    assert not is_locked(path)
    with pytest.raises(BadIdentity, match="empty"):
        Identity.protect(path, "")
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(BadIdentity, match="No space"):
            Identity.protect(path, "open sesame")
    assert path.read_bytes() == before
    assert Identity.protect(path, "open sesame").peer_id == peer
    assert is_locked(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name], "no copy without a passphrase is left"
    assert Identity.load(path, "open sesame").peer_id == peer
    with pytest.raises(BadIdentity, match="locked"):
        Identity.protect(path, "another")
    assert not is_locked(path.with_name("nowhere"))


def test_a_passphrase_for_a_key_without_one_is_not_missed(path: Path) -> None:
    made = Identity.create(path)
    assert Identity.load(path, "needless").peer_id == made.peer_id


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_is_named(path: Path, damage: bytes) -> None:
    Identity.create(path)
    path.write_bytes(damage)
    with pytest.raises(BadIdentity, match=r"identity\.pem is damaged") as caught:
        Identity.load(path)
    assert caught.value.remedy


@settings(deadline=None)
@given(st.integers(0, 118), st.integers(1, 255))
def test_a_flipped_byte_is_damage_or_leaves_a_key(tmp_path_factory: pytest.TempPathFactory, at: int, by: int) -> None:
    path = tmp_path_factory.mktemp("keys") / "identity.pem"
    Identity.create(path)
    data = bytearray(path.read_bytes())
    data[at] ^= by
    path.write_bytes(data)
    try:
        identity = Identity.load(path)
    except BadIdentity:
        return
    assert is_peer_id(identity.peer_id)


def test_a_key_of_another_kind_is_refused(path: Path) -> None:
    Identity.create(path)
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(BadIdentity, match="not an Ed25519 key"):
        Identity.load(path)


def test_a_key_that_is_not_there_or_cannot_be_written_is_said_to(path: Path) -> None:
    with pytest.raises(BadIdentity, match="no key"):
        Identity.load(path)
    path.parent.parent.joinpath("home").write_text("a file")
    with pytest.raises(BadIdentity, match="written"):
        Identity.create(path)
    with pytest.raises(BadIdentity):
        Identity.load_or_create(path)


def test_the_text_of_an_identity_keeps_the_secret() -> None:
    identity = Identity.new()
    assert repr(identity) == str(identity) == f"Identity({identity.peer_id})"


@given(st.binary(max_size=300))
def test_a_signature_holds_for_its_data_and_signer_alone(data: bytes) -> None:
    mine, other = Identity.new(), Identity.new()
    signature = mine.sign(data)
    assert len(signature) == 64
    assert verify(mine.peer_id, signature, data)
    assert not verify(other.peer_id, signature, data)
    assert not verify(mine.peer_id, signature, data + b"\0")
    assert not verify(mine.peer_id, signature[:-1] + bytes((signature[-1] ^ 1,)), data)


@given(st.text(), st.binary(max_size=100))
def test_odd_ids_and_signatures_are_false_and_raise_nothing(text: str, signature: bytes) -> None:
    assert not is_peer_id(text)
    assert not verify(text, signature, b"data")
    assert not verify(Identity.new().peer_id, signature, b"data")


def test_ids_that_only_look_right_are_none() -> None:
    good = Identity.new().peer_id
    raw = base58.b58decode(good)
    assert is_peer_id(good)
    for wrong in (
        good + "1",
        "1" + good,
        good[:-1],
        f" {good}",
        f"{good}\n",
        base58.b58encode(raw[:3] + b"\x02" + raw[4:]).decode(),  # secp256k1
        base58.b58encode(bytes((0x12, 0x20)) + raw[-32:]).decode(),  # a SHA-256, as RSA keys have
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
    ):
        assert not is_peer_id(wrong)
    assert not is_peer_id(None)  # type: ignore[arg-type]
    assert not verify(good, None, b"")  # type: ignore[arg-type]


def test_an_address_tells_its_peer() -> None:
    peer = Identity.new().peer_id
    assert peer_of(f"/ip4/127.0.0.1/tcp/1/p2p/{peer}") == peer
    for none in ("/ip4/127.0.0.1/tcp/1", f"/ip4/127.0.0.1/tcp/1/p2p/{peer}x", f"/p2p/{peer}/tcp/1", peer, ""):
        assert peer_of(none) is None


def test_an_address_takes_a_peer_that_fits() -> None:
    peer, other = Identity.new().peer_id, Identity.new().peer_id
    whole = f"/ip4/127.0.0.1/tcp/1/p2p/{peer}"
    assert with_peer("/ip4/127.0.0.1/tcp/1", peer) == with_peer("/ip4/127.0.0.1/tcp/1/", peer) == whole
    assert with_peer(whole, peer) == whole
    with pytest.raises(BadAddress, match="another peer"):
        with_peer(whole, other)
    with pytest.raises(BadAddress, match="not a peer id"):
        with_peer(whole, "somebody")
