from .span_encoding import (
    decode_span_dataset as decode_span_dataset,
)
from .span_encoding import (
    decode_spans as decode_spans,
)
from .text_to_text import (
    decode_summaries as decode_summaries,
)
from .text_to_text import (
    encode_summaries as encode_summaries,
)
