from .crf import (
    ConditionalRandomField as ConditionalRandomField,
    MaximumEntropyMarkovModel as MaximumEntropyMarkovModel,
)
from .global_pointer import (
    EfficientGlobalPointer as EfficientGlobalPointer,
    GlobalPointer as GlobalPointer,
)
