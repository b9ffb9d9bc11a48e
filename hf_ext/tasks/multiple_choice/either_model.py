"""Opens models of multiple choice with either head."""

from typing import Any

import torch
from transformers import AutoModelForMultipleChoice

from hf_ext.tasks.base.head_choice import either_class
from hf_ext.tasks.multiple_choice.head import AutoModelForLinearChoice, present_choices


def leave_out_missing_choices(model: Any) -> None:
    """Have a family's own model give choices that are not there the logit -inf, as our head does.

    It takes no mask of choices, and would let one that only fills up a row win.
    """

    model.register_forward_hook(_mask, with_kwargs=True)


def _mask(model: Any, args: Any, kwargs: dict[str, Any], outputs: Any) -> Any:
    seen = kwargs.get("attention_mask")
    if seen is not None:
        outputs["logits"] = outputs["logits"].masked_fill(~present_choices(seen), -torch.inf)
    return outputs


# Any encoder can have the linear one, and it is the article's.
EitherModelForMultipleChoice = either_class(
    AutoModelForMultipleChoice, AutoModelForLinearChoice, default="first_token", finish=leave_out_missing_choices
)
"""What opens a model of multiple choice by the head that it has; an encoder alone gets the linear one.

See :func:`hf_ext.tasks.base.head_choice.either_class`.
"""
