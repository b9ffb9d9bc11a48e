"""Protocol buffers and the lengths in TensorFlow's files: numbers of seven bits a byte, and fields under a number."""

from collections.abc import Iterator

# The kinds of field that TensorFlow's checkpoints have.
NUMBER, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """A number, and where what follows it starts.

    Raises:
        ValueError: the data ends within the number, or it has more than 64 bits.
    """
    number = 0
    for place, byte in enumerate(data[start : start + 10]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if number >> 64:
                break
            return number, start + place + 1
    raise ValueError("a number is cut off or has more than 64 bits")


def varint(number: int) -> bytes:
    """A number of at least 0 as bytes."""
    low, rest = bytearray(), number
    while rest > 0x7F:
        low.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*low, rest])


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: their numbers, and a number or bytes each; a message in it is bytes.

    Raises:
        ValueError: the bytes are no message.
    """
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        field, kind = tag >> 3, tag & 7
        if kind == NUMBER:
            number, at = read_varint(message, at)
            yield field, number
            continue
        if kind == BYTES:
            width, at = read_varint(message, at)
        elif kind in _WIDTHS:
            width = _WIDTHS[kind]
        else:
            raise ValueError(f"a message has a field of kind {kind}, which there is not")
        value = message[at : at + width]
        if len(value) < width:
            raise ValueError("a message is cut off")
        at += width
        yield field, value if kind == BYTES else int.from_bytes(value, "little")


def number_field(field: int, number: int) -> bytes:
    """A field that holds a number of at least 0; nothing for 0, which a field that is not there means."""
    return varint(field << 3 | NUMBER) + varint(number) if number else b""


def bytes_field(field: int, value: bytes) -> bytes:
    """A field that holds bytes, or another message."""
    return varint(field << 3 | BYTES) + varint(len(value)) + value


def fixed32_field(field: int, number: int) -> bytes:
    """A field that holds a number of 32 bits; nothing for 0."""
    return varint(field << 3 | FIXED32) + number.to_bytes(4, "little") if number else b""
