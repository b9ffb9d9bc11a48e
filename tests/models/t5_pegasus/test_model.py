"""T5-PEGASUS: config, tying, back ends, caches, folders typed mt5, adapters."""

import json
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoModelForTextEncoding,
    AutoTokenizer,
    BertTokenizer,
    MT5Config,
    MT5ForConditionalGeneration,
    T5Tokenizer,
)
from transformers.models.mt5.modeling_mt5 import MT5LayerNorm
from word_vocabulary import ENTRIES

import hf_ext
from hf_ext import T5PegasusConfig, T5PegasusEncoderModel, T5PegasusForConditionalGeneration, T5PegasusModel
from hf_ext.models.t5_pegasus.modeling_t5_pegasus import T5PegasusLayerNorm
from hf_ext.models.t5_pegasus.sizes_t5_pegasus import SIZES, config_of_size

TINY: dict[str, Any] = {
    "vocab_size": 60,
    "d_model": 32,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "dropout_rate": 0.0,
    "decoder_start_token_id": 2,
    "eos_token_id": 3,
}


def tiny(dtype: torch.dtype = torch.float64, back_end: str = "sdpa", **fields: Any) -> Any:
    """The same model for the same settings, its tables of positions large enough to matter."""
    torch.manual_seed(0)
    model = T5PegasusForConditionalGeneration(T5PegasusConfig(**(TINY | fields)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "relative" in name:
                parameter.normal_()
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn_like(parameter)
    model.set_attn_implementation(back_end)
    return model.to(dtype).eval()


def batch(lengths: tuple[int, ...] = (7, 1, 4), target: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 60, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    labels = torch.randint(4, 60, (len(lengths), target), generator=generator)
    labels[0, -2:] = -100
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": labels}


class TestConfig:
    def test_defaults_are_the_base_model(self):
        config = T5PegasusConfig()
        assert (config.vocab_size, config.d_kv, config.num_decoder_layers, config.dense_act_fn) == (
            50000,
            64,
            12,
            "gelu",
        )
        assert (config.pad_token_id, config.decoder_start_token_id, config.eos_token_id) == (0, 101, 102)

    @pytest.mark.parametrize("tied", [True, False])
    def test_survives_saving(self, tmp_path, tied):
        T5PegasusConfig(**TINY, tie_word_embeddings=tied, d_kv=5).save_pretrained(tmp_path)
        config = AutoConfig.from_pretrained(tmp_path)
        assert type(config) is T5PegasusConfig
        assert (config.tie_word_embeddings, config.d_kv, config.dense_act_fn) == (tied, 5, "gelu")
        assert config.decoder_start_token_id == 2

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"feed_forward_proj": "gated-nothing"}, "feed_forward_proj must be an activation"),
            ({"feed_forward_proj": "half-gated-gelu"}, "feed_forward_proj"),
            ({"decoder_start_token_id": None}, "decoder_start_token_id must be the id of"),
        ],
    )
    def test_refuses(self, fields, message):
        with pytest.raises(Exception, match=message):
            T5PegasusConfig(**fields)

    @pytest.mark.parametrize("size", SIZES)
    def test_sizes(self, size):
        with torch.device("meta"):
            T5PegasusForConditionalGeneration(config_of_size(size, vocab_size=100))
        with pytest.raises(ValueError, match="config must be a folder or one of the sizes tiny"):
            config_of_size("huge")


@pytest.mark.parametrize(
    ("auto", "expected"),
    [
        (AutoModel, T5PegasusModel),
        (AutoModelForSeq2SeqLM, T5PegasusForConditionalGeneration),
        (AutoModelForTextEncoding, T5PegasusEncoderModel),
    ],
)
def test_auto_classes_load_a_saved_model(tmp_path, auto, expected):
    model, inputs = tiny(), batch()
    model.save_pretrained(tmp_path)
    loaded, info = auto.from_pretrained(tmp_path, dtype=torch.float64, output_loading_info=True)
    assert type(loaded) is expected
    assert not any(info.values())
    inputs.pop("labels")
    wanted = model.encoder(**inputs).last_hidden_state
    decoder = {} if expected is T5PegasusEncoderModel else {"decoder_input_ids": torch.tensor([[2], [2], [2]])}
    outputs = loaded.eval()(**inputs, **decoder)
    torch.testing.assert_close(outputs[0] if not decoder else outputs.encoder_last_hidden_state, wanted)
    assert loaded.config.is_encoder_decoder


def test_differs_from_mt5_in_two_points_alone(monkeypatch):
    """Without a bias in the decoder, and with the scale in the output matrix, it is mT5 with the same weights."""
    # mT5's norm computes in float32 whatever the model's type.
    monkeypatch.setattr(MT5LayerNorm, "forward", T5PegasusLayerNorm.forward)
    ours = tiny(feed_forward_proj="gated-silu")
    with torch.no_grad():
        ours.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.zero_()
    peer = MT5ForConditionalGeneration(MT5Config(**(TINY | {"feed_forward_proj": "gated-silu", "d_kv": 8}))).double()
    # mT5's config ties the output matrix.
    peer.lm_head.weight = torch.nn.Parameter(torch.zeros_like(ours.lm_head.weight))
    peer.load_state_dict(ours.state_dict() | {"lm_head.weight": ours.lm_head.weight * 32**-0.5}, strict=True)
    found, wanted = (model.eval()(**batch()) for model in (ours, peer))
    torch.testing.assert_close(found.logits, wanted.logits)
    torch.testing.assert_close(found.loss.double(), wanted.loss, atol=0, rtol=1e-6)


@pytest.mark.parametrize("made", ["from a config", "from a checkpoint"])
def test_new_weights_are_those_of_mt5(tmp_path, made):
    """As wide as in mT5, parameter by parameter, also those that a checkpoint lacks."""
    config = T5PegasusConfig(**(TINY | {"d_ff": 128, "d_model": 128, "vocab_size": 200, "d_kv": 16}))
    torch.manual_seed(0)
    if made == "from a config":
        ours = T5PegasusForConditionalGeneration(config)
    else:
        state = {"shared.weight": torch.zeros(200, 128)}
        ours = T5PegasusForConditionalGeneration.from_pretrained(None, config=config, state_dict=state)
        assert not ours.shared.weight.any()
        torch.nn.init.normal_(ours.shared.weight)
    peer = MT5ForConditionalGeneration(MT5Config(**(config.to_dict() | {"model_type": "mt5"})))
    found, wanted = (dict(model.named_parameters()) for model in (ours, peer))
    torch.testing.assert_close(found.pop("lm_head.weight").std(), torch.tensor(1.0), rtol=0.05, atol=0)
    assert found.keys() == wanted.keys()
    for name, parameter in found.items():
        # Tables of positions have 128 values, and their widths scatter.
        torch.testing.assert_close(
            parameter.std(), wanted[name].std(), rtol=0.4 if "relative" in name else 0.05, atol=0
        )
        torch.testing.assert_close(parameter.mean(), wanted[name].mean(), rtol=0, atol=0.05)


@pytest.mark.parametrize("tied", [True, False])
def test_which_weights_are_tied(tmp_path, tied):
    model = tiny(tie_word_embeddings=tied)
    for one in (model, T5PegasusForConditionalGeneration.from_pretrained(_saved(model, tmp_path))):
        assert one.encoder.embed_tokens.weight is one.shared.weight is one.decoder.embed_tokens.weight
        assert (one.lm_head.weight is one.shared.weight) == tied
        one.resize_token_embeddings(71, mean_resizing=False)
        assert one.encoder.embed_tokens.weight is one.shared.weight is one.decoder.embed_tokens.weight
        assert (one.lm_head.weight is one.shared.weight) == tied
        assert one(**batch()).logits.shape[-1] == one.config.vocab_size == 71


def test_the_scale_outlives_resizing():
    model, inputs = tiny(), batch()
    wanted = model(**inputs).logits
    model.resize_token_embeddings(64, mean_resizing=False)
    torch.testing.assert_close(model(**inputs).logits[..., :60], wanted)


def _saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("checkpointed", [False, True])
def test_gradients(checkpointed):
    """The same of both back ends, with checkpointing or without, and for every parameter."""
    wanted = tiny(back_end="eager").train()
    wanted(**batch()).loss.backward()
    model = tiny().train()
    if checkpointed:
        model.gradient_checkpointing_enable()
    model(**batch(), use_cache=False).loss.backward()
    gradients = dict(model.named_parameters())
    for name, parameter in wanted.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
        # The loss is computed in float32.
        torch.testing.assert_close(gradients[name].grad, parameter.grad, atol=1e-7, rtol=1e-5, msg=name)


@pytest.mark.parametrize("back_end", ["sdpa", "eager"])
def test_cache(back_end):
    """Token by token and in parts, beyond the distance at which buckets end."""
    model, inputs = tiny(back_end=back_end), batch(target=1)
    labels = torch.randint(4, 60, (3, 140), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        encoded = model.encoder(inputs["input_ids"], inputs["attention_mask"])
        shared = {"encoder_outputs": encoded, "attention_mask": inputs["attention_mask"]}
        wanted = model(**shared, decoder_input_ids=labels, use_cache=False).logits
        past, found = None, []
        for part in labels.split([1, 3, 120, 1, 15], dim=1):
            outputs = model(**shared, decoder_input_ids=part, cache=past, use_cache=True)
            past = outputs.cache
            found.append(outputs.logits)
    torch.testing.assert_close(torch.cat(found, 1), wanted)


def test_padding_changes_nothing():
    model, inputs = tiny(), batch()
    inputs.pop("labels")
    decoder_ids = torch.tensor([[2, 9, 8]] * 3)
    together = model(**inputs, decoder_input_ids=decoder_ids).logits
    for row, length in enumerate((7, 1, 4)):
        alone = model(input_ids=inputs["input_ids"][row : row + 1, :length], decoder_input_ids=decoder_ids[:1]).logits
        torch.testing.assert_close(together[row], alone[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(tmp_path, dtype):
    """As close to float64 as the rounding of its weights allows; finite, also where squares overflow float16."""
    model, inputs = tiny(), batch()
    half, rounded = (
        T5PegasusForConditionalGeneration.from_pretrained(_saved(model, tmp_path), dtype=dtype).eval() for _ in "ab"
    )
    wanted = model(**inputs).logits
    found = half(**inputs)
    error, by_rounding = (
        (logits.double() - wanted).norm() for logits in (found.logits, rounded.double()(**inputs).logits)
    )
    assert error < 5 * by_rounding
    found.loss.backward()
    assert all(p.grad.isfinite().all() for p in half.parameters())
    with torch.no_grad():
        half.shared.weight.mul_(1000)
        assert half(**inputs).logits.isfinite().all()


def test_num_items_in_batch():
    model, inputs = tiny(), batch()
    count = int((inputs["labels"] != -100).sum())
    one = model(**inputs).loss
    torch.testing.assert_close(model(**inputs, num_items_in_batch=4 * count).loss, one / 4)


def test_labels_or_decoder_ids_alone():
    """What `DataCollatorForSeq2Seq` gives; and tuples for whoever asks for them."""
    model, inputs = tiny(), batch()
    labels = inputs.pop("labels")
    decoder_ids = model.prepare_decoder_input_ids_from_labels(labels)
    assert (decoder_ids[:, 0] == 2).all()
    assert (decoder_ids >= 0).all()
    wanted = model(**inputs, labels=labels).logits
    outputs = model(**inputs, decoder_input_ids=decoder_ids, return_dict=False, use_cache=False)
    assert isinstance(outputs, tuple)
    torch.testing.assert_close(outputs[0], wanted)
    full = tiny(back_end="eager")(**inputs, labels=labels, output_hidden_states=True, output_attentions=True)
    assert [len(full.decoder_hidden_states), len(full.encoder_hidden_states), len(full.cross_attentions)] == [3, 3, 2]


def test_generation_samples_and_stops():
    model, inputs = tiny(torch.float32), batch()
    inputs.pop("labels")
    torch.manual_seed(0)
    found = model.generate(**inputs, do_sample=True, top_p=0.9, num_return_sequences=2, max_new_tokens=30)
    assert found.shape[0] == 6
    assert (found[:, 0] == 2).all()
    for row in found.tolist():
        if 3 in row:
            assert not any(row[row.index(3) + 1 :])


def test_pickles():
    model, inputs = tiny(), batch()
    torch.testing.assert_close(pickle.loads(pickle.dumps(model))(**inputs).logits, model(**inputs).logits)


def test_adapters(tmp_path):
    model = tiny(torch.float32)
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_2_SEQ_LM", init_lora_weights=False))
    names = {name for name, p in adapted.named_parameters() if p.requires_grad}
    # q and v of two encoder blocks, and twice in each of two decoder blocks; two matrices each.
    assert len(names) == 2 * 2 * (2 + 2 * 2)
    inputs = batch()
    adapted(**inputs).loss.backward()
    wanted = adapted.eval()(**inputs).logits
    adapted.save_pretrained(tmp_path)
    tiny(torch.float32).save_pretrained(tmp_path / "base")
    loaded = T5PegasusForConditionalGeneration.from_pretrained(tmp_path / "base")
    loaded.load_adapter(str(tmp_path))
    torch.testing.assert_close(loaded.eval()(**inputs).logits, wanted)


# What the folders of the released weights say, and what is written beside them by who saves the tokenizer of T5.
T5_TOKENS = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "extra_ids": 2}
TOKENIZER_CONFIGS = {
    "none": None,
    "name alone": {"tokenizer_class": "T5Tokenizer"},
    "T5's tokens": {"tokenizer_class": "T5Tokenizer", **T5_TOKENS, "additional_special_tokens": ["<extra_id_0>"]},
    "fast": {"tokenizer_class": "T5TokenizerFast"},
}
GENERATION_CONFIGS = {"none": None, "of mT5": {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}}


@pytest.fixture(params=TOKENIZER_CONFIGS)
def mt5_folder(request, tmp_path) -> tuple[Path, Any]:
    """A folder as on the Hub, and the model whose weights it has."""
    model = tiny(torch.float32, vocab_size=len(ENTRIES))
    model.save_pretrained(tmp_path)
    fields = model.config.to_dict() | {"model_type": "mt5", "architectures": ["MT5ForConditionalGeneration"]}
    # Files that Transformers v5 writes for mT5 say that the matrices are tied, and the tanh form of gelu.
    fields |= {"decoder_start_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": True, "dense_act_fn": "gelu_new"}
    fields |= {"tokenizer_class": "T5Tokenizer"}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    (tmp_path / "vocab.txt").write_text("".join(f"{entry}\n" for entry in ENTRIES), encoding="utf-8")
    (tmp_path / "generation_config.json").unlink()
    settings = TOKENIZER_CONFIGS[request.param]
    if settings is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path, model


def test_the_hub_is_not_asked_about_mt5(tmp_path, monkeypatch):
    """A vocabulary of mT5's size is mT5's own."""
    asked = []
    monkeypatch.setattr("hf_ext.models.t5_pegasus.configuration_t5_pegasus._token_ids", lambda *a, **k: asked.append(a))
    for size, times in ((250112, 0), (250100, 0), (50000, 1)):
        MT5Config(vocab_size=size).save_pretrained(tmp_path)
        assert AutoConfig.from_pretrained(tmp_path).model_type == "mt5"
        assert len(asked) == times


@pytest.mark.slow
def test_mt5_can_be_kept(tmp_path):
    MT5Config(vocab_size=50).save_pretrained(tmp_path)
    code = "import hf_ext; from transformers import AutoConfig; print(type(AutoConfig.for_model('mt5')).__module__)"
    for keep, package in (("1", "transformers"), ("", "hf_ext")):
        run = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"HF_EXT_KEEP_MT5": keep}, capture_output=True, text=True
        )
        assert run.stdout.startswith(package + "."), run.stderr


class TestFoldersTypedMT5:
    @pytest.mark.parametrize("generation", GENERATION_CONFIGS)
    @pytest.mark.parametrize("auto", [T5PegasusForConditionalGeneration, AutoModelForSeq2SeqLM])
    def test_model(self, mt5_folder, auto, generation):
        folder, model = mt5_folder
        if GENERATION_CONFIGS[generation] is not None:
            (folder / "generation_config.json").write_text(json.dumps(GENERATION_CONFIGS[generation]))
        loaded, info = auto.from_pretrained(folder, output_loading_info=True)
        assert type(loaded) is T5PegasusForConditionalGeneration
        assert not any(info.values())
        inputs = batch()
        torch.testing.assert_close(loaded.eval()(**inputs).logits, model(**inputs).logits)
        for settings in (loaded.config, loaded.generation_config):
            assert (settings.decoder_start_token_id, settings.eos_token_id, settings.pad_token_id) == (2, 3, 0)
        assert (loaded.config.tie_word_embeddings, loaded.config.dense_act_fn) == (False, "gelu")
        assert getattr(loaded.config, "tokenizer_class", None) is None

    def test_tokenizer(self, mt5_folder, tmp_path):
        folder, _ = mt5_folder
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert type(tokenizer) is hf_ext.JiebaWordPieceTokenizer
        assert len(tokenizer) == len(ENTRIES)
        assert (tokenizer.unk_token_id, tokenizer.pad_token_id, tokenizer.cls_token_id) == (1, 0, 2)
        inputs = tokenizer("我们去公园散步")
        assert [*inputs] == ["input_ids", "attention_mask"]
        assert tokenizer.convert_ids_to_tokens(inputs["input_ids"]) == ["[CLS]", "我们", "去", "公园", "散步", "[SEP]"]
        tokenizer.save_pretrained(tmp_path / "again")
        again = AutoTokenizer.from_pretrained(tmp_path / "again")
        assert dict(again("我们去公园散步")) == dict(inputs)

    def test_says_what_it_takes_the_folder_for(self, mt5_folder, caplog):
        with caplog.at_level(logging.WARNING, logger="hf_ext"):
            AutoConfig.from_pretrained(mt5_folder[0])
        assert "is typed mt5 and has BERT's vocab.txt: read as T5-PEGASUS" in caplog.text

    def test_stock_class_is_left_alone(self, mt5_folder):
        assert type(MT5Config.from_pretrained(mt5_folder[0])) is MT5Config


class TestMT5ItselfIsLeftAlone:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        torch.manual_seed(0)
        MT5ForConditionalGeneration(MT5Config(**(TINY | {"d_kv": 8}))).save_pretrained(tmp_path)
        T5Tokenizer(vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0)], extra_ids=0).save_pretrained(
            tmp_path
        )
        return tmp_path

    def test_auto_classes(self, folder):
        config = AutoConfig.from_pretrained(folder)
        assert type(config) is MT5Config
        assert type(AutoModelForSeq2SeqLM.from_pretrained(folder)) is MT5ForConditionalGeneration
        assert type(AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model("mt5", **(TINY | {"d_kv": 8})))) is (
            MT5ForConditionalGeneration
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert type(tokenizer) is T5Tokenizer
        assert tokenizer("a a")["input_ids"] == [3, 3, 1]

    def test_is_not_taken_for_t5_pegasus(self, folder):
        with pytest.raises(ValueError, match=r"must have a vocab.txt with \[PAD\], \[CLS\], \[SEP\]"):
            T5PegasusForConditionalGeneration.from_pretrained(folder)

    def test_vocabulary_beside_its_own_files_changes_nothing(self, folder):
        (folder / "vocab.txt").write_text("a\nb\n")
        assert type(AutoConfig.from_pretrained(folder)) is MT5Config
        assert type(AutoTokenizer.from_pretrained(folder)) is T5Tokenizer


def test_characters_where_the_vocabulary_has_no_words(tmp_path):
    T5PegasusConfig(**TINY).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n今\n天\n", encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(tokenizer, BertTokenizer)
    assert dict(tokenizer("今天")) == {"input_ids": [2, 5, 6, 3], "attention_mask": [1] * 4}
