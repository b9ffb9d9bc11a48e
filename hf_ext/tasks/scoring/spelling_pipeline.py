"""The pipeline "spelling-suspicions": texts in, out the tokens that the others do not expect, and what they do."""

from typing import Any

from torch import Tensor

from hf_ext.tasks.base.call_options import check_threshold, check_top_k
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.scoring.likelihood import AutoLanguageModel
from hf_ext.tasks.scoring.pipeline import LanguageModelPipeline, ScoredText


class SpellingPipeline(LanguageModelPipeline):
    """Finds tokens that look wrong beside the others, by T-TA in one pass or by a masked model.

    ``pipeline("spelling-suspicions", model=folder)`` gives for a text, or for each of a list, a list of ``{"start",
    "end", "text", "score", "candidates": [{"text", "score"}]}`` in the order of the text. The score of a token is the
    probability of the likeliest candidate less its own, given all other tokens of the text as they stand; that of a
    candidate its probability. Two wrong tokens side by side hide each other in part, and what is only one possible word
    among many is not found.

    Args (of the constructor or of a call):
        threshold: least score of what is given, in [0, 1); default 0.5.
        top_k: most candidates of a token; default 3.
        tokens_per_batch: most tokens run at a time; default 2048.
    """

    found = "suspicions"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.prediction == "causal":
            raise ValueError(
                "model must predict a token from both sides, as T-TA or a masked model, "
                f"got {type(self.model).__name__}"
            )

    def _sanitize_parameters(  # type: ignore[override]
        self, threshold: float | None = None, top_k: int | None = None, tokens_per_batch: int | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        check_threshold(threshold)
        check_top_k(top_k)
        before, during, after = super()._sanitize_parameters(tokens_per_batch=tokens_per_batch)
        before["offsets"] = True
        return (
            before,
            during | ({} if top_k is None else {"top_k": top_k}),
            after | ({} if threshold is None else {"threshold": threshold}),
        )

    def measure(self, logits: Tensor, own: Tensor, top_k: int = 3) -> dict[str, Tensor]:  # type: ignore[override]
        """The probability of each token, and those and the ids of the likeliest that are no special ones."""
        probabilities = logits.softmax(-1)
        candidates = probabilities.clone()
        candidates[:, [one for one in self.tokenizer.all_special_ids if one < candidates.shape[-1]]] = -1
        best = candidates.topk(min(top_k, candidates.shape[-1]))
        return {
            "own": probabilities.gather(-1, own[:, None]).squeeze(-1),
            "best": best.values,
            "ids": best.indices,
        }

    def postprocess(  # type: ignore[override]
        self, model_outputs: tuple[ScoredText, dict[int, Any]], threshold: float = 0.5
    ) -> list[dict[str, Any]]:
        """The suspicious tokens of a text."""
        row, measured = model_outputs
        found = []
        for place in row.places:
            own, best, ids = measured[place]
            start, end = row.offsets[place]
            score = best[0] - own
            if score > 0 and score >= threshold:
                names = [self.tokenizer.decode([one]).strip() for one in ids]
                candidates = [{"text": name, "score": p} for name, p in zip(names, best) if p >= 0]
                found.append(
                    {"start": start, "end": end, "text": row.text[start:end], "score": score, "candidates": candidates}
                )
        return found


register_task("spelling-suspicions", SpellingPipeline, AutoLanguageModel)
