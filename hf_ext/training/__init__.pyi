from .adversarial import AdversarialTrainer as AdversarialTrainer, fgm_delta as fgm_delta
from .article_optimizer import ArticleOptimizerTrainer as ArticleOptimizerTrainer
from .averaged_weights import EMACallback as EMACallback
from .divergences import (
    clean_divergence as clean_divergence,
    clean_next_token_divergence as clean_next_token_divergence,
    clean_span_divergence as clean_span_divergence,
    next_token_divergence as next_token_divergence,
    output_divergence as output_divergence,
    pointer_tables_divergence as pointer_tables_divergence,
    span_divergence as span_divergence,
)
from .head_learning_rate import HeadLearningRate as HeadLearningRate
from .learning_rates import LearningRatesTrainer as LearningRatesTrainer
from .lora import LoraTrainer as LoraTrainer
from .model_card.callback import ModelCardCallback as ModelCardCallback
from .model_card.facts import CardFacts as CardFacts, CardFile as CardFile
from .model_card.readme import rename_card as rename_card
from .parameter_groups import learning_rate_factors as learning_rate_factors
from .penalty import PenaltyTrainer as PenaltyTrainer, penalty_of_name as penalty_of_name
from .random_positions import (
    DataCollatorWithRandomPositions as DataCollatorWithRandomPositions,
    RandomPositionsTrainer as RandomPositionsTrainer,
)
from .replacement_schedule import ReplacementSchedule as ReplacementSchedule
from .residual_ramp import ResidualRamp as ResidualRamp
from .stream_trainer import StreamTrainer as StreamTrainer
from .streamed_batches import StreamedBatches as StreamedBatches
from .theseus import Theseus as Theseus, attach_successor as attach_successor
from .unfactored_adafactor import UnfactoredAdafactor as UnfactoredAdafactor
from .virtual_adversarial import (
    VirtualAdversarialTrainer as VirtualAdversarialTrainer,
    virtual_adversarial_delta as virtual_adversarial_delta,
)
