from .span_encoding import (
    decode_span_dataset as decode_span_dataset,
)
from .span_encoding import (
    decode_spans as decode_spans,
)
