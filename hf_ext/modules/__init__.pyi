from .conditional_norm import ConditionalLayerNorm as ConditionalLayerNorm
from .crf import (
    ConditionalRandomField as ConditionalRandomField,
    MaximumEntropyMarkovModel as MaximumEntropyMarkovModel,
)
from .global_pointer import (
    EfficientGlobalPointer as EfficientGlobalPointer,
    GlobalPointer as GlobalPointer,
)
from .half_pointer import HalfPointers as HalfPointers
from .initialization import (
    deepnorm_constants as deepnorm_constants,
    initialize_ as initialize_,
    second_moment as second_moment,
    set_residual_scale as set_residual_scale,
    truncated_normal_ as truncated_normal_,
    truncated_std as truncated_std,
)
from .ntk_form import (
    NTKForm as NTKForm,
    from_ntk_form as from_ntk_form,
    to_ntk_form as to_ntk_form,
)
