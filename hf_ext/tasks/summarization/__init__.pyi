from .files import (
    decode_summaries as decode_summaries,
)
from .files import (
    encode_summaries as encode_summaries,
)
from .files import (
    read_summaries as read_summaries,
)
from .job import SummarizationJob as SummarizationJob
from .metrics import (
    summary_metrics as summary_metrics,
)
from .metrics import (
    summary_scores as summary_scores,
)
