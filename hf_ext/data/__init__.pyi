from .dataset_file import dataset_file as dataset_file
from .drawn_rows import DrawnRows as DrawnRows
from .example_stream import ExampleStream as ExampleStream
from .span_encoding import (
    decode_span_dataset as decode_span_dataset,
    decode_spans as decode_spans,
)
from .tag_encoding import (
    TagEncoder as TagEncoder,
    tags_of_text as tags_of_text,
    tags_to_predictions as tags_to_predictions,
)
from .tag_schemes import (
    spans_to_tags as spans_to_tags,
    tags_of_labels as tags_of_labels,
    tags_to_spans as tags_to_spans,
)
from .text_to_text import (
    decode_summaries as decode_summaries,
    encode_summaries as encode_summaries,
)
