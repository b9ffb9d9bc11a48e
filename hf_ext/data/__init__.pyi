from .dataset_file import dataset_file as dataset_file
from .drawn_rows import DrawnRows as DrawnRows
from .example_stream import ExampleStream as ExampleStream
from .span_encoding import (
    decode_span_dataset as decode_span_dataset,
    decode_spans as decode_spans,
)
from .text_to_text import (
    decode_summaries as decode_summaries,
    encode_summaries as encode_summaries,
)
