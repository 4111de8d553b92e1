"""`node voice encode` and `node voice decode`: speech at 1 to 3 kbit/s, and back to sound.

Parses, asks the household, prints. Knows nothing of bits.
"""

from __future__ import annotations

from pathlib import Path

from cli.common import Common, household
from cli.render import show_line, write_json


def encode(
    source: Path,
    target: Path,
    *,
    rate: float = 2.4,
    voice: str | None = None,
    common: Common | None = None,
) -> int:
    """Code a recording of speech into a few kilobytes: at 2.4 kbit/s an hour is one megabyte.

    Parameters
    ----------
    source
        A recording of one speaker, up to an hour.
    target
        Where the coded speech goes: a .bmc file.
    rate
        About how many kbit/s, from 0.5 to 4: 1 is understood, 2.4 is pleasant.
    voice
        Use the own codebook of this voice of the node; the file carries it, in about 10 kB.
    """
    common = common or Common()
    from node.codec import encode_file

    with household(common) as node:
        facts = encode_file(source, target, rate, voice, node.frames, node.heard if voice else None)
    if common.json:
        write_json(facts.as_dict())
        return 0
    show_line(f"Written: {facts.output} ({facts.seconds:.1f} s, {facts.bytes} bytes).")
    without = " without its codebook" if facts.codebook_bytes else ""
    bare = f"{facts.kbits:.2f} as bare packets; about {rate:g} were asked for"
    show_line(f"The file is {facts.file_kbits:.2f} kbit/s{without}, {bare}.")
    if facts.codebook_bytes:
        show_line(f"{facts.codebook_bytes} of the bytes are the codebook of {facts.voice}.")
        show_line("Who has the file has it too: it tells what the voice is like, as a mean spectrum does.")
        if facts.peers:
            from_peers = f"{facts.saved_by_peers:.1f} points of it by what {facts.peers} of the peers stated"
            show_line(f"It saves {facts.bits_saved:.1f} % on held-out speech, {from_peers}.")
    elif facts.voice:
        show_line(f"Everybody's codebook serves {facts.voice} best, by the voice's held-out speech.")
    return 0


def decode(source: Path, target: Path, *, common: Common | None = None) -> int:
    """Make coded speech sound again.

    Parameters
    ----------
    source
        A .bmc file.
    target
        Where the sound goes: .wav, .flac, .mp3, .opus, .ogg or .m4a.
    """
    common = common or Common()
    from node.codec import decode_file

    with household(common):
        facts = decode_file(source, target)
    if common.json:
        write_json(facts.as_dict())
        return 0
    show_line(f"Written: {facts.output} ({facts.seconds:.1f} s from {facts.kbits:.2f} kbit/s).")
    if facts.lost:
        show_line(f"Note: {facts.lost} of {facts.packets} packets are missing; what they held fades out.", error=True)
    return 0
