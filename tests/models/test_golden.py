"""The encoders and decoders made of the shared blocks against what the originals computed.

The weights are read from the originals' own checkpoints. Every layout (padded, unpadded, packed) has to give the same
numbers on every back end, and the same gradients.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, DataCollatorWithFlattening, PreTrainedModel

import hf_ext  # noqa: F401  (registers)
from hf_ext.conversion import load_state_dict

# Of the library's own call of flex attention: a flag that PyTorch deprecates, and of running uncompiled.
pytestmark = [
    pytest.mark.filterwarnings("ignore:_compile flag on create_block_mask:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
]

# What no file of a release states: the attention mode.
MODES = {
    "roformer": "bidirectional",
    "roformer_factorized": "bidirectional",
    "roformer_v2": "bidirectional",
    "roformer_unilm": "unilm",
    "roformer_lm": "causal",
    "nezha": "bidirectional",
    "gpt_nezha_dialog": "causal",
    "gpt_nezha_gen": "causal",
    "unilm_bert": "unilm",
    "gpt_cdial": "causal",
}
# Neither the folders' names nor their configs tell NEZHA from RoFormer.
FAMILIES = {"nezha": "nezha", "gpt_nezha_dialog": "nezha"}
# Ten records of decoding each but for this one.
RECORDS = {"gpt_cdial": 8}
DECODED = [case for case, mode in MODES.items() if mode != "bidirectional"]
BACK_ENDS = ("eager", "sdpa", "flex_attention")
# NEZHA adds positions to the values, which takes the weights that only eager attention has.
RUNS = [(case, back_end) for case in MODES for back_end in BACK_ENDS if case not in FAMILIES or back_end == "eager"]
# golden/README.md: hidden states and pooled vectors, logits, probabilities.
TOLERANCES = {torch.float64: (2e-6, 5e-6, 1e-6), torch.float32: (2e-5, 1e-4, 1e-5)}


@pytest.fixture(autouse=True)
def _flex_attention_in_eager_mode() -> Iterator[None]:
    """The library compiles flex attention on first use, which takes a minute on a CPU and changes no number."""
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")


class Batch(NamedTuple):
    """Token ids, types (None in a model without) and the mask of real tokens, ``[B, L]`` each."""

    ids: Tensor
    types: Tensor | None
    real: Tensor

    def packed_types(self) -> Tensor | None:
        """The types of the real tokens in one row."""
        return None if self.types is None else self.types[self.real][None]


LoadModel = Callable[..., PreTrainedModel]


@pytest.fixture(scope="session")
def load_model(golden: Path) -> LoadModel:
    """A function that builds the model of a case from the original checkpoint, which is read once."""
    read: dict[str, Any] = {}

    def load(
        case: str, dtype: torch.dtype = torch.float64, back_end: str | None = None, **fields: Any
    ) -> PreTrainedModel:
        if case not in read:
            read[case] = load_state_dict(golden / case, FAMILIES.get(case), attention_mode=MODES[case])
        config, state = read[case]
        config = type(config)(**(config.to_dict() | fields))
        auto: Any = AutoModelForMaskedLM if MODES[case] == "bidirectional" else AutoModelForCausalLM
        model_class = auto._model_mapping[type(config)]
        model = model_class.from_pretrained(
            None,
            config=config,
            state_dict=dict(state),
            dtype=dtype,
            attn_implementation=back_end or ("eager" if case in FAMILIES else "sdpa"),
        )
        return model.eval()

    return load


def read_batch(io: Any, prefix: str = "", case: str = "") -> Batch:
    ids = torch.from_numpy(io[f"{prefix}token_ids"]).long()
    types = torch.from_numpy(io[f"{prefix}segment_ids"]).long() if f"{prefix}segment_ids" in io else None
    # The originals mask the keys of id 0, and of type 0 where types are tokens, but never that at position 0.
    real = ids != 0
    if case == "gpt_cdial" and types is not None:
        real &= types != 0
    real[:, 0] = True
    return Batch(ids, types, real)


def padded(batch: Batch) -> dict[str, Any]:
    return {"input_ids": batch.ids, "attention_mask": batch.real.long(), "token_type_ids": batch.types}


def packed(batch: Batch) -> dict[str, Any]:
    """The batch as one row of its real tokens; only the positions say where a text begins."""
    return {
        "input_ids": batch.ids[batch.real][None],
        "token_type_ids": batch.packed_types(),
        "position_ids": torch.cat([torch.arange(int(n)) for n in batch.real.sum(-1)])[None],
    }


def collated(batch: Batch) -> dict[str, Any]:
    """The batch as `DataCollatorWithFlattening` gives it, which knows no token types."""
    collate = DataCollatorWithFlattening(return_tensors="pt")
    inputs = collate([{"input_ids": ids[real].tolist()} for ids, real in zip(batch.ids, batch.real)])
    return {
        "input_ids": inputs["input_ids"],
        "position_ids": inputs["position_ids"],
        "token_type_ids": batch.packed_types(),
    }


LAYOUTS = {"padded": padded, "unpadded": padded, "packed": packed, "collated": collated}


def recorded(model: PreTrainedModel, **inputs: Any) -> dict[str, Tensor]:
    """All that the originals' files hold, by their names, in the shape that the layers ran in."""
    found: dict[str, Tensor] = {}

    def record(name: str) -> Any:
        return lambda module, args, output: found.__setitem__(name, output)

    base: Any = model.base_model
    hooks = [base.embeddings.register_forward_hook(record("embedding_output"))]
    hooks += [layer.register_forward_hook(record(f"layer_{i}_output")) for i, layer in enumerate(base.encoder.layer)]
    hooks.append(base.register_forward_hook(record("base")))
    try:
        # Without a cache, so that models that generate may run without padding.
        found["logits"] = model(use_cache=False, **inputs).logits
    finally:
        for hook in hooks:
            hook.remove()
    outputs: Any = found.pop("base")
    found["last_hidden_state"] = outputs.last_hidden_state
    if outputs.pooler_output is not None:
        found["pooled_output"] = outputs.pooler_output
    return found


def at_real_tokens(value: Tensor, real: Tensor) -> Tensor:
    """``[T, ...]`` of ``[B, L, ...]`` or of a packed row ``[1, T, ...]``."""
    return value[real] if value.shape[:2] == real.shape else value[0]


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("case", "back_end"), RUNS)
def test_every_tensor(
    load_model: LoadModel, golden: Path, case: str, back_end: str, layout: str, dtype: torch.dtype
) -> None:
    io = np.load(golden / case / "io.npz")
    batch = read_batch(io, case=case)
    model = load_model(case, dtype, back_end, unpad=layout == "unpadded")
    with torch.no_grad():
        found = recorded(model, **LAYOUTS[layout](batch))
    head = "mlm" if MODES[case] == "bidirectional" else "lm"
    logits = found.pop("logits")
    found |= {f"{head}_logits": logits, f"{head}_probs": logits.softmax(-1)}
    if layout in ("packed", "collated"):
        # The pooler reads the first token of the row; what belongs to the other texts is not pooled.
        found.pop("pooled_output", None)
    expected = {name for name in io if not name.startswith(("edge_", "long_"))} - {"token_ids", "segment_ids"}
    if layout in ("packed", "collated"):
        expected.discard("pooled_output")
    assert found.keys() == expected

    hidden, logit, probability = TOLERANCES[dtype]
    ran_unpadded = found["embedding_output"].shape[1] == batch.real.sum()
    assert ran_unpadded == (layout != "padded" and not (layout == "unpadded" and back_end == "flex_attention"))
    for name, value in found.items():
        wanted = torch.from_numpy(io[name])
        if value.dim() == 3 and layout != "padded":
            value, wanted = at_real_tokens(value, batch.real), wanted[batch.real]
        tolerance = logit if name.endswith("logits") else probability if name.endswith("probs") else hidden
        np.testing.assert_allclose(value.numpy(), wanted.numpy(), atol=tolerance, rtol=0, err_msg=name)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("layout", ["padded", "unpadded"])
@pytest.mark.parametrize(("case", "back_end"), [run for run in RUNS if run[0] in ("roformer", "roformer_v2", "nezha")])
def test_padding_inside_the_text(
    load_model: LoadModel, golden: Path, case: str, back_end: str, layout: str, dtype: torch.dtype
) -> None:
    io = np.load(golden / case / "io.npz")
    batch = read_batch(io, "edge_")
    assert not batch.real[0, 4]
    model = load_model(case, dtype, back_end, unpad=layout == "unpadded")
    with torch.no_grad():
        found = recorded(model, **padded(batch))
    where = batch.real if layout == "unpadded" else torch.ones_like(batch.real)
    for name, key, tolerance in (
        ("last_hidden_state", "edge_last_hidden_state", TOLERANCES[dtype][0]),
        ("logits", "edge_mlm_logits", TOLERANCES[dtype][1]),
    ):
        wanted = torch.from_numpy(io[key])[where]
        np.testing.assert_allclose(found[name][where].numpy(), wanted.numpy(), atol=tolerance, rtol=0)


def test_packed_without_types(load_model: LoadModel, golden: Path) -> None:
    """The last row is all of type 0: the collator's own output is enough."""
    io = np.load(golden / "roformer" / "io.npz")
    batch = read_batch(io)
    length = int(batch.real[2].sum())
    assert not batch.types[2].any()
    features = [{"input_ids": batch.ids[2, :length].tolist()}, {"input_ids": [2, 9, 3]}]
    inputs = DataCollatorWithFlattening(return_tensors="pt")(features)
    inputs.pop("labels")
    with torch.no_grad():
        logits = load_model("roformer")(**inputs).logits
    np.testing.assert_allclose(logits[0, :length].numpy(), io["mlm_logits"][2, :length], atol=5e-6, rtol=0)


@pytest.mark.parametrize("case", MODES)
def test_gradients(load_model: LoadModel, golden: Path, case: str) -> None:
    """Of all parameters and the embedded inputs, on both back ends that have a backward pass on a CPU."""
    batch = read_batch(np.load(golden / case / "io.npz"), case=case)
    torch.manual_seed(0)
    weight = torch.randn(int(batch.real.sum()), 120, dtype=torch.float64)
    first: dict[str, Tensor] = {}
    for back_end in [run[1] for run in RUNS if run[0] == case and run[1] != "flex_attention"]:
        for layout in ("padded", "unpadded", "packed"):
            model = load_model(case, back_end=back_end, unpad=layout == "unpadded")
            inputs = LAYOUTS[layout](batch)
            embeds = model.get_input_embeddings().weight.detach()[inputs.pop("input_ids")].requires_grad_()
            logits = model(inputs_embeds=embeds, use_cache=False, **inputs).logits
            (at_real_tokens(logits.log_softmax(-1), batch.real) * weight).sum().backward()
            gradients = {name: p.grad for name, p in model.named_parameters() if "pooler" not in name}
            gradients["inputs_embeds"] = at_real_tokens(embeds.grad, batch.real)
            missing = [name for name, gradient in gradients.items() if gradient is None]
            assert not missing
            if layout == "padded":
                assert not embeds.grad[~batch.real].any()
            first = first or gradients
            for name, gradient in gradients.items():
                where = f"{back_end}, {layout}, {name}"
                np.testing.assert_allclose(gradient, first[name], atol=1e-10, rtol=1e-9, err_msg=where)


def read_records() -> list[Any]:
    """The cases of decode.json by case and index; as many as the fixture below asserts."""
    return [pytest.param(case, i, id=f"{case}-{i}") for case in DECODED for i in range(RECORDS.get(case, 10))]


@pytest.fixture(scope="session")
def decode(golden: Path) -> Callable[[str], list[dict[str, Any]]]:
    records = {case: json.loads((golden / case / "decode.json").read_text())["cases"] for case in DECODED}
    assert all(len(found) == RECORDS.get(case, 10) for case, found in records.items())
    return records.__getitem__


def cut(ids: list[int], record: dict[str, Any]) -> list[int]:
    """The originals' stopping rule on one hypothesis.

    It ends at an end id that is at least the ``min_ends``-th and not before ``minlen``.
    """
    for n in range(record["minlen"], len(ids) + 1):
        if ids[n - 1] == record["end_id"] and ids[:n].count(record["end_id"]) >= record["min_ends"]:
            return ids[:n]
    return ids


def generated_type(case: str, record: dict[str, Any]) -> int | None:
    """The type of what the original generates after the prompt of a record; None in a model without types."""
    if case == "gpt_nezha_dialog":
        return 1 - record["segment_ids"][-1]
    if case == "gpt_cdial":
        return record["token_ids"][-1]
    return {"unilm": 1, "causal": 0}[MODES[case]] if case != "gpt_nezha_gen" else None


def generate(model: Any, case: str, records: list[dict[str, Any]], eos: int | None, **settings: Any) -> list[list[int]]:
    """What generate produces after the prompts of records of one ``maxlen``, padded on the left to one length."""
    longest = max(len(record["token_ids"]) for record in records)
    missing = [longest - len(record["token_ids"]) for record in records]
    inputs: dict[str, Any] = {
        "input_ids": [[0] * n + record["token_ids"] for n, record in zip(missing, records)],
        "attention_mask": [[0] * n + [1] * (longest - n) for n in missing],
    }
    if "segment_ids" in records[0]:
        inputs["token_type_ids"] = [[0] * n + record["segment_ids"] for n, record in zip(missing, records)]
        # What UniLM generates is of type 1 unless told otherwise.
        if MODES[case] == "causal":
            inputs["generated_token_type_ids"] = [generated_type(case, record) for record in records]
    model.generation_config.eos_token_id = eos
    out = model.generate(
        **{name: torch.tensor(value) for name, value in inputs.items()},
        max_new_tokens=records[0]["maxlen"],
        do_sample=False,
        pad_token_id=0,
        length_penalty=0.0 if settings.get("num_beams", 1) > 1 else None,
        **settings,
    )
    return out[:, longest:].tolist()


CACHES = {"cache": {}, "no cache": {"use_cache": False}, "static": {"cache_implementation": "static"}}


@pytest.mark.parametrize("settings", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize(
    ("case", "back_end"), [run for run in RUNS if run[0] in DECODED and run[1] != "flex_attention"]
)
def test_greedy(
    load_model: LoadModel, decode: Callable[..., Any], case: str, back_end: str, settings: dict[str, Any]
) -> None:
    """All greedy records, in one batch with padding on the left.

    generate stops at the first end id, the originals at the ``min_ends``-th from ``minlen`` on: so it runs without an
    end id to ``maxlen``, and the originals' rule cuts what it gives.
    """
    records = [record for record in decode(case) if record["topk"] == 1]
    assert len({len(record["token_ids"]) for record in records}) > 1
    model = load_model(case, torch.float32, back_end)
    for record, ids in zip(records, generate(model, case, records, None, **settings)):
        assert cut(ids, record) == record["output_ids"]


def same_stopping_rule(record: dict[str, Any]) -> bool:
    """Whether generate has to end where the original does.

    They differ in two ways. ``min_ends`` or ``minlen`` above 1: generate ends a hypothesis at its first end id. And a
    hypothesis that ends without being the best: the original throws it away and goes on with a narrower beam, which
    shows as a step of fewer than ``topk`` hypotheses in ``beams_before_each_step``, while generate keeps it as a
    candidate. Where the original returns early, the best has ended, and nothing can overtake it, as scores only fall.
    """
    full = all(len(step) == record["topk"] for step in record["beams_before_each_step"][1:])
    return full and record["min_ends"] == record["minlen"] == 1


@pytest.mark.parametrize("settings", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize("topk", [1, 3])
@pytest.mark.parametrize("case", DECODED)
def test_generate_with_the_end_id(
    load_model: LoadModel, decode: Callable[..., Any], case: str, topk: int, settings: dict[str, Any]
) -> None:
    """Greedy and beam search; `test_original_beam_search` has the records that this one must leave out."""
    records = [record for record in decode(case) if record["topk"] == topk and same_stopping_rule(record)]
    assert len(records) >= 2
    model = load_model(case, torch.float32)
    for record in records:
        [ids] = generate(model, case, [record], record["end_id"], num_beams=topk, **settings)
        length = len(record["output_ids"])
        assert ids[:length] == record["output_ids"]
        assert not any(ids[length:])


def test_beams_in_a_padded_batch(load_model: LoadModel, decode: Callable[..., Any]) -> None:
    """Records of prompts of different lengths together give what each gives alone."""
    for case, count in (("roformer_unilm", 2), ("roformer_lm", 2)):
        records = [record for record in decode(case) if record["topk"] == 3 and record["end_id"] == 3]
        assert len({len(record["token_ids"]) for record in records}) == count
        found = generate(load_model(case, torch.float32), case, records, 3, num_beams=3)
        assert found == [record["output_ids"] for record in records]


def original_beam_search(model: Any, case: str, record: dict[str, Any]) -> tuple[list[int], list[list[list[int]]]]:
    """The originals' search, step by step: what it returns, and the hypotheses before each step."""
    topk, beams, scores, steps = record["topk"], [[]], torch.zeros(1, dtype=torch.float64), []
    prompt, new = record["token_ids"], generated_type(case, record)
    for _ in range(record["maxlen"]):
        steps.append(beams)
        ids = torch.tensor([prompt + beam for beam in beams])
        types = None
        if new is not None:
            types = torch.tensor([record.get("segment_ids", [0] * len(prompt)) + [new] * len(beam) for beam in beams])
        with torch.no_grad():
            logits = model(ids, token_type_ids=types).logits[:, -1]
        totals = scores[:, None] + torch.log(logits.double().softmax(-1) + 1e-12)
        scores, index = totals.flatten().topk(topk)
        beams = [[*beams[i // totals.shape[1]], i % totals.shape[1]] for i in index.tolist()]
        ends = [beam.count(record["end_id"]) for beam in beams]
        done = [beam[-1] == record["end_id"] and n >= record["min_ends"] for beam, n in zip(beams, ends)]
        if len(beams[0]) >= record["minlen"]:
            # topk sorts: the first is the best.
            if done[0]:
                return beams[0], steps
            scores = scores[~torch.tensor(done)]
            beams = [beam for beam, ended in zip(beams, done) if not ended]
            topk = len(beams)
    return beams[0], steps


@pytest.mark.parametrize(("case", "index"), read_records())
def test_original_beam_search(load_model: LoadModel, decode: Callable[..., Any], case: str, index: int) -> None:
    """Our logits under the originals' search: all records, with every hypothesis on the way."""
    record = decode(case)[index]
    ids, steps = original_beam_search(load_model(case), case, record)
    assert ids == record["output_ids"]
    assert [sorted(step) for step in steps] == [sorted(step) for step in record["beams_before_each_step"]]
