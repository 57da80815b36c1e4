"""QR codes of short texts, fast: byte mode, error correction M, one mask (ISO/IEC 18004).

segno draws the patterns that don't depend on the text, once for each size; here only the text's bits are put in, which
takes a tenth of the time and would otherwise be a sixth of a document's. The tests hold each code equal to segno's own.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import segno
from segno import consts, encoder

_layout: Any = encoder  # has no types
_tables: Any = consts
_MASK = 3
_UNSET = 2
Bits = npt.NDArray[np.uint8]


class TooLongError(ValueError):
    """The text does not fit in the largest size that was allowed."""


def modules(text: str, *, largest: int) -> Bits:
    """The code's modules, 1 for dark, without a quiet zone; of the smallest of sizes 1 to `largest` (at most 13)."""
    data = text.encode()
    for version in range(1, largest + 1):
        size = _size(version)
        header = 4 + (8 if version < 10 else 16)
        if header + 8 * len(data) <= 8 * size.capacity:
            return size.drawn(_codewords(data, size, header - 4))
    raise TooLongError(f"{len(data)} bytes do not fit in a code of size {largest}")


def _codewords(data: bytes, size: "_Size", count_bits: int) -> bytes:
    """Header, text, end and padding, then error correction of each block, interleaved."""
    value = (0b0100 << count_bits | len(data)) << 8 * len(data) | int.from_bytes(data, "big")
    used = 4 + count_bits + 8 * len(data)
    room = 8 * size.capacity
    end = min(4, room - used)
    end += -(used + end) % 8
    filled = (value << end).to_bytes((used + end) // 8, "big")
    filled += (b"\xec\x11" * size.capacity)[: size.capacity - len(filled)]
    blocks, at = [], 0
    for length in size.blocks:
        blocks.append(filled[at : at + length])
        at += length
    longest = max(size.blocks)
    mixed = bytes(block[i] for i in range(longest) for block in blocks if i < len(block))
    checks = [_check(block, size.check_length) for block in blocks]
    return mixed + bytes(check[i] for i in range(size.check_length) for check in checks)


def _check(block: bytes, length: int) -> bytes:
    """The block's Reed-Solomon codewords: the remainder by the generator of that length."""
    table, top, keep = _products(length), 8 * (length - 1), (1 << 8 * length) - 1
    rest = 0
    for byte in block:
        rest = (rest << 8 & keep) ^ table[rest >> top ^ byte]
    return rest.to_bytes(length, "big")


@cache
def _products(length: int) -> tuple[int, ...]:
    """The generator of that length without its leading one, times each byte, as one number."""
    power = [1]
    for _ in range(254):
        power.append(power[-1] << 1 ^ (0x11D if power[-1] & 0x80 else 0))
    log = {value: i for i, value in enumerate(power)}

    def times(a: int, b: int) -> int:
        return power[(log[a] + log[b]) % 255] if a and b else 0

    generator = [1]
    for i in range(length):
        shifted = [*generator, 0]
        generator = [s ^ times(power[i], g) for s, g in zip(shifted, [0, *generator], strict=True)]
    return tuple(int.from_bytes(bytes(times(g, byte) for g in generator[1:]), "big") for byte in range(256))


@dataclass(frozen=True)
class _Size:
    """What of a version does not depend on the text. `places` is where its bits go, `mask` what turns them."""

    capacity: int
    blocks: tuple[int, ...]
    check_length: int
    base: Bits
    places: npt.NDArray[np.intp]
    mask: Bits

    def drawn(self, codewords: bytes) -> Bits:
        """The whole code."""
        bits = np.unpackbits(np.frombuffer(codewords, np.uint8))
        made = self.base.copy()
        left = self.mask.copy()  # a few modules at the end hold no bits, only the mask
        left[: len(bits)] ^= bits
        made.reshape(-1)[self.places] = left
        return made


@cache
def _size(version: int) -> _Size:
    blank = segno.make_qr("0", error="m", version=version, mask=_MASK, boost_error=False)
    base = np.array([list(row) for row in blank.matrix], np.uint8)
    width = len(base)
    layout = _layout.make_matrix(width, width)
    _layout.add_finder_patterns(layout, width, width)
    _layout.add_alignment_patterns(layout, width, width)
    free = np.array([list(row) for row in layout]) == _UNSET
    places = [
        row * width + column
        for turn, right in enumerate([*range(width - 1, 6, -2), 5, 3, 1])  # column 6 is the timing pattern's
        for row in (range(width) if turn % 2 else range(width - 1, -1, -1))
        for column in (right, right - 1)
        if free[row, column]
    ]
    kinds = _tables.ECC[version][_tables.ERROR_LEVEL_M]
    blocks = tuple(kind.num_data for kind in kinds for _ in range(kind.num_blocks))
    mask = [(place // width + place % width) % 3 == 0 for place in places]
    return _Size(
        capacity=sum(blocks),
        blocks=blocks,
        check_length=kinds[0].num_total - kinds[0].num_data,
        base=base,
        places=np.array(places),
        mask=np.array(mask, np.uint8),
    )
