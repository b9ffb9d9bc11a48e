from .crf import (
    ConditionalRandomField as ConditionalRandomField,
)
from .crf import (
    MaximumEntropyMarkovModel as MaximumEntropyMarkovModel,
)
from .global_pointer import (
    EfficientGlobalPointer as EfficientGlobalPointer,
)
from .global_pointer import (
    GlobalPointer as GlobalPointer,
)
