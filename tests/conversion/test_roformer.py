"""Releases of RoFormer made here: what converts, what is refused, what is left on disk."""

import json
import shutil
import sys

import pytest
import torch
from releases import SETTINGS, VOCABULARY, random_variables, write_release
from transformers import AutoModelForMaskedLM, AutoTokenizer

from hf_ext.cli import main
from hf_ext.conversion import ConversionError, convert_release, load_state_dict
from hf_ext.conversion.bundle import write_bundle
from hf_ext.conversion.checkpoint import Checkpoint
from hf_ext.conversion.families import families, rows_of
from hf_ext.conversion.release import find_release
from hf_ext.conversion.table import to_variables
from hf_ext.extras import MissingExtraError
from hf_ext.tokenization import JiebaWordPieceTokenizer


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("made") / "roformer", random_variables())


@pytest.fixture
def release(made, tmp_path):
    return shutil.copytree(made, tmp_path / "release")


def edit(folder, **settings):
    file = folder / "bert_config.json"
    merged = {**json.loads(file.read_text(encoding="utf-8")), **settings}
    file.write_text(json.dumps({key: value for key, value in merged.items() if value is not ...}), encoding="utf-8")


def rewrite(folder, change, **arguments):
    variables = random_variables(**arguments)
    for file in folder.glob("bert_model.ckpt.*"):
        file.unlink()
    change(variables)
    write_bundle(folder / "bert_model.ckpt", variables)


class TestMadeReleases:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_other_floats(self, tmp_path, dtype):
        variables = {name: tensor.to(dtype) for name, tensor in random_variables().items()}
        report = convert_release(write_release(tmp_path / "roformer", variables), tmp_path / "out")
        assert report.dtype == str(dtype).removeprefix("torch.")
        state = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", dtype="auto").state_dict()
        found = state["roformer.encoder.layer.2.output.dense.weight"].T
        assert found.dtype == dtype
        assert torch.equal(found, variables["bert/encoder/layer_2/output/dense/kernel"])

    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("roformer", {}),
            ("roformer", {"embedding_size": 4}),
            ("roformer", {"num_hidden_layers": 1, "type_vocab_size": 3, "hidden_act": "relu"}),
            ("roformer_v2", {"hidden_act": "relu"}),
        ],
    )
    def test_every_number_arrives(self, tmp_path, name, settings):
        variables = random_variables(name, **settings)
        folder = write_release(tmp_path / "roformer", variables, {**SETTINGS, **settings})
        report = convert_release(folder, tmp_path / "out")
        assert sorted(report.variables) == sorted(variables)
        assert report.ignored == ()
        assert report.elements == sum(tensor.numel() for tensor in variables.values())
        assert report.dtype == "float32"
        model, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
        assert not any(info.values())
        checkpoint = Checkpoint(find_release(folder))
        back = to_variables(rows_of(families()[name], checkpoint), model.state_dict())
        assert back.keys() == variables.keys()
        assert all(torch.equal(back[key], variables[key]) for key in variables)
        for key, value in settings.items():
            assert getattr(model.config, key) == value
        config, state = load_state_dict(folder)
        stated = {**config.to_dict(), "architectures": ["RoFormerForMaskedLM"], "dtype": "float32"}
        assert json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8")).items() <= stated.items()
        assert set(state) == set(report.parameters)
        assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in state.items())

    def test_config_of_the_two_kinds(self, made, tmp_path):
        config, _ = load_state_dict(made)
        assert (config.norm_type, config.use_bias, config.pooler_activation) == ("layer_norm", True, "tanh")
        assert (config.layer_norm_eps, config.mlm_layer_norm_eps) == (1e-7, 1e-12)
        assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (0, 2, 3)
        folder = write_release(tmp_path / "v2", random_variables("roformer_v2"))
        config, _ = load_state_dict(folder)
        assert (config.norm_type, config.use_bias, config.pooler_activation) == ("rms_norm", False, None)
        assert config.layer_norm_eps == 1e-7

    def test_options_reach_the_config(self, made):
        config, _ = load_state_dict(made, "roformer", attention_mode="unilm", pooler="tanh")
        assert (config.attention_mode, config.pooler_activation) == ("unilm", "tanh")
        config, _ = load_state_dict(made, attention_mode="unilm")
        assert (config.attention_mode, config.pooler_activation) == ("unilm", "linear")

    def test_the_state_of_an_optimizer_is_ignored_and_named(self, release, tmp_path):
        extra = ["bert/pooler/dense/bias/adam_m", "bert/pooler/dense/bias/adam_v", "global_step"]
        rewrite(release, lambda variables: variables.update({name: torch.zeros(8) for name in extra}))
        report = convert_release(release, tmp_path / "out")
        assert list(report.ignored) == extra
        assert "global_step" in str(report)

    def test_half_precision_stays(self, release, tmp_path):
        rewrite(release, lambda variables: variables.update({key: v.half() for key, v in variables.items()}))
        assert convert_release(release, tmp_path / "out").dtype == "float16"
        assert AutoModelForMaskedLM.from_pretrained(tmp_path / "out").dtype == torch.float16

    def test_character_tokenizer(self, release, tmp_path):
        convert_release(release, tmp_path / "out")
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
        assert tokenizer.get_vocab() == {token: index for index, token in enumerate(VOCABULARY)}
        assert tokenizer("天气 AB")["input_ids"] == [2, 5, 6, 7, 8, 3]
        assert tokenizer.model_max_length == 16

    def test_word_tokenizer(self, release, tmp_path):
        report = convert_release(release, tmp_path / "out", tokenizer="word")
        assert "vocab.txt" in report.files
        assert "tokenizer.json" not in report.files
        written = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text(encoding="utf-8"))
        assert written["tokenizer_class"] == "JiebaWordPieceTokenizer"
        assert written["do_lower_case"] is True
        tokenizer = JiebaWordPieceTokenizer.from_pretrained(tmp_path / "out")
        assert tokenizer("天气 AB")["input_ids"] == [2, 5, 6, 7, 8, 3]

    def test_overwriting(self, release, tmp_path):
        convert_release(release, tmp_path / "out")
        (tmp_path / "out" / "stale").touch()
        with pytest.raises(ConversionError, match="not empty"):
            convert_release(release, tmp_path / "out")
        convert_release(release, tmp_path / "out", overwrite=True)
        assert not (tmp_path / "out" / "stale").exists()
        assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "release"]


def truncate(file, size):
    with open(file, "r+b") as stream:
        stream.truncate(size)


def flip(file):
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)


def other_index(folder):
    index = (folder / "bert_model.ckpt.index").read_bytes()
    rewrite(folder, lambda variables: None, seed=1)
    (folder / "bert_model.ckpt.index").write_bytes(index)


DATA, INDEX = "bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.index"
WORDS = "bert/embeddings/word_embeddings"

REFUSED = {
    "truncated data": (lambda f: truncate(f / DATA, 3000), "holds 3000 bytes, the index needs .*truncated"),
    "empty data": (lambda f: truncate(f / DATA, 0), "holds 0 bytes"),
    "a flipped bit": (lambda f: flip(f / DATA), "cannot be read; the data is damaged or belongs to another index"),
    "another index": (other_index, "cannot be read; the data is damaged or belongs to another index"),
    "truncated index": (lambda f: truncate(f / INDEX, 200), "not readable as a checkpoint index"),
    "empty index": (lambda f: truncate(f / INDEX, 0), "not readable as a checkpoint index"),
    "index of noise": (lambda f: (f / INDEX).write_bytes(bytes(range(256)) * 8), "not readable as a checkpoint index"),
    "no data": (lambda f: (f / DATA).unlink(), f"{DATA} is not there, and the index says"),
    "weights of Keras": (
        lambda f: ((f / INDEX).rename(f / "bert.weights.h5"), (f / DATA).unlink()),
        r"but bert\.weights\.h5 of Keras; .*save_weights_as_checkpoint",
    ),
    "checkpoint of Keras": (
        lambda f: rewrite(f, lambda v: (v.clear(), v.update({"model/w/.ATTRIBUTES/VARIABLE_VALUE": torch.zeros(2)}))),
        "Keras' save_weights; .*save_weights_as_checkpoint",
    ),
    "checkpoint of TensorFlow's V1 format": (
        lambda f: ((f / INDEX).rename(f / "bert_model.ckpt"), (f / DATA).unlink()),
        r"holds bert_model\.ckpt, a checkpoint of TensorFlow's V1 format, .*save it again",
    ),
    "no index": (lambda f: (f / INDEX).unlink(), "without its index"),
    "no vocabulary": (lambda f: (f / "vocab.txt").unlink(), "has no vocab.txt"),
    "longer vocabulary": (
        lambda f: (f / "vocab.txt").write_text("\n".join([*VOCABULARY, "x", "y"]), encoding="utf-8"),
        "vocab_size=11, but vocab.txt has 13 tokens",
    ),
    "no [SEP]": (
        lambda f: (f / "vocab.txt").write_text(
            "\n".join([*VOCABULARY[:-1], "x"]).replace("[SEP]", "z"), encoding="utf-8"
        ),
        r"vocab.txt lacks \[SEP\]",
    ),
    "other vocabulary size": (lambda f: edit(f, vocab_size=12), "vocab_size=12, but vocab.txt has 11 tokens"),
    "vocabulary and config of another": (
        lambda f: (
            edit(f, vocab_size=12),
            (f / "vocab.txt").write_text("\n".join([*VOCABULARY, "x"]), encoding="utf-8"),
        ),
        r"word_embeddings makes a parameter of shape \[11, 8\], but bert_config.json asks for \[12, 8\]",
    ),
    "another width": (lambda f: edit(f, hidden_size=16), r"shape \[11, 8\], but .* \[11, 16\] \(.* differ\)"),
    "another inner width": (lambda f: edit(f, intermediate_size=13), r"shape \[12, 8\], but .* \[13, 8\] \(9 of"),
    "another depth": (lambda f: edit(f, num_hidden_layers=2), "num_hidden_layers=2, but bert_model.ckpt has 3 layers"),
    "projection not there": (lambda f: edit(f, embedding_size=4), "has nothing for roformer.embeddings_project"),
    "unknown key": (lambda f: edit(f, residual_attention=True), "residual_attention=True is not understood"),
    "harmless key, other value": (lambda f: edit(f, directionality="uni"), "directionality='uni'; only 'bidi'"),
    "key left out": (lambda f: edit(f, hidden_size=...), "lacks hidden_size"),
    "key without value": (lambda f: edit(f, num_attention_heads=None), "lacks num_attention_heads"),
    "unknown activation": (lambda f: edit(f, hidden_act="swoosh"), "hidden_act='swoosh'; one of"),
    "activation of another kind": (lambda f: edit(f, hidden_act=["gelu", "linear"]), "hidden_act="),
    "text for a number": (lambda f: edit(f, num_attention_heads="2"), "num_attention_heads"),
    **{
        f"{key}={value}": (
            lambda f, key=key, value=value: edit(f, **{key: value}),
            f"bert_config.json: {key}={value!r}; ",
        )
        for key, value in (
            ("intermediate_size", -1),
            ("intermediate_size", 12.0),
            ("hidden_size", 0),
            ("hidden_size", True),
            ("hidden_size", 2**70),
            ("num_attention_heads", 0),
            ("max_position_embeddings", 0),
            ("type_vocab_size", -1),
            ("embedding_size", 0),
            ("hidden_dropout_prob", 7),
            ("hidden_dropout_prob", float("nan")),
            ("attention_probs_dropout_prob", 1),
            ("initializer_range", -0.5),
            ("initializer_range", "0.02"),
        )
    },
    "negative depth": (lambda f: edit(f, num_hidden_layers=-1), "bert_config.json says num_hidden_layers=-1"),
    "wider than memory": (lambda f: edit(f, hidden_size=2**62), "bert_config.json"),
    "heads of odd size": (lambda f: edit(f, num_attention_heads=8), "hidden_size"),
    "variable removed": (
        lambda f: rewrite(f, lambda v: v.pop("bert/encoder/layer_1/output/dense/bias")),
        "nearest is RoFormer, but it lacks bert/encoder/layer_1/output/dense/bias$",
    ),
    "embedding removed": (lambda f: rewrite(f, lambda v: v.pop(WORDS)), f"lacks {WORDS}"),
    "half a pooler": (
        lambda f: rewrite(f, lambda v: v.pop("bert/pooler/dense/bias")),
        "lacks bert/pooler/dense/bias",
    ),
    "variable added": (
        lambda f: rewrite(f, lambda v: v.update({"bert/encoder/extra": torch.zeros(2)})),
        "also has bert/encoder/extra",
    ),
    "V2 with a bias": (
        lambda f: rewrite(f, lambda v: v.update({"bert/pooler/dense/bias": torch.zeros(8)}), name="roformer_v2"),
        "nearest is RoFormer-V2, but it also has bert/pooler/dense/bias",
    ),
    "another program's checkpoint": (
        lambda f: rewrite(f, lambda v: (v.clear(), v.update({"model/w": torch.zeros(2)}))),
        "variables of no known family",
    ),
    "not a number": (
        lambda f: rewrite(f, lambda v: v[WORDS].__setitem__((3, 3), float("nan"))),
        "word_embeddings holds NaN",
    ),
    "integers": (lambda f: rewrite(f, lambda v: v.update({k: t.int() for k, t in v.items()})), "of type int32; one of"),
    "several types": (lambda f: rewrite(f, lambda v: v.update({WORDS: v[WORDS].half()})), "type float16, float32"),
}


class TestRefusals:
    @pytest.mark.parametrize("case", REFUSED)
    def test_a_broken_release(self, release, tmp_path, case):
        broken, message = REFUSED[case]
        broken(release)
        with pytest.raises(ConversionError, match=message) as caught:
            convert_release(release, tmp_path / "a" / "out")
        assert "\n" not in str(caught.value)
        assert [file.name for file in tmp_path.iterdir()] == ["release"]

    def test_roformer_and_nezha_are_told_apart_by_what_is_there(self, made, tmp_path):
        def choice(name, **settings):
            folder = shutil.copytree(made, tmp_path / name)
            edit(folder, **settings)
            return convert_release(folder, tmp_path / "out", overwrite=True).choices[0]

        assert not choice("chinese_roformer-char_L-3").assumed
        assumed = choice("release")
        assert (assumed.value, assumed.assumed) == ("roformer", True)
        assert "NEZHA" in str(assumed)
        assert "--family" in str(assumed)
        for name, settings, family, reason in (
            ("chinese_wonezha_L-3", {}, "nezha", "the folder's name says 'wonezha'"),
            ("relative", {"use_relative_position": True}, "nezha", "the config has 'use_relative_position'"),
            # NEZHA has no UniLM kind.
            ("sim", {}, "roformer", "it alone has the attention mode unilm (the folder's name says 'sim')"),
        ):
            found = choice(name, **settings)
            assert (found.value, found.assumed) == (family, False)
            assert reason in found.reason
        for name, settings, message in (
            ("roformer-2", {"use_relative_position": True}, "contradicts itself .*state the family"),
            ("roformer-nezha", {}, "contradicts itself"),
        ):
            with pytest.raises(ConversionError, match=message):
                choice(name, **settings)

    def test_a_vocabulary_of_nezha_alone_tells_it(self, tmp_path):
        size = 21128
        vocabulary = [*VOCABULARY, *(f"t{i}" for i in range(size - len(VOCABULARY)))]
        settings = {**SETTINGS, "vocab_size": size}
        folder = write_release(tmp_path / "x", random_variables(vocab_size=size), settings, vocabulary)
        report = convert_release(folder, tmp_path / "out")
        assert (report.choices[0].value, "21128 tokens" in report.choices[0].reason) == ("nezha", True)
        assert load_state_dict(folder, "roformer")[0].model_type == "roformer"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"family": "roberta"}, "family='roberta' .*one of bert, .*, roformer, roformer_v2"),
            ({"family": "roformer_v2"}, "is not RoFormer-V2: it also has"),
            ({"attention_mode": "prefix"}, "attention_mode='prefix'; one of bidirectional, unilm, causal"),
            ({"pooler": "relu"}, "pooler='relu'; one of tanh, linear"),
            ({"tokenizer": "sentencepiece"}, "tokenizer='sentencepiece'; one of character, word"),
        ],
    )
    def test_a_wrong_option(self, made, tmp_path, options, message):
        with pytest.raises(ConversionError, match=message):
            convert_release(made, tmp_path / "out", **options)
        assert list(tmp_path.iterdir()) == []

    def test_without_tensorflow(self, made, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        config, state = load_state_dict(made)
        assert (config.model_type, len(state)) == ("roformer", len(random_variables()))

    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
    def test_an_interruption_leaves_nothing(self, release, tmp_path, monkeypatch, error):
        convert_release(release, tmp_path / "out")
        before = {file: file.read_bytes() for file in (tmp_path / "out").iterdir()}

        def interrupted(self, folder, *args, **kwargs):
            (folder / "model.safetensors").write_bytes(b"half")
            raise error

        monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", interrupted)
        for output in ("out", "new/folder"):
            with pytest.raises(error):
                convert_release(release, tmp_path / output, overwrite=True)
        assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "release"]
        assert {file: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before

    def test_a_parameter_that_would_stay_random_is_refused(self, made, tmp_path, monkeypatch):
        from hf_ext.conversion import convert as module

        def forgetful(rows, variables):
            made = to_parameters(rows, variables)
            del made["roformer.pooler.dense.bias"]
            return made

        to_parameters = module.to_parameters
        monkeypatch.setattr(module, "to_parameters", forgetful)
        with pytest.raises(ConversionError, match=r"do not fill .*missing_keys.*roformer\.pooler\.dense\.bias"):
            convert_release(made, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []


class TestCommand:
    @pytest.fixture
    def run(self, monkeypatch, capfd):
        def command(*arguments):
            monkeypatch.setattr(sys, "argv", ["hf-ext", "convert", *map(str, arguments)])
            with pytest.raises(SystemExit) as exit:
                main()
            return exit.value.code or 0, *capfd.readouterr()

        return command

    def test_it_reports(self, run, made, tmp_path):
        options = ("--attention-mode", "unilm", "--pooler", "tanh", "--tokenizer", "character")
        status, out, error = run(made, tmp_path / "out", *options)
        assert (status, error) == (0, "")
        assert "RoFormerForCausalLM" in out
        assert "unilm (given)" in out
        assert (tmp_path / "out" / "model.safetensors").is_file()

    def test_an_error_is_one_line(self, run, tmp_path):
        status, out, error = run(tmp_path, tmp_path / "out")
        assert (status, out) == (1, "")
        assert error.startswith("error: ")
        assert error.count("\n") == 1


class TestHDF5:
    @pytest.fixture
    def h5py(self):
        return pytest.importorskip("h5py")

    @pytest.fixture
    def folder(self, h5py, release):
        """The release with its variables in one HDF5 file."""
        for file in release.glob("bert_model.ckpt.*"):
            file.unlink()
        with h5py.File(release / "bert_model.h5", "w") as file:
            for name, tensor in random_variables().items():
                file[f"{name}:0"] = tensor.numpy()
        return release

    def test_a_release_in_one_file(self, folder, made, tmp_path):
        report = convert_release(folder, tmp_path / "out")
        assert report.checkpoint == folder / "bert_model.h5"
        _, state = load_state_dict(folder)
        _, wanted = load_state_dict(made)
        assert state.keys() == wanted.keys()
        assert all(torch.equal(state[name], wanted[name]) for name in wanted)

    def test_a_file_cut_off(self, folder, tmp_path):
        truncate(folder / "bert_model.h5", 3000)
        with pytest.raises(ConversionError, match=r"bert_model\.h5 is not readable as HDF5: .*truncated"):
            convert_release(folder, tmp_path / "out")

    def test_two_files(self, folder, tmp_path):
        shutil.copy(folder / "bert_model.h5", folder / "other.h5")
        with pytest.raises(ConversionError, match=r"holds 2 HDF5 files \(bert_model\.h5, other\.h5\)"):
            convert_release(folder, tmp_path / "out")

    def test_texts(self, h5py, folder, tmp_path):
        with h5py.File(folder / "bert_model.h5", "a") as file:
            del file[f"{WORDS}:0"]
            file[WORDS] = [["text"] * 8] * 11
        with pytest.raises(ConversionError, match="variables of type float32, object; one of"):
            convert_release(folder, tmp_path / "out", family="roformer")

    def test_weights_of_transformers(self, h5py, folder, tmp_path):
        with h5py.File(folder / "bert_model.h5", "w") as file:
            file["roformer/tf_ro_former_model/roformer/embeddings/word_embeddings/weight:0"] = [1.0]
            file.attrs["layer_names"] = ["roformer"]
        with pytest.raises(ConversionError, match=r"a TensorFlow model of Transformers, no release; .*from_tf=True"):
            convert_release(folder, tmp_path / "out")

    @pytest.mark.parametrize("version", [2, 3])
    def test_weights_of_keras(self, h5py, folder, tmp_path, version):
        with h5py.File(folder / "bert_model.h5", "w") as file:
            file["layers/dense/vars/0" if version == 3 else "Embedding-Token/embeddings:0"] = [1.0]
            if version == 2:
                file.attrs["layer_names"] = ["Embedding-Token"]
        with pytest.raises(ConversionError, match=r"holds the layers of a Keras model, no release; .*as_checkpoint"):
            convert_release(folder, tmp_path / "out")

    def test_without_h5py(self, folder, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "h5py", None)
        wanted = r'bert_model\.h5, an HDF5 file, needs h5py, .*: pip install "hf-ext\[convert\]"'
        with pytest.raises(MissingExtraError, match=wanted):
            convert_release(folder, tmp_path / "out")
