"""A small masked language model that experiments on fine-tuning begin with, made by the job of pre-training."""

from functools import cache

from hf_ext import RoFormerConfig
from hf_ext.tasks.pretraining import WholeWordMaskingJob
from studies.pretraining_texts import reviews, texts_of_all
from studies.sources import Sources, write_json_lines

_WIDTH, _LENGTH, _BATCH = 128, 128, 16
_RATE = 2e-3
_HELD_OUT = 100


@cache
def masked_encoder(sources: Sources, layers: int, steps: int, texts: str = "all") -> str:
    """The folder of a RoFormer over characters, 128 wide, that has learnt masked words; made once for all runs.

    Args:
        sources: say where to write, and whether two steps are enough.
        layers: their number.
        steps: of 16 rows of 128 tokens.
        texts: "all", the training texts of the shared data sets, or "reviews", those of them that judge something.
            Neither has labels or texts that are scored.
    """
    file, config = sources.folder / f"{texts}.jsonl", sources.folder / f"{layers} layers"
    write_json_lines(file, ({"text": text} for text in texts_to_learn(sources, texts)))
    RoFormerConfig(
        hidden_size=_WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * _WIDTH,
        max_position_embeddings=_LENGTH,
        attention_probs_dropout_prob=0.0,
        # Tried with one seed and 600 steps: with 0.08 six layers learn no more than how frequent characters are (2 per
        # cent of the masked right, 14 with 0.04); two layers have 12 with 0.02 and 13 with 0.04.
        initializer_range=0.04,
    ).save_pretrained(config)
    # Rows that are shared run faster than texts that do not see each other.
    job = WholeWordMaskingJob(
        file,
        config=str(config),
        max_length=_LENGTH,
        min_count=2,
        held_out=10 if sources.quick else _HELD_OUT,
        packing="together",
        overwrite=True,
    )
    folder = sources.folder / f"masked encoder of {layers} layers, {texts}"
    job.run(
        job.training_arguments(
            folder,
            max_steps=2 if sources.quick else steps,
            per_device_train_batch_size=_BATCH,
            learning_rate=_RATE,
            eval_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        )
    )
    return str(folder)


def texts_to_learn(sources: Sources, texts: str) -> list[str]:
    """Those that `masked_encoder` is made of: data sets share texts, and none is there that experiments score."""
    examples = [
        *(one for name in ("news", "sentiment") for part in ("dev", "test") for one in sources.labelled(name, part)),
        *(one for name in ("resume", "weibo") for part in ("dev", "test") for one in sources.entities(name, part)),
    ]
    scored = {one["text"].strip() for one in examples}
    found = texts_of_all(sources.data) if texts == "all" else reviews(sources.data)
    return [text for text in found if text not in scored]
