"""The conversion's parts that need no TensorFlow: tables, choices, folders."""

import pytest
import torch

from hf_ext.conversion.checkpoint import is_training_state
from hf_ext.conversion.choices import choose_attention_mode, choose_pooler, choose_tokenizer
from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.families import families
from hf_ext.conversion.folder import check_output, whole_folder
from hf_ext.conversion.release import Release, find_release
from hf_ext.conversion.table import check_table, count_layers, expand, to_parameters, to_variables
from hf_ext.tokenization.vocabulary import read_vocabulary

TABLE = (
    ("shared/embedding", "shared.weight", "identity"),
    ("encoder/block_{i:03d}/q/kernel", "encoder.block.{i}.q.weight", "transpose"),
    ("encoder/block_{i:03d}/q/bias", "encoder.block.{i}.q.bias", "identity"),
    ("encoder/block_000/relative_bias", "encoder.block.0.relative_bias.weight", "transpose"),
)


def make_release(folder, vocabulary=("[PAD]",), settings=None):
    folder.mkdir(exist_ok=True)
    ids = {token: index for index, token in enumerate(vocabulary)}
    return Release(folder, folder / "bert_config.json", settings or {}, folder / "bert_model.ckpt", ids)


class TestTable:
    def test_rows_are_expanded_by_layer(self):
        rows = expand(TABLE, 12)
        assert len(rows) == 2 + 2 * 12
        assert rows[12].variable == "encoder/block_011/q/kernel"
        assert rows[12].parameter == "encoder.block.11.q.weight"
        assert rows[12].parameter_shape((3, 5)) == (5, 3)

    @pytest.mark.parametrize("layers", [0, 1, 3, 101])
    def test_layers_are_counted(self, layers):
        assert count_layers(TABLE[:3], [row.variable for row in expand(TABLE, layers)]) == layers

    def test_other_variables_make_no_layers(self):
        assert count_layers(TABLE, ["encoder/block_005/q/kernel/adam_m", "xencoder/block_007/q/kernel", "block_9"]) == 0

    def test_both_directions_are_inverse(self):
        rows = expand(TABLE, 2)
        variables = {row.variable: torch.randn(3, 5) for row in rows}
        parameters = to_parameters(rows, variables)
        assert parameters["encoder.block.1.q.weight"].shape == (5, 3)
        assert all(tensor.is_contiguous() for tensor in parameters.values())
        back = to_variables(rows, parameters)
        assert back.keys() == variables.keys()
        assert all(torch.equal(back[name], variables[name]) for name in variables)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (("shared/embedding", "other", "identity"), "variable 'shared/embedding' is in 2 rows"),
            (("other", "shared.weight", "identity"), "parameter 'shared.weight' is in 2 rows"),
            (("other", "other", "rotate"), "transform 'rotate'"),
            (("layer_{i}", "layer", "identity"), "must both have the layer number"),
        ],
    )
    def test_a_wrong_table_is_refused(self, row, message):
        with pytest.raises(ValueError, match=message):
            check_table((*TABLE, row))

    def test_every_family_is_well_formed(self):
        known = families()
        assert {"roformer", "roformer_v2"} <= known.keys()
        for family in known.values():
            fields = {*family.fields.values(), *family.constants, *family.token_fields, *family.choice_fields.values()}
            config = family.config()
            assert all(hasattr(config, name) for name in fields)
            assert len(fields) == len(family.fields) + len(family.constants) + len(family.token_fields) + len(
                family.choice_fields
            )


@pytest.mark.parametrize(
    ("variable", "training"),
    [
        ("bert/encoder/layer_0/output/dense/kernel/adam_m", True),
        ("bert/encoder/layer_0/output/dense/kernel/adam_v", True),
        ("bert/embeddings/word_embeddings/Adam", True),
        ("bert/embeddings/word_embeddings/Adam_1", True),
        ("bert/pooler/dense/bias/AdamWeightDecayOptimizer_1", True),
        ("bert/pooler/dense/bias/lamb_m", True),
        ("global_step", True),
        ("beta1_power", True),
        ("bert/embeddings/word_embeddings", False),
        ("adam_m/kernel", False),
        ("bert/my_global_step", False),
    ],
)
def test_training_state_is_told_apart(variable, training):
    assert is_training_state(variable) is training


class TestChoices:
    MODES = ("bidirectional", "unilm", "causal")

    @pytest.mark.parametrize(
        ("folder", "mode", "assumed"),
        [
            ("chinese_roformer_L-12_H-768_A-12", "bidirectional", True),
            ("chinese_roformer-sim-char-ft_L-12_H-768_A-12", "unilm", False),
            ("chinese_simbert_L-4_H-312_A-12", "unilm", False),
            ("chinese_roformer-gpt-char_L-12_H-768_A-12", "causal", False),
            ("roformer_similarity", "bidirectional", True),
        ],
    )
    def test_attention_mode_by_the_name_of_the_folder(self, tmp_path, folder, mode, assumed):
        choice = choose_attention_mode(None, make_release(tmp_path / folder), self.MODES)
        assert (choice.value, choice.assumed) == (mode, assumed)
        given = choose_attention_mode("causal", make_release(tmp_path / folder), self.MODES)
        assert (given.value, given.reason) == ("causal", "given")

    def test_contradicting_names_are_refused(self, tmp_path):
        with pytest.raises(ConversionError, match=r"says 'gpt' and 'sim'; state attention_mode"):
            choose_attention_mode(None, make_release(tmp_path / "gpt-sim"), self.MODES)

    def test_a_family_with_one_mode_has_that(self, tmp_path):
        assert choose_attention_mode(None, make_release(tmp_path / "gpt"), ("causal",)).value == "causal"

    def test_a_mode_that_the_family_lacks_is_refused(self, tmp_path):
        with pytest.raises(ConversionError, match="says 'sim'"):
            choose_attention_mode(None, make_release(tmp_path / "sim"), ("bidirectional", "causal"))
        with pytest.raises(ConversionError, match="attention_mode='unilm'; one of bidirectional, causal"):
            choose_attention_mode("unilm", make_release(tmp_path / "x"), ("bidirectional", "causal"))

    @pytest.mark.parametrize(
        ("given", "present", "mode", "value"),
        [
            (None, True, "bidirectional", "tanh"),
            (None, True, "unilm", "linear"),
            (None, False, "unilm", "none"),
            ("linear", True, "bidirectional", "linear"),
            ("tanh", True, "unilm", "tanh"),
        ],
    )
    def test_pooler(self, tmp_path, given, present, mode, value):
        chosen = choose_attention_mode(mode, make_release(tmp_path), self.MODES)
        assert choose_pooler(given, present, chosen).value == value

    def test_a_pooler_that_is_not_there_is_refused(self, tmp_path):
        chosen = choose_attention_mode("causal", make_release(tmp_path), self.MODES)
        with pytest.raises(ConversionError, match="holds no pooler"):
            choose_pooler("tanh", False, chosen)

    @pytest.mark.parametrize(
        ("file", "value"),
        [
            ("bert-base-chinese.vocab.txt", "character"),
            ("cdial-gpt-lccc.vocab.txt", "character"),
            ("gau-alpha_roformer-v2_roformer-sim-char.vocab.txt", "character"),
            ("roformer-word_wobert-plus_t5-pegasus.vocab.txt", "word"),
            ("wobert.vocab.txt", "word"),
        ],
    )
    def test_tokenizer_by_the_released_vocabularies(self, shared, file, value):
        assert choose_tokenizer(None, read_vocabulary(shared / "vocab" / file)).value == value

    def test_words_in_the_spare_places_of_a_character_vocabulary_do_not_make_it_one_of_words(self):
        vocabulary = {token: index for index, token in enumerate(["天气", "北京", *map(chr, range(0x4E00, 0x4F00))])}
        assert choose_tokenizer(None, vocabulary).value == "character"


class TestFindRelease:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "bert_config.json").write_text("{}", encoding="utf-8")
        (tmp_path / "bert_model.ckpt.index").write_bytes(b"")
        (tmp_path / "bert_model.ckpt.data-00000-of-00002").write_bytes(b"")
        (tmp_path / "bert_model.ckpt.data-00001-of-00002").write_bytes(b"")
        (tmp_path / "vocab.txt").write_bytes("[PAD]\n\u2028\n\nb".encode())
        return tmp_path

    @pytest.mark.parametrize("config", ["bert_config.json", "gpt_config.json", "config.json"])
    @pytest.mark.parametrize("checkpoint", ["bert_model.ckpt", "model.ckpt", "gpt.ckpt", "gpt_model.ckpt", "x-900000"])
    def test_the_names_of_the_releases(self, folder, config, checkpoint):
        (folder / "bert_config.json").rename(folder / config)
        for file in list(folder.glob("bert_model.ckpt.*")):
            file.rename(folder / file.name.replace("bert_model.ckpt", checkpoint))
        release = find_release(folder)
        assert release.config_file == folder / config
        assert release.checkpoint == folder / checkpoint

    def test_vocabulary_lines_end_at_newlines_alone(self, folder):
        assert find_release(folder).vocabulary == {"[PAD]": 0, "\u2028": 1, "": 2, "b": 3}

    def test_a_known_name_goes_before_others(self, folder):
        (folder / "finetuned.index").write_bytes(b"")
        assert find_release(folder).checkpoint.name == "bert_model.ckpt"

    def test_equal_configs_of_two_names_are_one(self, folder):
        (folder / "config.json").write_text(" {}", encoding="utf-8")
        assert find_release(folder).config_file.name == "bert_config.json"

    @pytest.mark.parametrize(
        ("broken", "message"),
        [
            (lambda f: (f / "vocab.txt").unlink(), "has no vocab.txt"),
            (lambda f: (f / "vocab.txt").write_bytes(b"a\nb\na\n"), "entry 'a' twice"),
            (lambda f: (f / "vocab.txt").write_bytes(b"\xff\xfe"), "vocab.txt is not UTF-8"),
            (lambda f: (f / "bert_config.json").unlink(), "no config file; one of bert_config.json"),
            (lambda f: (f / "bert_config.json").write_bytes(b"{"), "bert_config.json is not valid JSON"),
            (lambda f: (f / "bert_config.json").write_bytes(b"\xff"), "bert_config.json is not valid JSON"),
            (lambda f: (f / "bert_config.json").write_bytes(b"[]"), "holds a JSON list; an object"),
            (lambda f: (f / "config.json").write_bytes(b'{"a": 1}'), "disagree: bert_config.json, config.json"),
            (lambda f: (f / "bert_model.ckpt.index").unlink(), "without its index file bert_model.ckpt.index"),
            (lambda f: (f / "model.ckpt.index").touch(), "holds 2 checkpoints"),
            (lambda f: [file.unlink() for file in f.iterdir()], "no file ends in .index"),
        ],
    )
    def test_an_incomplete_folder_is_refused(self, folder, broken, message):
        broken(folder)
        with pytest.raises(ConversionError, match=message):
            find_release(folder)

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path):
        with pytest.raises(ConversionError, match="is not a folder"):
            find_release(tmp_path / "absent")


class TestWholeFolder:
    def test_it_appears_whole(self, tmp_path):
        target = tmp_path / "a" / "b" / "out"
        with whole_folder(target) as draft:
            (draft / "x").write_text("1", encoding="utf-8")
            assert not target.exists()
        assert [file.name for file in target.iterdir()] == ["x"]
        assert [file.name for file in target.parent.iterdir()] == ["out"]

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_nothing_stays_of_a_failure(self, tmp_path, error):
        def write():
            with whole_folder(tmp_path / "a" / "b" / "out") as draft:
                (draft / "x").write_text("1", encoding="utf-8")
                raise error

        with pytest.raises(error):
            write()
        assert list(tmp_path.iterdir()) == []

    def test_a_failure_leaves_what_was_there(self, tmp_path):
        target = tmp_path / "out"
        target.mkdir()
        (target / "old").touch()
        with pytest.raises(RuntimeError), whole_folder(target):
            raise RuntimeError
        assert [file.name for file in tmp_path.rglob("*")] == ["out", "old"]

    def test_a_failed_exchange_puts_the_old_folder_back(self, tmp_path, monkeypatch):
        import os

        target = tmp_path / "out"
        target.mkdir()
        (target / "old").touch()
        replace = os.replace

        def failing(source, destination):
            if str(source).endswith(".partial"):
                raise PermissionError
            replace(source, destination)

        monkeypatch.setattr("hf_ext.conversion.folder.os.replace", failing)
        with pytest.raises(PermissionError), whole_folder(target):
            pass
        assert [file.name for file in tmp_path.rglob("*")] == ["out", "old"]

    def test_the_new_takes_the_place_of_the_old(self, tmp_path):
        target = tmp_path / "out"
        target.mkdir()
        (target / "old").touch()
        with whole_folder(target) as draft:
            (draft / "new").touch()
        assert [file.name for file in tmp_path.rglob("*")] == ["out", "new"]

    def test_outputs_that_would_destroy_something_are_refused(self, tmp_path):
        source, full, file = tmp_path / "in", tmp_path / "full", tmp_path / "file"
        for folder in (source, full, tmp_path / "empty"):
            folder.mkdir()
        (full / "notes").touch()
        file.touch()
        check_output(source, tmp_path / "empty", overwrite=False)
        check_output(source, source / "out", overwrite=False)
        for output, overwrite, message in (
            (source, True, "is or holds the input"),
            (tmp_path, True, "is or holds the input"),
            (file, True, "is a file"),
            (full, False, "--overwrite"),
            (full, True, "has no config file"),
        ):
            with pytest.raises(ConversionError, match=message):
                check_output(source, output, overwrite)
        (full / "config.json").touch()
        check_output(source, full, overwrite=True)
