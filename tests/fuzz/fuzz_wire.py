"""Fuzz target (atheris): whatever bytes a peer sends, they are a message or BadMessage, and a gate lives on.

Run: python tests/fuzz/fuzz_wire.py -max_total_time=60 (libFuzzer's options).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["p2p.wire", "p2p.msgpack_scan", "p2p.pairing", "p2p.discovery", "p2p.framing"]
):
    from p2p import framing
    from p2p.discovery import read_records
    from p2p.errors import BadMessage, PairingFailed
    from p2p.pairing import read_link
    from p2p.transport import MAX_BODY
    from p2p.wire import decode, encode

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "wire.json"


def one(data: bytes) -> None:
    """The first byte says who reads the rest."""
    if not data:
        return
    reader, body = data[0] % 4, data[1:]
    if reader == 0:
        message(body)
    elif reader == 1:
        frame(body)
    elif reader == 2:
        read_records(body, 8)
    else:
        try:
            read_link("babelmesh:pair?" + body.decode("utf-8", "replace"))
        except PairingFailed:
            return


def message(body: bytes) -> None:
    """Whatever is taken for a message must come back the same when it is sent on."""
    try:
        said = decode(body)
    except BadMessage as error:
        if error.code not in {"bad-message", "version"} or not error.sentence.isprintable():
            raise AssertionError(f"a refusal that cannot be sent: {error.code} {error.sentence!r}") from error
        return
    if decode(encode(said)) != said:
        raise AssertionError(f"{said} does not come back")


def frame(data: bytes) -> None:
    """Whatever is taken for a frame must be one."""
    try:
        length, digest = framing.read_head(data[: framing.HEAD.size])
        body = framing.check(data[framing.HEAD.size :], digest)
    except BadMessage:
        return
    if not 0 < length <= MAX_BODY or framing.pack(body)[4:] != data[4:]:
        raise AssertionError("a frame that no sender writes was taken")


def seeds(folder: Path) -> None:
    """The golden vectors, as a corpus to begin from."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for number, vector in enumerate(golden["messages"]):
        (folder / f"message-{number}").write_bytes(b"\0" + bytes.fromhex(vector["body"]))
        (folder / f"frame-{number}").write_bytes(b"\1" + bytes.fromhex(vector["frame"]))
    for number, vector in enumerate(golden["refused"]):
        (folder / f"refused-{number}").write_bytes(b"\0" + bytes.fromhex(vector["body"]))
    at = b"dnsaddr=/ip4/127.0.0.1/tcp/4710/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"
    (folder / "record").write_bytes(b"\2" + bytes((len(at),)) + at)
    (folder / "link").write_bytes(b"\3code=12345671&at=%2Fip4%2F127.0.0.1%2Ftcp%2F4710")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        seeds(Path(corpus))
        atheris.Setup([*sys.argv, corpus], one)
        atheris.Fuzz()
