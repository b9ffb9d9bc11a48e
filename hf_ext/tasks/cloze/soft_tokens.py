"""P-tuning: a masked language model of which some embeddings alone are trained.

They are rows of the embedding matrix, and so of the output matrix where that is tied to it; all other weights stay
(arXiv 2103.10385; kexue.fm/archives/8295).
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peft import PeftModel


def tune_tokens(model: Any, token_ids: Sequence[int]) -> "PeftModel":
    """The model with the embeddings of some tokens left to be trained, by PEFT's trainable tokens, all else frozen.

    ``merge_and_unload()`` of what this gives is a model of the same class as before.

    Args:
        model: a masked language model.
        token_ids: of the soft tokens, as :func:`soft_token_ids` gives them.

    Raises:
        ValueError: if there are none.
    """
    from peft import TrainableTokensConfig, get_peft_model

    if not token_ids:
        raise ValueError("token_ids must be at least one, got none")
    name = next(name for name, module in model.named_modules() if module is model.get_input_embeddings())
    settings = TrainableTokensConfig(token_indices=list(token_ids), target_modules=[name])
    with warnings.catch_warnings():
        # PEFT asks by its old name whether activations are made again.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        tuned: PeftModel = get_peft_model(model, settings)
    return tuned
