"""Opens models of multiple choice with either head."""

from transformers import AutoModelForMultipleChoice

from hf_ext.tasks.base.head_choice import either_class
from hf_ext.tasks.multiple_choice.head import AutoModelForLinearChoice

# Any encoder can have the linear one, and it is the article's.
EitherModelForMultipleChoice = either_class(AutoModelForMultipleChoice, AutoModelForLinearChoice, default="first_token")
"""What opens a model of multiple choice by the head that it has; an encoder alone gets the linear one.

See :func:`hf_ext.tasks.base.head_choice.either_class`.
"""
