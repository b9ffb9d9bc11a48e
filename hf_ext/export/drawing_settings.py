"""How a model draws what it writes: what of its generation settings counts."""

import copy
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Self

from hf_ext.export.writing_settings import WritingSettings

# Settings that would leave out other tokens, and the values at which they leave out none; min_length counts the prompt.
_PLAIN = {"top_k": 0, "min_p": 0.0, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "min_length": 0}


@dataclass(frozen=True)
class DrawingSettings(WritingSettings):
    """How texts behind a prompt are drawn; the first token, which lengths count, stands for the prompt's last.

    Attributes:
        top_p: share of the likeliest tokens together that are drawn from.
        temperature: that scores are divided by.
        num_samples: texts to draw.

    Raises:
        ValueError: naming the setting and its value, if it must not have it.
    """

    top_p: float = 1.0
    temperature: float = 1.0
    num_samples: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {self.num_samples}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")
        if not 0 < self.temperature < inf:
            raise ValueError(f"temperature must be positive, got {self.temperature}")

    @classmethod
    def of(cls, generation: Any) -> Self:
        """What `transformers.GenerationConfig` says of a model that draws.

        Raises:
            ValueError: naming the setting, if one has an effect that is none of these.
        """
        for name, plain in {**_PLAIN, "num_beams": 1}.items():
            if (value := getattr(generation, name, None)) not in (None, plain):
                raise ValueError(f"{name} must not be set for a model to be exported to ONNX, got {value!r}")
        searching = copy.deepcopy(generation)
        searching.do_sample = False
        drawn = {name: getattr(generation, name) for name in ("top_p", "temperature")}
        return replace(super().of(searching), **{name: value for name, value in drawn.items() if value is not None})
