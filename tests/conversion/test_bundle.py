"""TensorFlow's checkpoints without TensorFlow: each reads what the other wrote, and damage is named."""

import random

import numpy
import pytest
import torch

from hf_ext.conversion import ConversionError
from hf_ext.conversion.bundle import Bundle, write_bundle
from hf_ext.conversion.crc32c import crc32c, masked_crc32c
from hf_ext.conversion.protobuf import bytes_field, number_field, read_fields, read_varint, varint
from hf_ext.conversion.sorted_table import decompress_snappy, read_table, write_table

DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128, torch.bool),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)
DATA, INDEX = "x.data-00000-of-00001", "x.index"


def every_kind(entries=1):
    """Variables of each type, of no dimension to three, empty ones too, and names beyond ASCII."""
    torch.manual_seed(0)
    variables = {f"类型/{dtype}": (100 * torch.randn(3, 1, 5)).abs().to(dtype) for dtype in DTYPES}
    variables |= {
        "scalar": torch.tensor(-1.5),
        "empty": torch.zeros(0, 4),
        "bert/a": torch.ones(1),
        "bert": torch.ones(2),
    }
    return variables | {f"layer_{i}/attention/output/dense/kernel": torch.full((1,), float(i)) for i in range(entries)}


def save_by_tensorflow(tf, prefix, variables, slices=None):
    def constant(tensor):
        if tensor.dtype == torch.bfloat16:
            return tf.constant(tensor.float().numpy(), dtype=tf.bfloat16)
        return tf.constant(tensor.numpy())

    names = [name for name, _ in variables]
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=slices or [""] * len(names),
        tensors=[constant(tensor) for _, tensor in variables],
    )


def assert_reads(bundle, variables):
    assert bundle.entries.keys() == variables.keys()
    for name, tensor in variables.items():
        found = bundle.read(name)
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found, tensor), name


@pytest.fixture
def written(tmp_path):
    """The prefix of a bundle of some variables, and the variables."""
    variables = every_kind(3)
    write_bundle(tmp_path / "x", variables)
    return tmp_path / "x", variables


class TestChecksum:
    # RFC 3720, appendix B.4, and the check value of catalogues.
    @pytest.mark.parametrize(
        ("data", "crc"),
        [
            (b"", 0),
            (b"123456789", 0xE3069283),
            (bytes(32), 0x8A9136AA),
            (b"\xff" * 32, 0x62A8AB43),
            (bytes(range(32)), 0x46DD794E),
            (bytes(range(31, -1, -1)), 0x113FDB5C),
        ],
    )
    def test_published_values(self, data, crc):
        assert crc32c(data) == crc

    @pytest.mark.parametrize("size", [*range(1, 18), 63, 64, 65, 127, 1000, 4099, 32767, 32768, 32769, 70001])
    def test_bit_by_bit(self, size):
        data = random.Random(size).randbytes(size)
        register = 0xFFFFFFFF
        for byte in data:
            register ^= byte
            for _ in range(8):
                register = register >> 1 ^ 0x82F63B78 * (register & 1)
        assert crc32c(data) == register ^ 0xFFFFFFFF
        assert crc32c(memoryview(b"x" + data)[1:]) == crc32c(data)


class TestParts:
    @pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**63, 2**64 - 1])
    def test_numbers(self, number):
        data = varint(number)
        assert len(data) == max(1, -(-number.bit_length() // 7))
        assert read_varint(b"\xff" + data + b"\x01", 1) == (number, len(data) + 1)

    def test_messages(self):
        message = number_field(1, 300) + number_field(2, 0) + bytes_field(7, b"ab") + bytes_field(7, b"")
        assert list(read_fields(message)) == [(1, 300), (7, b"ab"), (7, b"")]

    @pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9 + b"\x02", b"\xff" * 12])
    def test_what_is_no_number(self, data):
        with pytest.raises(ValueError, match="cut off or has more than 64 bits"):
            read_varint(data, 0)

    @pytest.mark.parametrize("message", [b"\x08", b"\x0a\x02a", b"\x0d\x00", b"\x0b", b"\x0c", b"\x80"])
    def test_what_is_no_message(self, message):
        with pytest.raises(ValueError, match=r"a (message|number) .*cut off|a message has a field of kind [34]"):
            list(read_fields(message))

    @pytest.mark.parametrize("size", [0, 1, 59, 60, 61, 300, 70000])
    @pytest.mark.parametrize("letters", [1, 2, 256])
    def test_snappy(self, size, letters):
        pyarrow = pytest.importorskip("pyarrow")
        data = bytes(random.Random(0).choices(range(letters), k=size))
        packed = pyarrow.compress(data, codec="snappy", asbytes=True)
        assert decompress_snappy(packed) == data
        for end in range(0, len(packed), len(packed) // 50 + 1):
            with pytest.raises(ValueError):
                decompress_snappy(packed[:end])

    def test_a_table_with_blocks_compressed_by_snappy(self):
        pyarrow = pytest.importorskip("pyarrow")
        entries = {f"key{i:03d}".encode(): b"value" * 9 for i in range(40)}
        table = write_table(sorted(entries.items()))
        # Each has one block of data, and the footer says where what comes after it starts.
        end, _ = read_varint(table, len(table) - 48)
        packed = pyarrow.compress(table[: end - 5], codec="snappy", asbytes=True) + b"\x01"
        block = packed + masked_crc32c(packed).to_bytes(4, "little")
        index = write_table([(b"z", varint(0) + varint(len(packed) - 1))])
        end, _ = read_varint(index, len(index) - 48)
        handle = varint(len(block)) + varint(end - 5)
        whole = block + index[:end] + (handle + handle).ljust(40, b"\x00") + table[-8:]
        assert read_table(whole) == entries

    @pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 33, 20000])
    def test_tables(self, count):
        entries = {f"{i * 7919 % 10007:05d}{i}".encode(): varint(i) * 4 for i in range(count)}
        assert read_table(write_table(sorted(entries.items()))) == entries

    def test_a_table_out_of_order_is_refused(self):
        with pytest.raises(ValueError, match="not in order at b'a'"):
            read_table(write_table([(b"b", b""), (b"a", b"")]))


class TestBesideTensorFlow:
    # With 9000 entries the index has more than one block.
    @pytest.mark.parametrize("entries", [0, 40, 9000])
    def test_the_same_bytes(self, tensorflow, tmp_path, entries):
        variables = every_kind(entries)
        save_by_tensorflow(tensorflow, tmp_path / "theirs", variables.items())
        write_bundle(tmp_path / "ours", variables)
        for end in (".index", ".data-00000-of-00001"):
            theirs, ours = (tmp_path / f"{who}{end}" for who in ("theirs", "ours"))
            assert theirs.read_bytes() == ours.read_bytes()
        assert_reads(Bundle(tmp_path / "theirs"), variables)

    def test_it_reads_what_is_written_here(self, tensorflow, written):
        prefix, variables = written
        reader = tensorflow.train.load_checkpoint(str(prefix))
        assert reader.get_variable_to_shape_map().keys() == variables.keys()
        for name, tensor in variables.items():
            found = numpy.asarray(tensorflow.cast(reader.get_tensor(name), "complex128"))
            assert numpy.array_equal(found, tensor.to(torch.complex128).numpy())

    def test_several_data_files(self, tensorflow, tmp_path):
        parts = [{f"{i}/{name}": tensor for name, tensor in every_kind(i).items()} for i in range(3)]
        for i, part in enumerate(parts):
            save_by_tensorflow(tensorflow, tmp_path / f"part{i}", part.items())
        tensorflow.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=[str(tmp_path / f"part{i}") for i in range(3)],
            destination_prefix=str(tmp_path / "x"),
            delete_old_dirs=False,
        )
        assert len(list(tmp_path.glob("x.data-0000?-of-00003"))) == 3
        assert_reads(Bundle(tmp_path / "x"), parts[0] | parts[1] | parts[2])
        (tmp_path / "x.data-00001-of-00003").unlink()
        with pytest.raises(ConversionError, match=r"x\.data-00001-of-00003 is not there, and the index says"):
            Bundle(tmp_path / "x")

    @pytest.mark.parametrize(
        "slices",
        [
            ["0,70:-", "70,130:-"],
            ["0,70:0,9000", "70,130:0,9000"],
            ["0,1:-", "1,63:-", "64,64:-", "128,72:-"],
            ["0,70:-", "70,130:0,100", "70,130:100,8900"],
            ["-:0,8192", "-:8192,808"],
            ["-:-"],
        ],
    )
    def test_partitioned_variables(self, tensorflow, tmp_path, slices):
        whole = torch.randn(200, 9000)

        def part(extents):
            ranges = [extent.split(",") for extent in extents.split(":")]
            rows, columns = (slice(None) if r == ["-"] else slice(int(r[0]), int(r[0]) + int(r[1])) for r in ranges)
            return whole[rows, columns].contiguous()

        variables = [("a/whole", torch.ones(2)), *(("bert/embeddings", part(extents)) for extents in slices)]
        specs = ["", *(f"200 9000 {extents}" for extents in slices)]
        save_by_tensorflow(tensorflow, tmp_path / "x", variables, specs)
        assert_reads(Bundle(tmp_path / "x"), {"a/whole": torch.ones(2), "bert/embeddings": whole})

    @pytest.mark.parametrize("slices", [["0,1:-"], ["0,1:-", "2,1:-"], ["1,1:-", "2,1:-"]])
    def test_partitioned_variables_with_a_hole(self, tensorflow, tmp_path, slices):
        variables = [("w", torch.ones(1, 2)) for _ in slices]
        save_by_tensorflow(tensorflow, tmp_path / "x", variables, [f"3 2 {extents}" for extents in slices])
        with pytest.raises(ConversionError, match=r"w has slices \(.*\) that do not make \[3, 2\]"):
            Bundle(tmp_path / "x").read("w")

    def test_texts_are_named_and_not_read(self, tensorflow, tmp_path):
        save_by_tensorflow(tensorflow, tmp_path / "x", [("w", torch.ones(2))])
        tensorflow.raw_ops.SaveV2(
            prefix=str(tmp_path / "y"),
            tensor_names=["w", "graph"],
            shape_and_slices=["", ""],
            tensors=[tensorflow.ones(2), tensorflow.constant([b"a", b"bcd"])],
        )
        bundle = Bundle(tmp_path / "y")
        assert (bundle.entries["graph"].dtype, bundle.entries["graph"].shape) == ("string", (2,))
        assert bundle.read("w").tolist() == [1, 1]
        with pytest.raises(ConversionError, match="graph is of type string, which holds no numbers"):
            bundle.read("graph")


class TestReading:
    def test_what_is_written_comes_back(self, written):
        prefix, variables = written
        assert_reads(Bundle(prefix), variables)

    def test_a_variable_is_a_view_of_the_file_and_does_not_write_to_it(self, tmp_path):
        write_bundle(tmp_path / "x", {"w": torch.arange(4.0)})
        bundle = Bundle(tmp_path / "x")
        first = bundle.read("w")
        assert bundle.read("w").data_ptr() == first.data_ptr()
        first.zero_()
        assert Bundle(tmp_path / "x").read("w").tolist() == [0, 1, 2, 3]

    def test_rows_out_of_order_are_written_as_they_are_seen(self, tmp_path):
        tensor = torch.arange(12.0).reshape(3, 4)
        write_bundle(tmp_path / "x", {"t": tensor.T, "part": tensor[:, 1:3], "grad": tensor.clone().requires_grad_()})
        assert_reads(Bundle(tmp_path / "x"), {"t": tensor.T, "part": tensor[:, 1:3], "grad": tensor})

    def test_a_type_that_tensorflow_has_not(self, tmp_path):
        with pytest.raises(ValueError, match="float8_e5m2 for w"):
            write_bundle(tmp_path / "x", {"w": torch.zeros(2, dtype=torch.float8_e5m2)})


def read_all(prefix, variables):
    """Each variable is what it was, or the error says that it is damaged; nothing else is raised."""
    message = ""
    try:
        bundle = Bundle(prefix)
        found = {name: bundle.read(name) for name in bundle.entries}
    except ConversionError as error:
        message = str(error)
    else:
        assert all(torch.equal(found[name], tensor) for name, tensor in variables.items())
    assert "\n" not in message
    return message


class TestDamage:
    def test_an_index_cut_off(self, written):
        prefix, variables = written
        whole = (prefix.parent / INDEX).read_bytes()
        for end in range(0, len(whole), 3):
            (prefix.parent / INDEX).write_bytes(whole[:end])
            assert "x.index is not readable as a checkpoint index" in read_all(prefix, variables)

    def test_a_bit_of_the_index(self, written):
        prefix, variables = written
        whole = (prefix.parent / INDEX).read_bytes()
        # What fills the footer, between the places of its blocks and the magic number, is not read.
        _, at = read_varint(whole, len(whole) - 48)
        for _ in range(3):
            _, at = read_varint(whole, at)
        for place in (*range(0, len(whole) - 48, 3), *range(len(whole) - 48, at), *range(len(whole) - 8, len(whole))):
            broken = bytearray(whole)
            broken[place] ^= 1 << place % 8
            (prefix.parent / INDEX).write_bytes(broken)
            assert "x.index is not readable as a checkpoint index" in read_all(prefix, variables)

    def test_data_cut_off(self, written):
        prefix, variables = written
        whole = (prefix.parent / DATA).read_bytes()
        for end in (*range(0, len(whole), 29), len(whole) - 1):
            (prefix.parent / DATA).write_bytes(whole[:end])
            message = read_all(prefix, variables)
            assert f"{DATA} holds {end} bytes, the index needs" in message
            assert "truncated or belongs to another index" in message

    def test_a_bit_of_the_data(self, written):
        prefix, variables = written
        whole = (prefix.parent / DATA).read_bytes()
        for place in range(0, len(whole), 29):
            broken = bytearray(whole)
            broken[place] ^= 1 << place % 8
            (prefix.parent / DATA).write_bytes(broken)
            assert "cannot be read; the data is damaged or belongs to another index" in read_all(prefix, variables)

    def test_an_index_whose_checksums_are_right(self, tmp_path):
        """What a program wrote that errs: no bytes in an index end in anything but an answer or a clear error."""
        draw = random.Random(0)
        write_bundle(tmp_path / "x", {"a": torch.ones(2, 3), "b": torch.arange(5)})
        whole = list(read_table((tmp_path / INDEX).read_bytes()).items())
        messages = set()
        for _ in range(1000):
            entries, at = list(whole), draw.randrange(len(whole))
            key, value = (bytearray(part) for part in entries[at])
            part = value if draw.random() < 0.8 or not key else key
            for _ in range(draw.randint(1, 3)):
                place = draw.randrange(len(part) + 1)
                part[place : place + draw.randint(0, 2)] = draw.randbytes(draw.randint(0, 2))
            entries[at] = bytes(key), bytes(value)
            (tmp_path / INDEX).write_bytes(write_table(sorted(entries)))
            messages.add(read_all(tmp_path / "x", {}).partition(": ")[2][:20])
        assert len(messages) > 10

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            (b"", "there are 0 data files"),
            (number_field(1, 10**6), "there are 1000000 data files"),
            (number_field(1, 1) + number_field(2, 1), "another byte order"),
            (number_field(1, 1) + bytes_field(3, number_field(2, 2)), "version 2 or newer; 1 is understood"),
            (bytes_field(1, b""), "bytes where a number is expected"),
            (number_field(3, 1), "a number where a message is expected"),
        ],
    )
    def test_a_header_that_is_not_understood(self, written, header, message):
        prefix, _ = written
        index = prefix.parent / INDEX
        table = read_table(index.read_bytes())
        index.write_bytes(write_table(sorted({**table, b"": header}.items())))
        with pytest.raises(ConversionError, match=message):
            Bundle(prefix)

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (number_field(1, 99), "w is of type number 99 of TensorFlow's, which holds no numbers"),
            (number_field(1, 1) + number_field(3, 1), "says data file 1, but has 1"),
            (number_field(1, 1) + bytes_field(2, number_field(3, 1)), "a variable of no known shape"),
            (number_field(1, 1) + bytes_field(2, bytes_field(2, number_field(1, 2**64 - 1))), "of no known size"),
            (number_field(1, 1) + bytes_field(2, bytes_field(2, number_field(1, 2**62))), "w cannot be read"),
            (number_field(1, 1) + bytes_field(7, bytes_field(1, b"")), "a slice of 1 dimensions of a variable of 0"),
            (
                number_field(1, 1)
                + bytes_field(2, bytes_field(2, number_field(1, 2**62)))
                + bytes_field(7, bytes_field(1, b"")),
                "w lacks its slice -$",
            ),
        ],
    )
    def test_an_entry_that_is_not_understood(self, written, entry, message):
        prefix, _ = written
        index = prefix.parent / INDEX
        table = read_table(index.read_bytes())
        index.write_bytes(write_table(sorted({**table, b"w": entry}.items())))
        with pytest.raises(ConversionError, match=message):
            Bundle(prefix).read("w")
