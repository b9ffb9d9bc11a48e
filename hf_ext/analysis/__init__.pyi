from .analytic_classifier import (
    AnalyticClassifier as AnalyticClassifier,
    ClassSums as ClassSums,
)
from .backward_bytes import backward_bytes as backward_bytes
from .box_margin import (
    BoxMargin as BoxMargin,
    box_margin as box_margin,
)
from .embedding_dimension import (
    embedding_dimension as embedding_dimension,
    skip_gram_entropy as skip_gram_entropy,
)
from .head_initialization import initialize_head_ as initialize_head_
from .layer_cost import (
    LayerCost as LayerCost,
    crossovers as crossovers,
    head_cost as head_cost,
    layer_cost as layer_cost,
)
from .layer_probe import (
    LayerScore as LayerScore,
    probe_layers as probe_layers,
)
from .layer_time import layer_seconds as layer_seconds
from .map_page import write_score_maps as write_score_maps
from .position_probe import (
    PositionProbe as PositionProbe,
    probe_positions as probe_positions,
)
from .score_maps import (
    ScoreMap as ScoreMap,
    attention_maps as attention_maps,
    span_score_maps as span_score_maps,
)
from .second_moment_probe import (
    Moments as Moments,
    SecondMomentProbe as SecondMomentProbe,
)
from .token_page import write_token_page as write_token_page
from .tokenized_text import (
    TokenizedText as TokenizedText,
    tokenized_text as tokenized_text,
)
from .unargmaxable import (
    UnargmaxableTokens as UnargmaxableTokens,
    unargmaxable_tokens as unargmaxable_tokens,
)
