"""Every checkpoint of the originals: converted it gives their numbers, exported again it is what it was, bit by bit."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

import hf_ext
from hf_ext.conversion.report import ConversionReport

ENCODER = {"input_ids": "token_ids", "token_type_ids": "segment_ids"}
AUTO_CLASS = {
    "bidirectional": AutoModelForMaskedLM,
    "unilm": AutoModelForCausalLM,
    "causal": AutoModelForCausalLM,
    "encoder-decoder": AutoModelForSeq2SeqLM,
}


@dataclass(frozen=True)
class Case:
    """What a golden folder is recognised as, and how its inputs and outputs are called."""

    family: str
    mode: str
    pooler: str | None
    architecture: str
    inputs: tuple[tuple[str, str], ...] = tuple(ENCODER.items())
    hidden: str = "last_hidden_state"
    logits: str = "mlm_logits"
    # Keys of the config that an export states otherwise, or not (None): the original is told them when it is called.
    restated: tuple[tuple[str, int | None], ...] = ()


CASES = {
    "roformer": Case("roformer", "bidirectional", "tanh", "RoFormerForMaskedLM"),
    "roformer_factorized": Case("roformer", "bidirectional", "tanh", "RoFormerForMaskedLM"),
    "roformer_v2": Case("roformer_v2", "bidirectional", None, "RoFormerForMaskedLM"),
    "roformer_unilm": Case("roformer", "unilm", "linear", "RoFormerForCausalLM", logits="lm_logits"),
    "roformer_lm": Case("roformer", "causal", None, "RoFormerForCausalLM", logits="lm_logits"),
    "gau_alpha": Case(
        "gau_alpha", "bidirectional", None, "GAUAlphaForMaskedLM", restated=(("num_attention_heads", 1),)
    ),
    "wobert": Case("bert", "bidirectional", "tanh", "BertForPreTraining"),
    "unilm_bert": Case("unilm_bert", "unilm", "linear", "UniLMBertForCausalLM", logits="lm_logits"),
    "nezha": Case("nezha", "bidirectional", "tanh", "NezhaForMaskedLM"),
    "gpt_nezha_dialog": Case("nezha", "causal", None, "NezhaForCausalLM", logits="lm_logits"),
    "gpt_nezha_gen": Case(
        "unilm_bert",
        "causal",
        None,
        "UniLMBertForCausalLM",
        (("input_ids", "token_ids"),),
        logits="lm_logits",
        restated=(("type_vocab_size", 0),),
    ),
    "gpt_cdial": Case("gpt_cdial", "causal", None, "CDialGPTForCausalLM", logits="lm_logits"),
    "t5_pegasus": Case(
        "t5_pegasus",
        "encoder-decoder",
        None,
        "T5PegasusForConditionalGeneration",
        (("input_ids", "encoder_token_ids"), ("decoder_input_ids", "decoder_token_ids")),
        hidden="encoder_output",
        logits="lm_logits",
        restated=(("initializer_range", None),),
    ),
}


@dataclass(frozen=True)
class Converted:
    """A golden folder, the folder that was made of it, and the report of that."""

    case: Case
    golden: Path
    folder: Path
    report: ConversionReport


@pytest.fixture(scope="module", params=CASES)
def converted(request, golden, tmp_path_factory) -> Converted:
    folder = tmp_path_factory.mktemp(request.param) / "converted"
    report = hf_ext.convert_release(golden / request.param, folder)
    return Converted(CASES[request.param], golden / request.param, folder, report)


def variables_of(folder, tensorflow):
    (index,) = folder.glob("*.index")
    reader = tensorflow.train.load_checkpoint(str(index.with_suffix("")))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def settings_of(folder):
    (file,) = (
        folder / name for name in ("bert_config.json", "gpt_config.json", "config.json") if (folder / name).is_file()
    )
    return json.loads(file.read_text(encoding="utf-8"))


def test_every_golden_checkpoint_has_a_case(golden):
    assert {index.parent.name for index in golden.glob("*/*.index")} == CASES.keys()


def test_it_is_recognised_and_used_whole(converted):
    case, report = converted.case, converted.report
    choices = {choice.name: choice.value for choice in report.choices}
    assert (choices["family"], choices["attention_mode"]) == (case.family, case.mode)
    assert choices["pooler"] == (case.pooler or "none")
    assert report.architecture == case.architecture
    meta = json.loads((converted.golden / "meta.json").read_text(encoding="utf-8"))
    assert sorted(report.variables) == sorted(meta["checkpoint_variables"])
    assert report.ignored == ()
    assert AutoTokenizer.from_pretrained(converted.folder).get_vocab().keys() == {
        line for line in (converted.golden / "vocab.txt").read_text(encoding="utf-8").split("\n") if line
    }


def test_it_gives_the_numbers_of_the_original(converted):
    case, data = converted.case, numpy.load(converted.golden / "io.npz")
    model = AUTO_CLASS[case.mode].from_pretrained(converted.folder, dtype=torch.float64).eval()
    inputs = {name: torch.from_numpy(data[key]).long() for name, key in case.inputs}
    # The originals mask keys of id 0, but for the first.
    real = inputs["input_ids"] != 0
    mask = real.clone()
    mask[:, 0] = True
    with torch.no_grad():
        outputs = model(**inputs, attention_mask=mask.long(), output_hidden_states=True, use_cache=False)
    hidden = outputs.encoder_last_hidden_state if case.mode == "encoder-decoder" else outputs.hidden_states[-1]
    predicted = inputs.get("decoder_input_ids", inputs["input_ids"]) != 0
    for name, found, places, tolerance in (
        (case.hidden, hidden, real, 2e-6),
        (case.logits, outputs.logits, predicted, 5e-6),
    ):
        wanted = torch.from_numpy(data[name]).double()
        assert found.shape == wanted.shape
        torch.testing.assert_close(found[places], wanted[places], rtol=0, atol=tolerance)


def test_exported_it_is_the_original_bit_by_bit(converted, tensorflow, tmp_path):
    report = hf_ext.export_release(converted.folder, tmp_path / "out")
    wanted, found = (variables_of(folder, tensorflow) for folder in (converted.golden, tmp_path / "out"))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert found[name].tobytes() == value.tobytes()
    assert sorted(report.variables) == sorted(wanted)
    assert (report.dropped, report.notes["attention mode"]) == ((), converted.case.mode)
    assert report.notes.get("pooler") == converted.case.pooler
    vocabulary = [
        (folder / "vocab.txt").read_bytes().removesuffix(b"\n") for folder in (tmp_path / "out", converted.golden)
    ]
    assert vocabulary[0] == vocabulary[1]
    stated, restated = settings_of(converted.golden), settings_of(tmp_path / "out")
    assert {key: restated.get(key) for key in stated} == stated | dict(converted.case.restated)


def test_an_export_converts_to_the_same_folder(converted, tmp_path):
    hf_ext.export_release(converted.folder, tmp_path / "out")
    options = {"attention_mode": converted.case.mode, "pooler": converted.case.pooler}
    hf_ext.convert_release(tmp_path / "out", tmp_path / "again", converted.case.family, **options)
    for file in converted.folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
