"""The message of the watermark: 24 bits, checked by a CRC and protected by a convolutional code.

36 bits (version, job number, CRC) become 108 coded bits by the tail-biting convolutional code of rate 1/3 and
constraint length 7 with the generators 133, 171, 165 (octal; 3GPP TS 36.212 section 5.1.3.1). `decode` is the exact
maximum likelihood decoder: the Viterbi algorithm from each of the 64 states, of which the path that ends where it
began and fits best wins. Knows nothing of sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.int8]
"""Zeros and ones `[N]`."""

VERSION_BITS, JOB_BITS, CHECK_BITS = 4, 20, 12
VERSION = 1
"""The version of the watermark that is written here."""
JOBS = 1 << JOB_BITS
"""How many job numbers there are."""

_GENERATORS = (0o133, 0o171, 0o165)
_MEMORY = 6
_STATES = 1 << _MEMORY
_CHECK = 0x80F
"""x^12 + x^11 + x^3 + x^2 + x + 1, the CRC-12 of telecommunication."""
INFORMATION = VERSION_BITS + JOB_BITS + CHECK_BITS
CODED = INFORMATION * len(_GENERATORS)
"""Coded bits of one message."""


@dataclass(frozen=True)
class Mark:
    """What the watermark says: synthetic speech by Babelmesh, made in job number `job` (0 to 1,048,575, by chance)."""

    job: int
    version: int = VERSION

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that have no place in the message."""
        if not 0 <= self.job < JOBS:
            raise ValueError(f"a job number lies between 0 and {JOBS - 1}, not {self.job}")
        if not 0 <= self.version < 1 << VERSION_BITS:
            raise ValueError(f"a version lies between 0 and {(1 << VERSION_BITS) - 1}, not {self.version}")


def encode(mark: Mark) -> Bits:
    """Coded bits `[108]` of `mark`."""
    message = _to_bits(mark.version << JOB_BITS | mark.job, VERSION_BITS + JOB_BITS)
    return _convolve(np.concatenate([message, check(message)]))


def decode(soft: npt.NDArray[np.float64]) -> Mark | None:
    """The message that fits `soft` `[108]` best (positive speaks for a one, more is surer), or nothing.

    Nothing when its CRC is wrong; of soft values without any message in them one in 4096 passes.
    """
    if len(soft) != CODED:
        raise ValueError(f"a message has {CODED} coded bits, not {len(soft)}")
    bits = _most_likely(soft)
    message = bits[: VERSION_BITS + JOB_BITS]
    if not np.array_equal(check(message), bits[VERSION_BITS + JOB_BITS :]):
        return None
    number = int("".join(map(str, message)), 2)
    return Mark(number % JOBS, number >> JOB_BITS)


def check(message: Bits) -> Bits:
    """The CRC `[12]` of a message, from a register of ones so that an empty message does not pass."""
    register = (1 << CHECK_BITS) - 1
    for bit in message:
        feedback = (register >> (CHECK_BITS - 1)) ^ int(bit)
        register = (register << 1) & ((1 << CHECK_BITS) - 1) ^ (_CHECK if feedback else 0)
    return _to_bits(register, CHECK_BITS)


def _to_bits(number: int, count: int) -> Bits:
    return np.array([number >> at & 1 for at in range(count - 1, -1, -1)], np.int8)


def _convolve(bits: Bits) -> Bits:
    """Each generator over each bit and the six before it, around the end: the register starts as it will stop."""
    windows = np.stack([np.roll(bits, delay) for delay in range(_MEMORY + 1)], axis=1)
    taps = np.array([_to_bits(generator, _MEMORY + 1) for generator in _GENERATORS])
    coded: Bits = ((windows.astype(int) @ taps.T) % 2).astype(np.int8).reshape(-1)
    return coded


@cache
def _trellis() -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Of each state `[64]` the two states before it `[64, 2]`, and the signs `[64, 2, 3]` of what is sent between.

    A state is the last six bits, the newest highest; the newest bit of the state is the one that led there.
    """
    before = np.zeros((_STATES, 2), np.intp)
    signs = np.zeros((_STATES, 2, len(_GENERATORS)))
    for state in range(_STATES):
        for oldest in range(2):
            before[state, oldest] = (state << 1 & (_STATES - 1)) | oldest
            register = state << 1 | oldest
            signs[state, oldest] = [2 * ((register & generator).bit_count() % 2) - 1 for generator in _GENERATORS]
    return before, signs


def _most_likely(soft: npt.NDArray[np.float64]) -> Bits:
    before, signs = _trellis()
    score = np.full((_STATES, _STATES), -np.inf)  # [where the path began, where it is]
    np.fill_diagonal(score, 0.0)
    chosen = []
    for values in soft.reshape(-1, len(_GENERATORS)):
        candidates = score[:, before] + signs @ values
        chosen.append(candidates.argmax(axis=2))
        score = candidates.max(axis=2)
    start = state = int(np.diagonal(score).argmax())
    bits = np.zeros(INFORMATION, np.int8)
    for at in range(INFORMATION - 1, -1, -1):
        bits[at] = state >> (_MEMORY - 1)
        state = int(before[state, chosen[at][start, state]])
    return bits
