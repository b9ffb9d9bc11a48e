"""What of a model goes into graphs, by what its pipeline is called: the inputs, and the numbers that are decoded.

Shapes: B batch, L tokens, C labels, P kinds of links, K tags, N choices, H hidden.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hf_ext.export.graph import Graph, GraphModule, Inputs, Outputs
from hf_ext.export.writing_graphs import WRITERS
from hf_ext.modules.text_vectors import encode_texts
from hf_ext.tasks.base.asked_places import logits_at


def graphs_of(task: str, model: Any, tokenizer: Any, pooling: str) -> list[Graph]:
    """The graphs of a model.

    Args:
        task: the name of its pipeline, one of `EXPORTED`.
        model: in evaluation.
        tokenizer: names its inputs.
        pooling: by which texts become vectors, where they do.
    """
    if task in WRITERS:
        return WRITERS[task](model)
    outputs, names = OUTPUTS[task]
    inputs = ["input_ids", "attention_mask"]
    if task != "multiple-choice" and "token_type_ids" in tokenizer.model_input_names:
        known = inspect.signature(model.base_model.forward).parameters
        inputs += ["token_type_ids"] if "token_type_ids" in known else []
    inputs += ["context_mask"] if task == "reading-comprehension" else []
    inputs += ["places"] if task == "cloze" else []

    def example(batch: int, length: int) -> tuple[Tensor, ...]:
        shape = (batch, batch + 1, length) if task == "multiple-choice" else (batch, length)
        # The same inputs each time, and the caller's random numbers as they were.
        seeded = torch.Generator().manual_seed(0)
        ids = torch.randint(0, model.config.get_text_config().vocab_size, shape, generator=seeded)
        place = torch.arange(length)
        lengths = torch.randint(1, length + 1, (*shape[:-1], 1), generator=seeded)
        # One is as long as the batch is.
        lengths.view(-1)[0] = length
        real = place < lengths
        second = real & (place >= length // 2)
        drawn = {
            "input_ids": ids,
            "attention_mask": real.long(),
            "token_type_ids": second.long(),
            "context_mask": (second & (place > 0)).long(),
            # More masks than texts, so that either number is free.
            "places": torch.arange(batch + 1) % lengths,
        }
        return tuple(drawn[name] for name in inputs)

    read = _pooled_by(pooling) if outputs is None else outputs
    graphs = [Graph("model", GraphModule(model, inputs, read), names, example)]
    if task == "half-pointer-relation-extraction":
        hidden = model.config.get_text_config().hidden_size

        def subjects(batch: int, length: int) -> tuple[Tensor, ...]:
            seeded = torch.Generator().manual_seed(0)
            vectors = torch.randn(batch, length, hidden, generator=seeded)
            return vectors, torch.randint(0, length, (batch, 2), generator=seeded)

        module = GraphModule(model.classifier, ("vectors", "subject"), _object_scores)
        graphs.append(Graph("objects", module, ("objects",), subjects))
    return graphs


def image_graph(model: Any, shape: Sequence[int]) -> Graph:
    """The graph of a model of images.

    Args:
        model: in evaluation.
        shape: of an image, ``[channels, height, width]``.
    """

    def example(batch: int, length: int) -> tuple[Tensor, ...]:
        return (torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0)),)

    return Graph("model", GraphModule(model, ("pixel_values",), _logits), ("logits",), example)


def _span_scores(model: Any, inputs: Inputs) -> tuple[Tensor, ...]:
    return (model.classifier(_encoded(model, inputs), inputs["attention_mask"]),)


def _answer_scores(model: Any, inputs: Inputs) -> tuple[Tensor, ...]:
    return (model.table(_encoded(model, inputs), inputs["attention_mask"], inputs["context_mask"]),)


def _linked_scores(model: Any, inputs: Inputs) -> tuple[Tensor, ...]:
    return tuple(model(**inputs, output_logits=True, return_dict=True).logits)


def _tag_scores(model: Any, inputs: Inputs) -> tuple[Tensor, ...]:
    emissions = model(**inputs, output_logits=True, return_dict=True).logits
    mask = model.tagged(emissions, inputs["input_ids"], inputs["attention_mask"])
    chain = model.classifier.chain
    local, transitions, start, end = chain.potentials(model.limited(emissions, mask), mask)
    zeros = local.new_zeros(chain.num_tags)
    # Of a token that gets no tag they are anything.
    local = local.masked_fill(~mask.unsqueeze(-1), 0)
    return local, transitions, *(zeros if one is None else one for one in (start, end)), mask


def _subject_scores(model: Any, inputs: Inputs) -> tuple[Tensor, ...]:
    # Of padding they are anything: zeros where a model runs unpadded, which a graph does not.
    vectors = _encoded(model, inputs) * inputs["attention_mask"].unsqueeze(-1)
    return vectors, model.classifier.subjects(vectors)


def _object_scores(classifier: Any, inputs: Inputs) -> tuple[Tensor, ...]:
    return (classifier.objects(inputs["vectors"], inputs["subject"]),)


def _logits(model: Any, inputs: Inputs) -> tuple[Tensor, ...]:
    return (model(**inputs, return_dict=True).logits,)


def _word_chances(model: Any, inputs: Inputs) -> tuple[Tensor, ...]:
    own = dict(inputs)
    places = own.pop("places")
    rows = torch.arange(places.shape[0])[:, None].expand_as(places)
    logits = logits_at(model, own, rows.flatten(), places.flatten())
    return (logits.view(*places.shape, -1).log_softmax(-1),)


def _pooled_by(pooling: str) -> Outputs:
    def vectors(model: Any, inputs: Inputs) -> tuple[Tensor, ...]:
        return (encode_texts(model, inputs, pooling),)

    return vectors


def _encoded(model: Any, inputs: Inputs) -> Tensor:
    names = ("input_ids", "attention_mask", "token_type_ids")
    vectors: Tensor = model.encode(*(inputs.get(name) for name in names), None).last_hidden_state
    return vectors


_LINKED = ("spans", "heads", "tails")
_TAGS = ("emissions", "transitions", "start", "end", "mask")

OUTPUTS: dict[str, tuple[Outputs | None, tuple[str, ...]]] = {
    # [B, C, L, L]
    "span-extraction": (_span_scores, ("scores",)),
    # [B, L, K], [K, K], [K], [K] and bool [B, L]
    "sequence-labeling": (_tag_scores, _TAGS),
    "event-tagging": (_tag_scores, _TAGS),
    # [B, C, L, L], and twice [B, P, L, L]
    "relation-extraction": (_linked_scores, _LINKED),
    "event-extraction": (_linked_scores, _LINKED),
    # [B, L, H] and [B, L, 2]; the second graph gives [S, L, P, 2] for S subjects
    "half-pointer-relation-extraction": (_subject_scores, ("vectors", "subjects")),
    # [B, L, L]
    "reading-comprehension": (_answer_scores, ("scores",)),
    # [B, N]
    "multiple-choice": (_logits, ("logits",)),
    # [B, C]
    "classification": (_logits, ("logits",)),
    # [B, k, V] at k places each
    "cloze": (_word_chances, ("log_probs",)),
    # [B, C]
    "image-classes": (_logits, ("logits",)),
    # [B, H]
    "text-embedding": (None, ("vectors",)),
    "text-similarity": (None, ("vectors",)),
}
"""What is read of a model, None what a pooling makes, and the names of the outputs, by the name of its pipeline."""

EXPORTED = frozenset({*OUTPUTS, *WRITERS})
"""The names of the pipelines whose models are exported."""
