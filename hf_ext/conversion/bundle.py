"""TensorFlow's V2 checkpoints, "bundles", read and written without TensorFlow.

A bundle is an index, `<prefix>.index`, and data files, `<prefix>.data-00000-of-00001`. The index is a sorted table:
under the empty key a header, under each variable's name its type, shape and place in the data, with a checksum, as
protocol buffers. A variable that was partitioned has its slices instead of a place, each under a key of its own.
Format: github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto.
"""

import mmap
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from hf_ext.conversion.crc32c import masked_crc32c
from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.protobuf import bytes_field, fixed32_field, number_field, read_fields
from hf_ext.conversion.sorted_table import read_table, write_table

# The version of the format that TensorFlow 1 and 2 write, and the oldest reader that it allows.
_VERSION = 1

# TensorFlow's number of each type, and its name, which is PyTorch's too.
_TYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
_NUMBERS = {name: number for number, name in _TYPES.items()}

# Start and length in each dimension; a length of -1 is all of it.
Slice = tuple[tuple[int, int], ...]
_WHOLE = -1


@dataclass(frozen=True)
class Entry:
    """What the index says of a variable or of a slice of one; one that has slices has no data of its own."""

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    slices: tuple[Slice, ...]

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """PyTorch's type of the data; None for texts and what else it has no numbers for."""
        found = getattr(torch, self.dtype, None)
        return found if isinstance(found, torch.dtype) else None


class Bundle:
    """A bundle that is open: the data files are mapped, and a variable that is read is a view of them.

    Attributes:
        entries: what the index says of each variable.

    Raises:
        ConversionError: a file is absent, cut off or damaged, or was written by another kind of machine.
    """

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        index = _index(prefix)
        try:
            table = read_table(index.read_bytes())
            shards = _read_header(table.pop(b"", b""))
            self._entries = {key: _parse_entry(value) for key, value in table.items()}
            # Keys of slices start with a zero.
            self.entries = {key.decode(): entry for key, entry in self._entries.items() if key[:1] != b"\x00"}
        except ValueError as error:
            raise ConversionError(f"{index} is not readable as a checkpoint index: {error}") from error
        self._shards = [_map(_shard(prefix, i, shards)) for i in range(shards)]
        for entry in self._entries.values():
            self._check_place(entry)

    def read(self, name: str) -> Tensor:
        """A variable, as a view of its file unless it is put together of slices.

        Raises:
            ConversionError: its checksum is another, it is of a type that has no numbers, or a slice is missing.
        """
        entry = self.entries[name]
        dtype = entry.torch_dtype
        if dtype is None:
            raise ConversionError(f"{self._prefix}: {name} is of type {entry.dtype}, which holds no numbers")
        if not entry.slices:
            return self._data(name, entry, dtype)
        return self._put_together(name, entry, dtype)

    def _put_together(self, name: str, entry: Entry, dtype: torch.dtype) -> Tensor:
        """A variable of its slices, which must cover it, each place once."""
        places = {one: _place(one, entry.shape) for one in entry.slices}
        if not _is_partition(list(places.values()), entry.shape):
            found = ", ".join(map(_text, entry.slices))
            raise ConversionError(f"{self._prefix}: {name} has slices ({found}) that do not make {list(entry.shape)}")
        parts = []
        for one, place in places.items():
            part = self._entries.get(_slice_key(name, one))
            if part is None or part.shape != tuple(map(len, place)) or part.dtype != entry.dtype:
                raise ConversionError(f"{self._prefix}: {name} lacks its slice {_text(one)}")
            parts.append(self._data(f"{name} {_text(one)}", part, dtype))
        whole = torch.empty(entry.shape, dtype=dtype)
        for place, data in zip(places.values(), parts):
            whole[tuple(slice(extent.start, extent.stop) for extent in place)] = data
        return whole

    def _data(self, name: str, entry: Entry, dtype: torch.dtype) -> Tensor:
        file = self._shards[entry.shard]
        data = memoryview(file)[entry.offset : entry.offset + entry.size]
        if entry.size != prod(entry.shape) * dtype.itemsize or masked_crc32c(data) != entry.checksum:
            raise ConversionError(
                f"{self._prefix}: {name} cannot be read; the data is damaged or belongs to another index"
            )
        if not entry.size:
            return torch.empty(entry.shape, dtype=dtype)
        if entry.offset % dtype.itemsize:
            return torch.frombuffer(bytearray(data), dtype=dtype).reshape(entry.shape)
        count = prod(entry.shape)
        return torch.frombuffer(file, dtype=dtype, count=count, offset=entry.offset).reshape(entry.shape)

    def _check_place(self, entry: Entry) -> None:
        count = len(self._shards)
        if not entry.shard < count:
            raise ConversionError(f"{self._prefix}.index says data file {entry.shard}, but has {count}")
        end, length = entry.offset + entry.size, len(self._shards[entry.shard])
        if end > length:
            raise ConversionError(
                f"{_shard(self._prefix, entry.shard, count)} holds {length} bytes, the index needs {end}; the data is "
                "truncated or belongs to another index"
            )


def write_bundle(prefix: Path, variables: Mapping[str, Tensor]) -> None:
    """Write variables, each under its name, with one data file: the same bytes as TensorFlow's `SaveV2`.

    Raises:
        ValueError: if TensorFlow has no type for a variable.
    """
    version = number_field(1, _VERSION)
    header = number_field(1, 1) + number_field(2, sys.byteorder == "big") + bytes_field(3, version)
    entries, offset = {b"": header}, 0
    with _shard(prefix, 0, 1).open("wb") as file:
        for name, tensor in variables.items():
            dtype = str(tensor.dtype).removeprefix("torch.")
            if dtype not in _NUMBERS:
                raise ValueError(f"variables must be of a type of TensorFlow's, got {dtype} for {name}")
            data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            file.write(data)
            shape = b"".join(bytes_field(2, number_field(1, size)) for size in tensor.shape)
            entries[name.encode()] = (
                number_field(1, _NUMBERS[dtype])
                + bytes_field(2, shape)
                + number_field(4, offset)
                + number_field(5, len(data))
                + fixed32_field(6, masked_crc32c(data))
            )
            offset += len(data)
    _index(prefix).write_bytes(write_table(sorted(entries.items())))


def is_bundle(prefix: Path) -> bool:
    """Whether there is a bundle under a prefix, by its index."""
    return _index(prefix).is_file()


def _index(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.index")


def _shard(prefix: Path, index: int, count: int) -> Path:
    return prefix.with_name(f"{prefix.name}.data-{index:05d}-of-{count:05d}")


def _map(file: Path) -> bytes | mmap.mmap:
    """The content of a file; of one that is mapped, what is written to it stays in memory."""
    try:
        with file.open("rb") as opened:
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY) if file.stat().st_size else b""
    except FileNotFoundError as error:
        raise ConversionError(
            f"{file} is not there, and the index says that it is; restore it from the release"
        ) from error


def _read_header(header: bytes) -> int:
    """The number of data files."""
    shards, endianness = 0, 0
    for field, value in read_fields(header):
        if field == 1:
            shards = _number(value)
        elif field == 2:
            endianness = _number(value)
        elif field == 3:
            oldest = next((_number(number) for inner, number in read_fields(_message(value)) if inner == 2), 0)
            if oldest > _VERSION:
                raise ValueError(f"it is of version {oldest} or newer; {_VERSION} is understood")
    if not 0 < shards <= 99999:
        raise ValueError(f"it says that there are {shards} data files; one or more are expected")
    if (endianness == 1) != (sys.byteorder == "big"):
        raise ValueError(f"it was written by a machine of another byte order than this one's ({sys.byteorder}-endian)")
    return shards


def _parse_entry(message: bytes) -> Entry:
    fields: dict[int, int] = {}
    shape: tuple[int, ...] = ()
    slices = []
    for field, value in read_fields(message):
        if field == 2:
            shape = _parse_shape(_message(value))
        elif field == 7:
            slices.append(_message(value))
        else:
            fields[field] = _number(value)
    number = fields.get(1, 0)
    return Entry(
        dtype=_TYPES.get(number, f"number {number} of TensorFlow's"),
        shape=shape,
        shard=fields.get(3, 0),
        offset=fields.get(4, 0),
        size=fields.get(5, 0),
        checksum=fields.get(6, 0),
        slices=tuple(_parse_slice(each, shape) for each in slices),
    )


def _parse_shape(message: bytes) -> tuple[int, ...]:
    sizes = []
    for field, value in read_fields(message):
        if field == 3 and value:
            raise ValueError("it has a variable of no known shape")
        if field == 2:
            sizes.append(next((_number(size) for inner, size in read_fields(_message(value)) if inner == 1), 0))
    if any(size >= 2**63 for size in sizes):
        raise ValueError("it has a variable of no known size")
    return tuple(sizes)


def _parse_slice(message: bytes, shape: tuple[int, ...]) -> Slice:
    extents = [
        {inner: _number(number) for inner, number in read_fields(_message(value))}
        for field, value in read_fields(message)
        if field == 1
    ]
    if len(extents) != len(shape):
        raise ValueError(f"it has a slice of {len(extents)} dimensions of a variable of {len(shape)}")
    return tuple((extent.get(1, 0), extent.get(2, _WHOLE)) for extent in extents)


def _place(one: Slice, shape: tuple[int, ...]) -> tuple[range, ...]:
    return tuple(
        range(start, size if length == _WHOLE else start + length) for (start, length), size in zip(one, shape)
    )


def _is_partition(places: list[tuple[range, ...]], shape: tuple[int, ...]) -> bool:
    inside = all(extent.stop <= size for place in places for extent, size in zip(place, shape))
    covered = sum(prod(map(len, place)) for place in places)
    apart = all(
        any(a.stop <= b.start or b.stop <= a.start for a, b in zip(one, other))
        for one, other in combinations(places, 2)
    )
    return inside and apart and covered == prod(shape)


def _slice_key(name: str, one: Slice) -> bytes:
    """The key of a slice, made so that keys sort as their parts do (TensorFlow's `OrderedCode`)."""
    key = b"\x00" + name.encode().replace(b"\x00", b"\x00\xff") + b"\x00\x01" + bytes([1, len(one)])
    return key + b"".join(_ordered(number) for extent in one for number in extent)


def _ordered(number: int) -> bytes:
    """A number of at least -1: as many ones as it has bytes, and the number after a zero."""
    if number == _WHOLE:
        return b"\x7f"
    width = number.bit_length() // 7 + 1
    ones = (1 << width) - 1 << 7 * width
    return (ones + number).to_bytes(width, "big")


def _text(one: Slice) -> str:
    return ":".join("-" if extent == (0, _WHOLE) else f"{extent[0]},{extent[1]}" for extent in one)


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("it has bytes where a number is expected")
    return value


def _message(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("it has a number where a message is expected")
    return value
