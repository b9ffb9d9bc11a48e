"""CRC-32C, the checksum of TensorFlow's files, at the speed of NumPy.

A CRC is the remainder of a polynomial over GF(2), and remainders of parts add up. So a long input is read as rows of
words, a remainder is kept for each column, and in the end the columns are added.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

# Castagnoli's polynomial. Bit 31 of a word is the coefficient of x^0, bit 0 that of x^31.
_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8

# 2^13 columns: their remainders and the two tables fit a processor's second cache.
_MOST_COLUMNS = 13

Words = NDArray[np.uint32]


def crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C (RFC 3720, appendix B.4) of bytes of any length."""
    view = memoryview(data).cast("B")
    odd = len(view) % 4
    state = _ALL
    for byte in view[:odd]:
        state = state >> 8 ^ _of_byte()[(state ^ byte) & 0xFF]
    words = np.frombuffer(view[odd:], dtype="<u4")
    return _ALL ^ (_remainder(words, state) if len(words) else state)


def masked_crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C as LevelDB and TensorFlow store it: altered, as a CRC of data that holds CRCs says little."""
    crc = crc32c(data)
    return (crc >> 15 | crc << 17) + _MASK_DELTA & _ALL


def _remainder(words: Words, state: int) -> int:
    """The register after some words, one or more, from a state before them."""
    power = min(_MOST_COLUMNS, len(words).bit_length() - 1)
    columns = 1 << power
    first = len(words) % columns or columns
    remainders = np.zeros(columns, np.uint32)
    # Zeros before a polynomial change nothing, and a state counts as if it were added to the next word.
    remainders[-first:] = words[:first]
    remainders[-first] ^= np.uint32(state)
    for start in range(first, len(words), columns):
        remainders = _shifted(remainders, power) ^ words[start : start + columns]
    while power:
        power -= 1
        left, right = np.split(remainders, 2)
        remainders = _shifted(left, power) ^ right
    return int(_shifted(remainders, 0)[0])


def _shifted(words: Words, power: int) -> Words:
    """Words times x^(32 * 2^power), as it is for 2^power words more after each."""
    low, high = _tables(power)
    return low[words & 0xFFFF] ^ high[words >> 16]


@cache
def _tables(power: int) -> tuple[Words, Words]:
    """What the lower and the upper half of a word become by a shift of 2^power words."""
    if power:
        # A shift twice.
        bits = _shifted(_shifted(np.uint32(1) << np.arange(32, dtype=np.uint32), power - 1), power - 1)
    else:
        bits = np.array([_shifted_bit(bit) for bit in range(32)], np.uint32)
    return _sums(bits[:16]), _sums(bits[16:])


def _sums(bits: Words) -> Words:
    """What each number becomes, given what its bits become."""
    table = np.zeros(1, np.uint32)
    for bit in bits:
        table = np.concatenate([table, table ^ bit])
    return table


def _shifted_bit(bit: int, places: int = 32) -> int:
    word = 1 << bit
    for _ in range(places):
        word = word >> 1 ^ _POLYNOMIAL * (word & 1)
    return word


@cache
def _of_byte() -> list[int]:
    bits = np.array([_shifted_bit(bit, 8) for bit in range(8)], np.uint32)
    return [int(entry) for entry in _sums(bits)]
