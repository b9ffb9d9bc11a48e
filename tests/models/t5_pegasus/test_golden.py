"""T5-PEGASUS against what the original computed, every tensor, the loss, and what its beam search gave."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hf_ext.conversion import convert_release, export_release, load_state_dict
from hf_ext.models.t5_pegasus import T5PegasusForConditionalGeneration
from hf_ext.tokenization import JiebaWordPieceTokenizer

# golden/README.md: hidden states, logits, probabilities.
TOLERANCES = {torch.float64: (2e-6, 5e-6, 1e-6), torch.float32: (2e-5, 1e-4, 1e-5)}
BACK_ENDS = ("eager", "sdpa")
LoadModel = Callable[..., Any]


@pytest.fixture(scope="session")
def load_model(golden: Path) -> LoadModel:
    config, state = load_state_dict(golden / "t5_pegasus")

    def load(dtype: torch.dtype = torch.float64, back_end: str = "sdpa") -> Any:
        model = T5PegasusForConditionalGeneration.from_pretrained(
            None, config=config, state_dict=dict(state), dtype=dtype, attn_implementation=back_end
        )
        return model.eval()

    return load


@pytest.fixture(scope="session")
def io(golden: Path) -> dict[str, Tensor]:
    arrays = np.load(golden / "t5_pegasus" / "io.npz")
    return {name: torch.from_numpy(arrays[name]) for name in arrays}


def real(ids: Tensor) -> Tensor:
    """The original's mask: id 0 is padding, except at position 0."""
    mask = (ids != 0).long()
    mask[:, 0] = 1
    return mask


def recorded(model: Any, prefix: str, encoder_ids: Tensor, decoder_ids: Tensor) -> dict[str, Tensor]:
    """All that the original's file holds of a batch, by its names."""
    found: dict[str, Tensor] = {}

    def record(name: str) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            found[name] = output[0] if isinstance(output, tuple) else output

        return hook

    hooks = []
    for name, stack in (("encoder", model.encoder), ("decoder", model.decoder)):
        hooks += [
            block.register_forward_hook(record(f"{name}_layer_{i}_output")) for i, block in enumerate(stack.block)
        ]
    hooks.append(model.decoder.final_layer_norm.register_forward_hook(record("decoder_norm_output")))
    hooks.append(model.lm_head.register_forward_pre_hook(lambda module, args: found.__setitem__("lm_input", args[0])))
    with torch.no_grad():
        outputs = model(
            input_ids=encoder_ids.long(),
            attention_mask=real(encoder_ids),
            decoder_input_ids=decoder_ids.long(),
            decoder_attention_mask=real(decoder_ids),
        )
    for hook in hooks:
        hook.remove()
    found["encoder_output"] = outputs.encoder_last_hidden_state
    found["lm_logits"] = outputs.logits
    found["lm_probs"] = outputs.logits.softmax(-1)
    return {f"{prefix}{name}": value for name, value in found.items()}


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_every_tensor(load_model: LoadModel, io: dict[str, Tensor], back_end: str, dtype: torch.dtype) -> None:
    model = load_model(dtype, back_end)
    found = recorded(model, "", io["encoder_token_ids"], io["decoder_token_ids"])
    long = recorded(model, "long_", io["long_encoder_token_ids"], io["long_decoder_token_ids"])
    found |= {name: value for name, value in long.items() if name in io}
    with torch.no_grad():
        # Keras hands the encoder's mask on to the original's separate decoder: its numbers are those of the whole.
        standalone = model(
            encoder_outputs=(found["encoder_output"],),
            attention_mask=real(io["encoder_token_ids"]),
            decoder_input_ids=io["decoder_token_ids"].long(),
            decoder_attention_mask=real(io["decoder_token_ids"]),
        )
    found["standalone_decoder_probs"] = standalone.logits.softmax(-1)
    assert found.keys() == {name for name in io if not name.endswith("token_ids")} - {"finetune_loss"}
    hidden, logit, probability = TOLERANCES[dtype]
    for name, value in found.items():
        tolerance = logit if name.endswith("logits") else probability if name.endswith("probs") else hidden
        np.testing.assert_allclose(value.numpy(), io[name].numpy(), atol=tolerance, rtol=0, err_msg=name)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_loss_of_fine_tuning(load_model: LoadModel, io: dict[str, Tensor], dtype: torch.dtype) -> None:
    """The labels alone are given: the decoder's input is made of them, behind [CLS]."""
    encoder_ids, decoder_ids = io["encoder_token_ids"].long(), io["decoder_token_ids"].long()
    assert (decoder_ids[:, 0] == 2).all()
    labels = decoder_ids[:, 1:].masked_fill(decoder_ids[:, 1:] == 0, -100)
    outputs = load_model(dtype)(input_ids=encoder_ids, attention_mask=real(encoder_ids), labels=labels)
    np.testing.assert_allclose(outputs.loss.item(), float(io["finetune_loss"]), rtol=1e-5)


@pytest.fixture(scope="session")
def records(golden: Path) -> list[dict[str, Any]]:
    found = json.loads((golden / "t5_pegasus" / "decode.json").read_text())["cases"]
    assert len(found) == 10
    return found


def cut(ids: list[int], record: dict[str, Any]) -> list[int]:
    """The original's stopping rule: the ``min_ends``-th end id, not before ``minlen`` tokens with the first."""
    for n in range(record["minlen"], len(ids) + 1):
        if ids[n - 1] == record["end_id"] and ids[:n].count(record["end_id"]) >= record["min_ends"]:
            return ids[:n]
    return ids


def generate(model: Any, records: list[dict[str, Any]], eos: int | None, **settings: Any) -> list[list[int]]:
    """What generate gives for records of one ``maxlen``, the shorter inputs padded."""
    longest = max(len(record["encoder_token_ids"]) for record in records)
    rows = [record["encoder_token_ids"] + [0] * (longest - len(record["encoder_token_ids"])) for record in records]
    ids = torch.tensor(rows)
    model.generation_config.eos_token_id = eos
    return model.generate(
        input_ids=ids,
        attention_mask=real(ids),
        max_new_tokens=records[0]["maxlen"],
        do_sample=False,
        length_penalty=0.0 if settings.get("num_beams", 1) > 1 else None,
        **settings,
    ).tolist()


CACHES = {"cache": {}, "no cache": {"use_cache": False}, "static": {"cache_implementation": "static"}}


@pytest.mark.parametrize("settings", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_greedy(load_model: LoadModel, records: list[dict[str, Any]], back_end: str, settings: dict[str, Any]) -> None:
    """All greedy records in one batch, which runs without an end id: generate would stop at the first."""
    greedy = [record for record in records if record["topk"] == 1]
    assert len({len(record["encoder_token_ids"]) for record in greedy}) > 1
    for record, ids in zip(greedy, generate(load_model(torch.float32, back_end), greedy, None, **settings)):
        assert cut(ids, record) == record["output_ids"]


@pytest.mark.parametrize("settings", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize("topk", [1, 3])
def test_generate_with_the_end_id(
    load_model: LoadModel, records: list[dict[str, Any]], topk: int, settings: dict[str, Any]
) -> None:
    """Greedy and beam search, where the original stops at the first end id as generate does."""
    model = load_model(torch.float32)
    chosen = [r for r in records if r["topk"] == topk and r["min_ends"] == r["minlen"] == 1]
    assert len(chosen) == 4
    for record in chosen:
        [ids] = generate(model, [record], record["end_id"], num_beams=topk, **settings)
        length = len(record["output_ids"])
        assert ids[:length] == record["output_ids"]
        assert not any(ids[length:])


@pytest.mark.parametrize("index", range(10))
def test_original_beam_search(load_model: LoadModel, records: list[dict[str, Any]], index: int) -> None:
    """Our probabilities under the original's search: the output, and every hypothesis on the way."""
    record, model = records[index], load_model()
    encoded = model.encoder(torch.tensor([record["encoder_token_ids"]])).last_hidden_state
    topk, beams, scores, steps = record["topk"], [[record["start_id"]]], torch.zeros(1, dtype=torch.float64), []
    while len(beams[0]) <= record["maxlen"]:
        steps.append(beams)
        with torch.no_grad():
            states = encoded.expand(len(beams), -1, -1)
            logits = model(encoder_outputs=(states,), decoder_input_ids=torch.tensor(beams)).logits[:, -1]
        totals = scores[:, None] + torch.log(logits.softmax(-1) + 1e-12)
        scores, index_of = totals.flatten().topk(topk)
        beams = [[*beams[i // totals.shape[1]], i % totals.shape[1]] for i in index_of.tolist()]
        done = [beam[-1] == record["end_id"] and beam.count(record["end_id"]) >= record["min_ends"] for beam in beams]
        if len(beams[0]) >= record["minlen"]:
            if done[0]:
                break
            beams, scores = [b for b, ended in zip(beams, done) if not ended], scores[~torch.tensor(done)]
            topk = len(beams)
    assert beams[0] == record["output_ids"]
    assert [sorted(step) for step in steps] == [sorted(step) for step in record["beams_before_each_step"]]


def test_conversion_of_a_release(golden: Path, io: dict[str, Tensor], tmp_path: Path) -> None:
    """Recognised by its variables, written, and loaded by the Auto classes; the tokenizer gives no token types."""
    report = convert_release(golden / "t5_pegasus", tmp_path / "out")
    assert (report.title, report.architecture) == ("T5-PEGASUS", "T5PegasusForConditionalGeneration")
    assert len(report.variables) == 52
    assert not report.ignored
    model, info = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values())
    assert type(model) is T5PegasusForConditionalGeneration
    found = recorded(model.eval(), "", io["encoder_token_ids"], io["decoder_token_ids"])
    np.testing.assert_allclose(found["lm_logits"].numpy(), io["lm_logits"].numpy(), atol=1e-4, rtol=0)

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert [*tokenizer("模型")] == ["input_ids", "attention_mask"]
    model.generate(**tokenizer("模型", return_tensors="pt"), max_new_tokens=3)
    generation = model.generation_config
    assert (generation.decoder_start_token_id, generation.eos_token_id, generation.pad_token_id) == (2, 3, 0)


@pytest.mark.parametrize("options", [{"attention_mode": "causal"}, {"pooler": "tanh"}])
def test_conversion_refuses_what_the_family_has_not(golden: Path, options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        load_state_dict(golden / "t5_pegasus", **options)


def test_word_vocabulary_of_the_release_is_read_by_words(shared: Path, tmp_path: Path) -> None:
    """A folder typed t5_pegasus that names no tokenizer: words, without token types."""
    vocabulary = shared / "vocab" / "roformer-word_wobert-plus_t5-pegasus.vocab.txt"
    (tmp_path / "vocab.txt").write_bytes(vocabulary.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "t5_pegasus"}')
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(tokenizer, JiebaWordPieceTokenizer)
    assert [*tokenizer("今天天气很好")] == ["input_ids", "attention_mask"]
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id) == (0, 101, 102)


def test_export_gives_the_release_back(golden: Path, tmp_path: Path) -> None:
    convert_release(golden / "t5_pegasus", tmp_path / "ours")
    export_release(tmp_path / "ours", tmp_path / "theirs")
    assert {"config.json", "model.ckpt.index", "vocab.txt"} <= {file.name for file in (tmp_path / "theirs").iterdir()}
    (config, state), (again_config, again) = (load_state_dict(f) for f in (golden / "t5_pegasus", tmp_path / "theirs"))
    assert config.to_dict() == again_config.to_dict()
    assert state.keys() == again.keys()
    assert all(torch.equal(state[name], again[name]) for name in state)
