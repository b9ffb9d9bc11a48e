from .span_encoding import (
    decode_dataset as decode_dataset,
)
from .span_encoding import (
    decode_spans as decode_spans,
)
