"""T-TA's release: its files as they are named there, texts between [SOS] and [EOS], and the id that its code has."""

import json
import shutil

import pytest
import torch
from releases import SETTINGS, random_variables, write_release
from transformers import AutoModelForMaskedLM, AutoTokenizer

import hf_ext
from hf_ext.conversion import ConversionError, export_release
from hf_ext.conversion.checkpoint import Checkpoint
from hf_ext.conversion.release import find_release

# As released, where [CLS] and [SEP] are there too, and no text has them.
VOCABULARY = ["[PAD]", "[EOS]", "[UNK]", "[SOS]", "[MASK]", "[CLS]", "[SEP]", "the", "##s", "cat", "sat"]
THEIRS = {key: value for key, value in SETTINGS.items() if not key.startswith(("directionality", "pooler", "type_"))}


@pytest.fixture
def release(tmp_path):
    folder = write_release(
        tmp_path / "released", random_variables("t_ta"), THEIRS | {"vocab_file": "vocab-lower.sub-32k.txt"}, VOCABULARY
    )
    (folder / "bert_config.json").rename(folder / "config.layer-3.vocab-lower.sub-32k.json")
    (folder / "vocab.txt").rename(folder / "vocab-lower.sub-32k.txt")
    for file in folder.glob("bert_model.ckpt*"):
        file.rename(folder / file.name.removeprefix("bert_"))
    return folder


def test_it_is_recognised_and_used_whole(release, tmp_path):
    report = hf_ext.convert_release(release, tmp_path / "out")
    choices = {choice.name: choice for choice in report.choices}
    assert (choices["family"].value, choices["attention_mode"].value, choices["pooler"].value) == (
        "t_ta",
        "bidirectional",
        "tanh",
    )
    assert "vocab_file" in choices["family"].reason
    assert report.architecture == "TTAForMaskedLM"
    assert not report.ignored
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("The cats sat")["input_ids"] == [3, 7, 9, 8, 10, 1]
    assert "token_type_ids" not in tokenizer("cat")
    model, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values())
    assert type(model) is hf_ext.TTAForMaskedLM
    config = model.config
    assert (config.mask_token_id, config.bos_token_id, config.eos_token_id) == (4, 3, 1)
    checkpoint = Checkpoint(find_release(release))
    kernel = checkpoint.read("bert/encoder/layer_2/attention/self/key/kernel")
    assert torch.equal(model.t_ta.encoder.layer[2].attention.self.key.weight, kernel.T)
    assert torch.equal(model.cls.predictions.bias, checkpoint.read("cls/predictions/output_bias"))
    assert model.score(**tokenizer("the cats sat", return_tensors="pt")).isfinite().all()


def test_there_and_back(release, tmp_path):
    hf_ext.convert_release(release, tmp_path / "out")
    export_release(tmp_path / "out", tmp_path / "again")
    old, new = Checkpoint(find_release(release)), Checkpoint(find_release(tmp_path / "again"))
    assert old.shapes == new.shapes
    assert all(torch.equal(old.read(name), new.read(name)) for name in old.shapes)
    settings = json.loads((tmp_path / "again" / "bert_config.json").read_text())
    assert settings.items() >= THEIRS.items()
    assert hf_ext.convert_release(tmp_path / "again", tmp_path / "twice").architecture == "TTAForMaskedLM"


@pytest.mark.parametrize("change", [{"self_mask": False}, {"query_input": "position"}, {"mask_token_id": 5}], ids=str)
def test_what_the_original_does_not_compute_is_not_exported(change, release, tmp_path):
    hf_ext.convert_release(release, tmp_path / "out")
    config = tmp_path / "out" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(ConversionError, match=f"T-TA computes something else: {next(iter(change))}="):
        export_release(tmp_path / "out", tmp_path / "again")


def test_without_its_tokens_or_its_vocabulary(release, tmp_path):
    words = release / "vocab-lower.sub-32k.txt"
    words.write_text(words.read_text().replace("[SOS]", "[BOS]"))
    with pytest.raises(ConversionError, match=r"vocab-lower.sub-32k.txt lacks \[SOS\]"):
        hf_ext.convert_release(release, tmp_path / "out")
    words.unlink()
    with pytest.raises(ConversionError, match=r"has no vocab-lower.sub-32k.txt"):
        hf_ext.convert_release(release, tmp_path / "out")


def test_two_configs_that_differ(release, tmp_path):
    shutil.copy(release / "config.layer-3.vocab-lower.sub-32k.json", release / "config.layer-6.json")
    file = release / "config.layer-6.json"
    file.write_text(file.read_text().replace('"num_hidden_layers": 3', '"num_hidden_layers": 6'))
    with pytest.raises(ConversionError, match=r"has config files that disagree: config.layer-3.*config.layer-6.json"):
        hf_ext.convert_release(release, tmp_path / "out")
