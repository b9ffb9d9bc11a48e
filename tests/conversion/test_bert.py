"""BERT, WoBERT and what has the same variables: every kind of release, each under Transformers' own classes."""

import json

import numpy
import pytest
import torch
from releases import SETTINGS, VOCABULARY, random_variables, write_release
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining, AutoTokenizer

import hf_ext
from hf_ext.conversion import ConversionError, load_state_dict

HEAD, POOLER = "cls/seq_relationship/", "bert/pooler/"


@pytest.fixture(scope="module")
def wobert(golden, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wobert") / "out"
    hf_ext.convert_release(golden / "wobert", folder)
    return folder, numpy.load(golden / "wobert" / "io.npz")


def run(model, data, prefix=""):
    ids, types = (torch.from_numpy(data[f"{prefix}{name}_ids"]).long() for name in ("token", "segment"))
    mask = ids != 0
    mask[:, 0] = True
    with torch.no_grad():
        return mask, model(ids, mask.long(), types, output_hidden_states=True)


def close(found, data, name, tolerance, places=...):
    wanted = torch.from_numpy(data[name]).double()
    assert found.shape == wanted.shape, name
    torch.testing.assert_close(found[places], wanted[places], rtol=0, atol=tolerance)


class TestGolden:
    def test_every_tensor_by_the_class_for_pre_training(self, wobert):
        folder, data = wobert
        model, info = AutoModelForPreTraining.from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
        assert not any(info.values())
        assert (model.config.layer_norm_eps, model.config.hidden_act) == (1e-12, "gelu")
        real, outputs = run(model.eval(), data)
        for name, found in zip(
            ("embedding_output", "layer_0_output", "layer_1_output"), outputs.hidden_states, strict=True
        ):
            close(found, data, name, 2e-6, real)
        close(outputs.hidden_states[-1], data, "last_hidden_state", 2e-6, real)
        close(outputs.prediction_logits, data, "mlm_logits", 5e-6, real)
        close(outputs.prediction_logits.softmax(-1), data, "mlm_probs", 1e-6, real)
        close(outputs.seq_relationship_logits.softmax(-1), data, "nsp_probs", 1e-6)
        _, outputs = run(model, data, "edge_")
        close(outputs.hidden_states[-1], data, "edge_last_hidden_state", 2e-6)
        close(outputs.prediction_logits, data, "edge_mlm_logits", 5e-6)

    def test_the_other_classes_read_the_same_folder(self, wobert):
        folder, data = wobert
        base, info = AutoModel.from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
        assert not info["missing_keys"]
        close(run(base.eval(), data)[1].pooler_output, data, "pooled_output", 2e-6)
        masked, info = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
        assert not info["missing_keys"]
        real, outputs = run(masked.eval(), data)
        close(outputs.logits, data, "mlm_logits", 5e-6, real)

    def test_words_are_its_tokens(self, wobert, golden):
        tokenizer = AutoTokenizer.from_pretrained(wobert[0])
        assert type(tokenizer) is hf_ext.JiebaWordPieceTokenizer
        lines = (golden / "wobert" / "vocab.txt").read_text(encoding="utf-8").split("\n")
        word = next(line for line in lines if len(line) > 1 and "\u4e00" <= line[0] <= "\u9fff")
        assert tokenizer.tokenize(word) == [word]


def test_a_folder_of_the_hub_is_read_by_the_word_tokenizer(shared, golden, tmp_path):
    (tmp_path / "vocab.txt").write_bytes((shared / "vocab" / "wobert.vocab.txt").read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "bert", "vocab_size": 33586}', encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}', encoding="utf-8")
    lines = (golden / "tokenizer" / "real_wobert_word.jsonl").read_text(encoding="utf-8").split("\n")
    texts = (golden / "tokenizer" / "texts.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    sentences = [json.loads(texts[row["i"]]) for row in rows]
    sentences = [one["text"] if isinstance(one, dict) else one for one in sentences]
    saved = tmp_path / "saved"
    hf_ext.JiebaWordPieceTokenizer.from_pretrained(tmp_path).save_pretrained(saved)
    (saved / "config.json").write_bytes((tmp_path / "config.json").read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(saved)
    assert tokenizer(sentences, split_special_tokens=True)["input_ids"] == [row["ids"] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("without", "architecture"),
    [((), "BertForPreTraining"), ((HEAD,), "BertForMaskedLM"), ((HEAD, POOLER), "BertForMaskedLM")],
)
def test_every_kind_of_release_arrives_whole_and_goes_back(tmp_path, without, architecture):
    variables = {name: value for name, value in random_variables("bert").items() if not name.startswith(without or "-")}
    folder = write_release(tmp_path / "wobert", variables)
    report = hf_ext.convert_release(folder, tmp_path / "out")
    assert (report.architecture, report.elements) == (architecture, sum(map(torch.numel, variables.values())))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == [architecture]
    base, info = AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert bool(info["missing_keys"]) == (POOLER in without)
    if POOLER not in without:
        assert torch.equal(base.pooler.dense.weight, variables["bert/pooler/dense/kernel"].T)
    masked, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert torch.equal(masked.cls.predictions.bias, variables["cls/predictions/output_bias"])
    assert set(hf_ext.export_release(tmp_path / "out", tmp_path / "back").variables) == set(variables)
    _, state = load_state_dict(tmp_path / "back", "bert")
    assert all(torch.equal(value, load_state_dict(folder)[1][name]) for name, value in state.items())


@pytest.mark.parametrize(
    ("folder", "options", "family", "assumed"),
    [
        ("chinese_L-3_H-8", {}, "bert", True),
        ("chinese_wobert_L-3_H-8", {}, "bert", False),
        ("chinese_simbert_L-3_H-8", {}, "unilm_bert", False),
        ("chinese_unilm_L-3_H-8", {}, "unilm_bert", False),
        ("chinese_L-3_H-8", {"attention_mode": "unilm"}, "unilm_bert", False),
        ("chinese_L-3_H-8", {"attention_mode": "bidirectional"}, "bert", False),
        ("chinese_simbert_L-3_H-8", {"family": "bert"}, "bert", False),
    ],
)
def test_bert_and_simbert_are_told_apart(tmp_path, folder, options, family, assumed):
    variables = {name: value for name, value in random_variables("bert").items() if not name.startswith(HEAD)}
    report = hf_ext.convert_release(write_release(tmp_path / folder, variables), tmp_path / "out", **options)
    assert (report.choices[0].value, report.choices[0].assumed) == (family, assumed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooler": "linear"}, "pooler='linear'; one of tanh"),
        ({"attention_mode": "unilm"}, "attention_mode='unilm'; one of bidirectional"),
        ({"family": "unilm_bert"}, "is not SimBERT .*it also has cls/seq_relationship/"),
    ],
)
def test_what_bert_is_not(tmp_path, options, message):
    folder = write_release(tmp_path / "x", random_variables("bert"))
    with pytest.raises(ConversionError, match=message):
        load_state_dict(folder, **options)


def test_a_release_without_token_types_says_so(tmp_path):
    variables = random_variables("bert")
    variables = {
        name: value
        for name, value in variables.items()
        if not name.startswith((HEAD, POOLER, "bert/embeddings/token_type_embeddings"))
    }
    config, _ = load_state_dict(write_release(tmp_path / "gpt", variables))
    assert (config.type_vocab_size, config.attention_mode, SETTINGS["type_vocab_size"]) == (0, "causal", 2)
    assert config.vocab_size == len(VOCABULARY)
