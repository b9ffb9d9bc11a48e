"""Models written as original releases: what goes, what is left out only when told to, what is refused."""

import json
import stat
import sys

import pytest
import torch
import transformers
from releases import SETTINGS, VOCABULARY
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForTokenClassification, BertTokenizer

import hf_ext
from hf_ext.cli import main
from hf_ext.conversion import ConversionError, export as module, export_release
from hf_ext.conversion.checkpoint import Checkpoint
from hf_ext.conversion.release import find_release

KEYS = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
SIZES = {key: SETTINGS[key] for key in KEYS} | {"num_hidden_layers": 2, "max_position_embeddings": 16}
IDS = {token: index for index, token in enumerate(VOCABULARY)}


def save(model, folder, tokenizer=None):
    model.save_pretrained(folder)
    (tokenizer or BertTokenizer(vocab=IDS)).save_pretrained(folder)
    return folder


def edit(folder, **settings):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **settings}), encoding="utf-8")


@pytest.fixture
def classifier(tmp_path):
    torch.manual_seed(0)
    config = hf_ext.RoFormerConfig(**SIZES, pooler_activation="tanh", num_labels=3)
    return save(hf_ext.RoFormerForSequenceClassification(config), tmp_path / "model")


@pytest.fixture
def masked(tmp_path):
    torch.manual_seed(0)
    return save(hf_ext.RoFormerForMaskedLM(hf_ext.RoFormerConfig(**SIZES)), tmp_path / "model")


class TestHeads:
    def test_a_head_is_refused_until_it_may_be_dropped(self, classifier, tmp_path):
        head = sorted(name for name in load_file(classifier / "model.safetensors") if name.startswith("classifier."))
        assert head
        with pytest.raises(ConversionError, match=rf"has {len(head)} parameters .*\({head[0]}.*--drop-head"):
            export_release(classifier, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        report = export_release(classifier, tmp_path / "out", drop_head=True)
        assert list(report.dropped) == head
        assert all(name.startswith(("cls/predictions/", "bert/pooler/")) for name in report.absent)
        assert "dropped" in str(report)
        assert "absent" in str(report)
        checkpoint = Checkpoint(find_release(tmp_path / "out"))
        state = load_file(classifier / "model.safetensors")
        assert checkpoint.shapes.keys() == set(report.variables)
        assert len(report.variables) == len(state) - len(head)
        found = checkpoint.read("bert/encoder/layer_1/output/dense/kernel")
        assert torch.equal(found, state["roformer.encoder.layer.1.output.dense.weight"].T)

    def test_a_bare_encoder_goes_without_heads(self, classifier, tmp_path):
        model = hf_ext.RoFormerModel.from_pretrained(classifier)
        report = export_release(save(model, tmp_path / "bare"), tmp_path / "out")
        assert report.dropped == ()
        assert {name.rpartition("/")[0] for name in report.absent if name.startswith("cls/")} == {
            "cls/predictions",
            "cls/predictions/transform/dense",
            "cls/predictions/transform/LayerNorm",
        }
        assert "bert/pooler/dense/kernel" in report.variables

    def test_a_classifier_over_bert(self, tmp_path):
        folder = save(BertForTokenClassification(BertConfig(**SIZES)), tmp_path / "model")
        report = export_release(folder, tmp_path / "out", drop_head=True)
        assert report.dropped == ("classifier.bias", "classifier.weight")
        assert {name.split("/")[1] for name in report.absent} == {"pooler", "predictions", "seq_relationship"}
        assert report.title == "BERT or WoBERT"


class TestNumbers:
    def test_bfloat16_becomes_float32(self, tmp_path):
        model = hf_ext.RoFormerForMaskedLM(hf_ext.RoFormerConfig(**SIZES)).to(torch.bfloat16)
        export_release(save(model, tmp_path / "model"), tmp_path / "out")
        checkpoint = Checkpoint(find_release(tmp_path / "out"))
        assert set(checkpoint.dtypes.values()) == {"float32"}
        words = model.roformer.embeddings.word_embeddings.weight
        assert torch.equal(checkpoint.read("bert/embeddings/word_embeddings"), words.detach().float())

    def test_a_writer_that_loses_something_is_caught(self, masked, tmp_path, monkeypatch):
        write = module.write_bundle

        def lossy(prefix, variables):
            write(prefix, {name: tensor * (1 + 1e-6) for name, tensor in variables.items()})

        monkeypatch.setattr(module, "write_bundle", lossy)
        with pytest.raises(ConversionError, match="does not come back"):
            export_release(masked, tmp_path / "out")
        assert [file.name for file in tmp_path.iterdir()] == ["model"]

    def test_what_no_file_states_is_in_the_report(self, tmp_path):
        config = hf_ext.RoFormerConfig(**SIZES, is_decoder=True)
        tokenizer = hf_ext.JiebaWordPieceTokenizer(IDS, user_words=["天气"], do_lower_case=False)
        report = export_release(
            save(hf_ext.RoFormerForCausalLM(config), tmp_path / "model", tokenizer), tmp_path / "out"
        )
        assert report.notes == {
            "attention mode": "causal",
            "tokenizer": "word, do_lower_case=False",
            "user words": "天气",
        }


def drop_a_weight(folder):
    state = load_file(folder / "model.safetensors")
    del state["roformer.encoder.layer.1.output.dense.bias"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def drop_half_a_head(folder):
    state = load_file(folder / "model.safetensors")
    del state["cls.predictions.transform.dense.bias"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


REFUSED = {
    "epsilon": (lambda f: edit(f, layer_norm_eps=1e-12), r"RoFormer computes something else: layer_norm_eps=1e-12"),
    "stretched positions": (
        lambda f: edit(f, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
        "computes something else: rope_parameters=",
    ),
    "rotated values": (lambda f: edit(f, rotary_value=True), "computes something else: rotary_value=True"),
    "untied head": (lambda f: edit(f, tie_word_embeddings=False), "else: tie_word_embeddings=False"),
    "another architecture": (lambda f: edit(f, model_type="electra"), "model_type='electra' has no original; one of"),
    "more tokens than embeddings": (
        lambda f: BertTokenizer(vocab={**IDS, "新": 11}).save_pretrained(f),
        "has 12 tokens, but config.json says vocab_size=11",
    ),
    "no tokenizer": (
        lambda f: [(f / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")],
        "has no tokenizer",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors"),
    "a weight removed": (drop_a_weight, r"lacks roformer\.encoder\.layer\.1\.output\.dense\.bias"),
    "half a head": (drop_half_a_head, r"lacks cls\.predictions\.transform\.dense\.bias"),
    "other shapes": (lambda f: edit(f, intermediate_size=16), "model: "),
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json; the folder of a model is expected$"),
    "an adapter": (
        lambda f: (f / "config.json").rename(f / "adapter_config.json"),
        "merge the adapter into its model first",
    ),
}


class TestRefusals:
    @pytest.mark.parametrize("case", REFUSED)
    def test_a_model_that_no_release_can_hold(self, masked, tmp_path, case):
        broken, message = REFUSED[case]
        broken(masked)
        with pytest.raises(ConversionError, match=message) as caught:
            export_release(masked, tmp_path / "a" / "out")
        assert "\n" not in str(caught.value)
        assert [file.name for file in tmp_path.iterdir()] == ["model"]

    def test_a_decoder_of_bert_is_no_release_of_bert(self, tmp_path):
        folder = save(BertForTokenClassification(BertConfig(**SIZES)), tmp_path / "model")
        edit(folder, is_decoder=True)
        with pytest.raises(ConversionError, match="else: is_decoder=True"):
            export_release(folder, tmp_path / "out", drop_head=True)

    def test_overwriting(self, masked, tmp_path):
        export_release(masked, tmp_path / "out")
        with pytest.raises(ConversionError, match="not empty"):
            export_release(masked, tmp_path / "out")
        (tmp_path / "out" / "stale").touch()
        export_release(masked, tmp_path / "out", overwrite=True)
        assert not (tmp_path / "out" / "stale").exists()
        with pytest.raises(ConversionError, match="is or holds the input"):
            export_release(masked, masked, overwrite=True)

    def test_without_tensorflow(self, masked, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        export_release(masked, tmp_path / "out")
        assert (tmp_path / "out" / "bert_model.ckpt.index").is_file()


@pytest.mark.parametrize("pooler", [True, False])
@pytest.mark.parametrize(
    ("name", "model_class"),
    [
        ("roformer", hf_ext.RoFormerModel),
        ("nezha", hf_ext.NezhaModel),
        ("simbert", hf_ext.UniLMBertModel),
        ("bert", transformers.BertModel),
    ],
)
def test_an_encoder_alone_comes_back(name, model_class, pooler, tmp_path):
    torch.manual_seed(0)
    mode = "unilm" if name == "simbert" else "bidirectional"
    options = {} if name == "bert" else {"pooler_activation": "tanh" if pooler else None, "attention_mode": mode}
    config = model_class.config_class(**SIZES, **options)
    model = model_class(config, add_pooling_layer=pooler) if name == "bert" else model_class(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    report = hf_ext.export_release(save(model.eval(), tmp_path / "model"), tmp_path / f"{name}_release")
    assert any(variable.startswith("cls/predictions/") for variable in report.absent)
    options = {"pooler": "tanh"} if pooler and name != "bert" else {}
    converted = hf_ext.convert_release(tmp_path / f"{name}_release", tmp_path / "back", **options)
    assert converted.architecture == model_class.__name__
    back, info = transformers.AutoModel.from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not info["unexpected_keys"]
    assert all("pooler" in key for key in info["missing_keys"])
    assert type(back) is model_class
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[key], tensor, rtol=0, atol=0)
    _, parameters = hf_ext.conversion.load_state_dict(tmp_path / f"{name}_release")
    assert parameters.keys() == model.state_dict().keys()


def test_a_private_folder_stays_private(masked, tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    hf_ext.export_release(masked, out)
    hf_ext.convert_release(out, tmp_path / "roformer")
    (tmp_path / "roformer").chmod(0o750)
    hf_ext.convert_release(out, tmp_path / "roformer", overwrite=True)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (out, tmp_path / "roformer")] == [0o700, 0o750]


def test_the_command(classifier, tmp_path, monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hf-ext", "export-release", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            main()
        return exit.value.code or 0, *capfd.readouterr()

    status, out, error = run(classifier, tmp_path / "out")
    assert (status, out, error.count("\n")) == (1, "", 1)
    assert "--drop-head" in error
    status, out, error = run(classifier, tmp_path / "out", "--drop-head")
    assert (status, error) == (0, "")
    assert "RoFormer: " in out
    assert (tmp_path / "out" / "bert_model.ckpt.index").is_file()
    assert run(classifier, tmp_path / "out", "--drop-head", "--overwrite")[0] == 0
