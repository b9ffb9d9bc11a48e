"""Sorted tables of keys and values in LevelDB's file format, in which TensorFlow keeps the index of a checkpoint.

A file is blocks of entries, each entry without what it has in common with the key before, then a block that says where
those are, and a footer. Format: github.com/google/leveldb/blob/main/doc/table_format.md.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hf_ext.conversion.crc32c import masked_crc32c
from hf_ext.conversion.protobuf import read_varint, varint

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")

_FOOTER = 48
# Behind a block stand its kind and its checksum.
_TRAILER = 5
_PLAIN, _SNAPPY = b"\x00", b"\x01"

# As TensorFlow writes them, so that its files and ours are equal.
_BLOCK_SIZE = 262144
_RESTART_INTERVAL = 16


def is_table(file: Path) -> bool:
    """Whether a file ends as a table does."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - len(MAGIC)))
        return opened.read() == MAGIC


def read_table(data: bytes) -> dict[bytes, bytes]:
    """The entries of a table, from the bytes of its file.

    Raises:
        ValueError: the bytes are no table, or they are cut off or damaged.
    """
    if len(data) < _FOOTER or not data.endswith(MAGIC):
        raise ValueError(f"its {len(data)} bytes do not end as a table does; it is cut off or another file")
    footer = data[-_FOOTER:]
    meta, at = _read_handle(footer, 0)
    index, _ = _read_handle(footer, at)
    _read_block(data, *meta)
    table: dict[bytes, bytes] = {}
    last = None
    for _, handle in _entries(_read_block(data, *index)):
        for key, value in _entries(_read_block(data, *_read_handle(handle, 0)[0])):
            if last is not None and key <= last:
                raise ValueError(f"its keys are not in order at {key!r}")
            table[key] = value
            last = key
    return table


def write_table(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The file of a table of entries, whose keys must ascend."""
    out, index, block = bytearray(), _Block(1), _Block(_RESTART_INTERVAL)
    pending: tuple[bytes, bytes] | None = None
    for key, value in entries:
        if pending:
            index.add(_between(pending[0], key), pending[1])
            pending = None
        block.add(key, value)
        if block.size >= _BLOCK_SIZE:
            pending, block = (key, _append(out, block)), _Block(_RESTART_INTERVAL)
    if block.entries:
        pending = block.last, _append(out, block)
    # A table may have a block about itself; these have an empty one.
    meta = _append(out, _Block(_RESTART_INTERVAL))
    if pending:
        index.add(_after(pending[0]), pending[1])
    handles = meta + _append(out, index)
    return bytes(out) + handles.ljust(_FOOTER - len(MAGIC), b"\x00") + MAGIC


class _Block:
    """A block that is being written; each `interval` entries, one stands with its whole key."""

    def __init__(self, interval: int) -> None:
        self.entries = 0
        self.last = b""
        self._interval = interval
        self._data = bytearray()
        self._restarts = [0]

    @property
    def size(self) -> int:
        return len(self._data) + 4 * len(self._restarts) + 4

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.entries % self._interval:
            shared = _shared(self.last, key)
        elif self.entries:
            self._restarts.append(len(self._data))
        self._data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        self.entries += 1
        self.last = key

    def content(self) -> bytes:
        numbers = (*self._restarts, len(self._restarts))
        return bytes(self._data) + b"".join(number.to_bytes(4, "little") for number in numbers)


def _append(out: bytearray, block: _Block) -> bytes:
    """Write a block; returns the bytes that say where it is."""
    content = block.content() + _PLAIN
    handle = varint(len(out)) + varint(len(content) - 1)
    out += content + masked_crc32c(content).to_bytes(4, "little")
    return handle


def _shared(one: bytes, other: bytes) -> int:
    """How many bytes two keys begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def _between(low: bytes, high: bytes) -> bytes:
    """A short key that is at least the one and less than the other."""
    shared = _shared(low, high)
    if shared < min(len(low), len(high)) and low[shared] < 0xFF and low[shared] + 1 < high[shared]:
        return low[:shared] + bytes([low[shared] + 1])
    return low


def _after(key: bytes) -> bytes:
    """A short key that is at least this one."""
    for at, byte in enumerate(key):
        if byte < 0xFF:
            return key[:at] + bytes([byte + 1])
    return key


def _read_handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Where a block is and how long, and where what follows this starts."""
    start, at = read_varint(data, at)
    size, at = read_varint(data, at)
    return (start, size), at


def _read_block(data: bytes, start: int, size: int) -> bytes:
    end = start + size + 1
    if end + _TRAILER - 1 > len(data):
        raise ValueError(f"it has a block that ends at byte {end + _TRAILER - 1} of {len(data)}")
    content, kind = data[start:end], data[end - 1 : end]
    if masked_crc32c(content).to_bytes(4, "little") != data[end : end + _TRAILER - 1]:
        raise ValueError(f"the checksum of its block at byte {start} is another")
    if kind == _SNAPPY:
        return decompress_snappy(content[:-1])
    if kind != _PLAIN:
        raise ValueError(f"its block at byte {start} is of kind {kind[0]}; 0 (plain) or 1 (Snappy) is expected")
    return content[:-1]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = len(block) - 4 * (int.from_bytes(block[-4:], "little") + 1)
    if end < 0:
        raise ValueError("it has a block that is shorter than it says")
    at, key = 0, b""
    while at < end:
        shared, at = read_varint(block, at)
        rest, at = read_varint(block, at)
        size, at = read_varint(block, at)
        if shared > len(key) or at + rest + size > end:
            raise ValueError("it has a block whose entries are longer than it")
        key = key[:shared] + block[at : at + rest]
        at += rest + size
        yield key, block[at - size : at]


def decompress_snappy(data: bytes) -> bytes:
    """What was compressed by Snappy (github.com/google/snappy/blob/main/format_description.txt).

    Raises:
        ValueError: the data is cut off or damaged.
    """
    size, at = read_varint(data, 0)
    out = bytearray()
    while at < len(data) and len(out) <= size:
        tag, at = data[at], at + 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:
            if length > 60:
                width = length - 60
                length, at = int.from_bytes(data[at : at + width], "little") + 1, at + width
            out += data[at : at + length]
            at += length
            continue
        if kind == 1:
            length, far, width = (tag >> 2 & 7) + 4, tag >> 5 << 8, 1
        else:
            far, width = 0, 2 if kind == 2 else 4
        far, at = far | int.from_bytes(data[at : at + width], "little"), at + width
        if not 0 < far <= len(out):
            raise ValueError("a block compressed by Snappy is damaged: it copies what is not there")
        # What is copied may reach into the copy: the bytes since then, over and over.
        copied = out[-far:]
        out += (copied * (length // len(copied) + 1))[:length]
    if at != len(data) or len(out) != size:
        raise ValueError(f"a block compressed by Snappy is damaged: it makes {len(out)} bytes instead of {size}")
    return bytes(out)
