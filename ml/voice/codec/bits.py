"""Small integers to bytes and back by range coding, as few bytes as the decoder needs.

The coder is the range coder of the `constriction` library (Bamler 2022, "Understanding entropy coding with asymmetric
numeral systems: a statistician's perspective"; range coding: Martin 1979). Probabilities come from tables of integers,
so that every machine codes alike. Knows nothing of what the integers mean.
"""

from __future__ import annotations

from typing import Any

import constriction  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from ml.errors import BadAudio

Integers = npt.NDArray[np.int32]
Odds = npt.NDArray[np.float64]
"""Relative frequencies of symbols 0, 1, ...: `[S]` for one table, `[N, S]` for one each. Whole numbers."""

_EXTRA = 5
"""Bytes at the end that a shorter ending may replace."""


class Writer:
    """Collects symbols; `finish` gives their bytes."""

    def __init__(self) -> None:
        """Nothing written yet."""
        self._coder = constriction.stream.queue.RangeEncoder()
        self._written: list[tuple[Integers, Any, tuple[Odds, ...]]] = []

    def one(self, symbol: int, odds: Odds) -> None:
        """Write one symbol under one table."""
        self.many(np.array([symbol], np.int32), odds[None])

    def many(self, symbols: Integers, odds: Odds) -> None:
        """Write symbols `[N]`, each under its own table `[N, S]`."""
        if len(symbols):
            self._put(symbols, constriction.stream.model.Categorical(perfect=False), (odds,))

    def plain(self, numbers: Integers, size: int) -> None:
        """Write numbers below `size`, all alike likely."""
        if len(numbers):
            self._put(numbers, constriction.stream.model.Uniform(size), ())

    def finish(self) -> bytes:
        """The shortest bytes whose decoding, with zeros after them, gives what was written."""
        whole: bytes = self._coder.get_compressed().astype(">u4").tobytes()
        for length in range(max(0, len(whole) - 4 - _EXTRA), len(whole)):
            number = int.from_bytes(whole[:length], "big")
            for candidate in (number, number + 1):
                if candidate < 256**length and self._says_the_same(candidate.to_bytes(length, "big")):
                    return candidate.to_bytes(length, "big")
        return whole

    def _put(self, symbols: Integers, model: Any, parameters: tuple[Odds, ...]) -> None:  # noqa: ANN401
        self._coder.encode(symbols, model, *parameters)
        self._written.append((symbols, model, parameters))

    def _says_the_same(self, data: bytes) -> bool:
        decoder = _decoder(data)
        try:
            return all(
                np.array_equal(_read(decoder, model, parameters, len(symbols)), symbols)
                for symbols, model, parameters in self._written
            )
        except (AssertionError, ValueError):
            return False


class Reader:
    """Reads symbols in the order in which they were written, under the same tables."""

    def __init__(self, data: bytes) -> None:
        """`data` is what `Writer.finish` gave, or anything else: then it reads other symbols, or raises BadAudio."""
        self._decoder = _decoder(data)

    def one(self, odds: Odds) -> int:
        """One symbol."""
        return int(self.many(odds[None])[0])

    def many(self, odds: Odds) -> Integers:
        """As many symbols as there are tables."""
        return self._get(constriction.stream.model.Categorical(perfect=False), (odds,), len(odds))

    def plain(self, count: int, size: int) -> Integers:
        """`count` numbers below `size`."""
        return self._get(constriction.stream.model.Uniform(size), (), count)

    def _get(self, model: Any, parameters: tuple[Odds, ...], count: int) -> Integers:  # noqa: ANN401
        try:
            return _read(self._decoder, model, parameters, count)
        except (AssertionError, ValueError) as error:
            raise BadAudio("A packet of this voice stream is damaged.", "Ask for it again.") from error


def _decoder(data: bytes) -> Any:  # noqa: ANN401
    padded = data + bytes(8 + -len(data) % 4)
    return constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))


def _read(decoder: Any, model: Any, parameters: tuple[Odds, ...], count: int) -> Integers:  # noqa: ANN401
    if not count:
        return np.zeros(0, np.int32)
    return np.asarray(decoder.decode(model, *parameters) if parameters else decoder.decode(model, count), np.int32)


def costs(odds: Odds) -> npt.NDArray[np.float32]:
    """Bits that each symbol costs under its table."""
    return np.asarray(-np.log2(odds / odds.sum(axis=-1, keepdims=True)), np.float32)
