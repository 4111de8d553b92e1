"""Reads and writes a trigram language model in the binary trie format of PocketSphinx.

The library can use such a file but cannot tell what is in it, and a model in the speaker's own words has to start from
what the general one knows. Here the file becomes plain arrays and arrays become a file. This room knows nothing of
notes, words' meaning or decoders.

The format is that of `lm_trie.c`, `lm_trie_quant.c` and `bitarr.c` in the PocketSphinx sources: little-endian; unigrams
as (float prob, float backoff, uint32 first child); bigrams and trigrams as bit-packed records of fixed width, sorted,
where the path runs from the predicted word back into its history; probabilities as 16-bit numbers of bins. Logarithms
are to the base 1.0001.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.errors import ModelDamaged

MAGIC = b"Trie Language Model"
NATS = math.log(1.0001)
"""One unit of a stored logarithm, in nats."""

_BINS = 1 << 16
_UNIGRAM = np.dtype([("prob", "<f4"), ("backoff", "<f4"), ("child", "<u4")])

Ids = npt.NDArray[np.int64]
Logs = npt.NDArray[np.float32]
"""Natural logarithms."""
_Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TrigramModel:
    """A back-off trigram model over `words` `[V]`; all logarithms are natural.

    Bigram `i` says that `bigram_word[i]` follows `bigram_history[i]`; rows `[B]` are sorted by (word, history).
    Trigram `j` puts `trigram_history[j]` in front of the bigram `trigram_bigram[j]`; rows `[T]` are sorted likewise.
    `*_backoff` weighs the shorter context when the n-gram is a history with no entry of its own for the next word.
    """

    words: tuple[str, ...]
    unigram: Logs
    unigram_backoff: Logs
    bigram_word: Ids
    bigram_history: Ids
    bigram: Logs
    bigram_backoff: Logs
    trigram_bigram: Ids
    trigram_history: Ids
    trigram: Logs

    def bigram_keys(self) -> Ids:
        """Sorted keys `[B]`, word x V + history, for look-up by `np.searchsorted`."""
        return self.bigram_word * len(self.words) + self.bigram_history


def read_trie(path: Path) -> TrigramModel:
    """Read a trigram model. Raises ModelDamaged when the bytes are not such a model, FileNotFoundError when absent."""
    data = path.read_bytes()
    try:
        return _parse(data)
    except (ValueError, IndexError) as error:
        raise ModelDamaged(
            f"{path.name} is not a trigram model in PocketSphinx's trie format: {error}.",
            "pip install --force-reinstall pocketsphinx==5.1.1",
        ) from error


def _parse(data: bytes) -> TrigramModel:
    at = len(MAGIC)
    if data[:at] != MAGIC or data[at : at + 1] != b"\x03":
        raise ValueError("the header is another one")
    n1, n2, n3 = (int(n) for n in np.frombuffer(data, "<u4", 3, at + 1))
    at += 1 + 12 + 4  # order, counts, the unused kind of quantisation
    bins = np.frombuffer(data, "<f4", 3 * _BINS, at).reshape(3, _BINS)
    at += bins.nbytes
    ones = np.frombuffer(data, _UNIGRAM, n1 + 1, at)
    at += ones.nbytes
    wide, next_bits = n1.bit_length(), n3.bit_length()
    size = _packed_size(n2, wide + 32 + next_bits)
    n2 = int(ones["child"][n1])  # the header may promise a few more than there are
    bigram_history, backoff, prob, child = _unpack(data[at : at + size], n2 + 1, (wide, 16, 16, next_bits))
    at += size
    size, n3 = _packed_size(n3, wide + 16), int(child[n2])
    trigram_history, last = _unpack(data[at : at + size], n3, (wide, 16))
    at += size
    length = int(np.frombuffer(data, "<i4", 1, at)[0])
    text = data[at + 4 : at + 4 + length]
    words = tuple(text.decode().split("\0")[:-1])
    if len(text) != length or len(words) != n1:
        raise ValueError("its word list is cut short")
    starts = ones["child"].astype(np.int64)
    return TrigramModel(
        words=words,
        unigram=_nats(ones["prob"][:n1]),
        unigram_backoff=_nats(ones["backoff"][:n1]),
        bigram_word=np.repeat(np.arange(n1), starts[1:] - starts[:-1]),
        bigram_history=bigram_history[:n2],
        bigram=_nats(bins[0][prob[:n2]]),
        bigram_backoff=_nats(bins[1][backoff[:n2]]),
        trigram_bigram=np.repeat(np.arange(n2), child[1:] - child[:-1]),
        trigram_history=trigram_history,
        trigram=_nats(bins[2][last]),
    )


def write_trie(model: TrigramModel, path: Path) -> None:
    """Write the model; probabilities are rounded to the nearest of 65536 bins that hold equally many of them."""
    n1, n2, n3 = len(model.words), len(model.bigram), len(model.trigram)
    wide, next_bits = n1.bit_length(), n3.bit_length()
    ones = np.zeros(n1 + 1, _UNIGRAM)
    ones["prob"][:n1] = model.unigram / NATS
    ones["backoff"][:n1] = model.unigram_backoff / NATS
    ones["child"] = np.searchsorted(model.bigram_word, np.arange(n1 + 1))
    child = np.searchsorted(model.trigram_bigram, np.arange(n2 + 1))
    tables = [_bins(values) for values in (model.bigram, model.bigram_backoff, model.trigram)]
    prob, backoff, last = (
        _nearest(table, values)
        for table, values in zip(tables, (model.bigram, model.bigram_backoff, model.trigram), strict=True)
    )
    end = np.zeros(1, np.int64)
    pairs = [np.concatenate([part, end]) for part in (model.bigram_history, backoff, prob)]
    text = "".join(f"{word}\0" for word in model.words).encode()
    with path.open("wb") as file:
        file.write(MAGIC + b"\x03" + np.array([n1, n2, n3, 1], "<u4").tobytes())
        file.writelines((table / NATS).astype("<f4").tobytes() for table in tables)
        file.write(ones.tobytes())
        file.write(_pack([*pairs, child], (wide, 16, 16, next_bits), _packed_size(n2, wide + 32 + next_bits)))
        file.write(_pack([model.trigram_history, last], (wide, 16), _packed_size(n3, wide + 16)))
        file.write(np.array([len(text)], "<i4").tobytes() + text)


def _nats(stored: npt.NDArray[np.float32]) -> Logs:
    return np.asarray(stored * np.float32(NATS), np.float32)


def _packed_size(entries: int, bits: int) -> int:
    """Bytes of a packed array: one spare entry, rounded up, and eight bytes that a wide read may touch."""
    return ((1 + entries) * bits + 7) // 8 + 8


def _fields(bits: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """(record in a group of eight, field, first byte in the group, shift) of every field.

    Eight records of `b` bits fill `b` bytes exactly, so every group of eight has its fields at the same bytes.
    """
    total = sum(bits)
    starts = np.cumsum((0, *bits[:-1]))
    return [
        (phase, index, (phase * total + int(start)) // 8, (phase * total + int(start)) % 8)
        for phase in range(8)
        for index, start in enumerate(starts)
    ]


def _unpack(packed: bytes, entries: int, bits: tuple[int, ...]) -> list[Ids]:
    """Fields `[entries]` each, of records of `sum(bits)` bits, the first field in the lowest bits."""
    stride, groups = sum(bits), -(-entries // 8)
    raw = np.zeros(groups * stride + 8, np.uint8)
    have = np.frombuffer(packed, np.uint8)
    if len(have) * 8 < entries * stride:
        raise ValueError("an n-gram table is cut short")
    raw[: min(len(raw), len(have))] = have[: len(raw)]
    out = [np.empty((groups, 8), np.int64) for _ in bits]
    for phase, index, byte, shift in _fields(bits):
        value = np.zeros(groups, np.int64)
        for step in range((shift + bits[index] + 7) // 8):
            value |= raw[byte + step :: stride][:groups].astype(np.int64) << (8 * step)
        out[index][:, phase] = (value >> shift) & ((1 << bits[index]) - 1)
    return [column.reshape(-1)[:entries] for column in out]


def _pack(columns: list[Ids], bits: tuple[int, ...], size: int) -> bytes:
    """The reverse of `_unpack`, filled up with zeros to `size` bytes."""
    entries, stride = len(columns[0]), sum(bits)
    groups = -(-entries // 8)
    padded = [np.concatenate([c, np.zeros(groups * 8 - entries, np.int64)]).reshape(groups, 8) for c in columns]
    raw: _Bytes = np.zeros((groups, stride), np.uint8)
    for phase, index, byte, shift in _fields(bits):
        value = padded[index][:, phase] << shift
        for step in range((shift + bits[index] + 7) // 8):
            raw[:, byte + step] |= ((value >> (8 * step)) & 0xFF).astype(np.uint8)
    return raw.tobytes()[:size].ljust(size, b"\0")


def _bins(values: Logs) -> Logs:
    """65536 ascending bin centres `[65536]` that lie as densely as the values do; their extremes are exact."""
    if not len(values):
        return np.zeros(_BINS, np.float32)
    ordered = np.sort(values)
    places = np.linspace(0, len(ordered) - 1, _BINS).round().astype(np.int64)
    return np.asarray(ordered[places], np.float32)


def _nearest(table: Logs, values: Logs) -> Ids:
    above = np.clip(np.searchsorted(table, values), 1, _BINS - 1)
    return np.asarray(above - (values - table[above - 1] < table[above] - values), np.int64)
