from .averaged_weights import EMACallback as EMACallback
from .head_learning_rate import HeadLearningRate as HeadLearningRate
from .learning_rates import LearningRatesTrainer as LearningRatesTrainer
from .model_card.callback import ModelCardCallback as ModelCardCallback
from .model_card.facts import CardFacts as CardFacts, CardFile as CardFile
from .model_card.readme import rename_card as rename_card
from .parameter_groups import learning_rate_factors as learning_rate_factors
from .random_positions import (
    DataCollatorWithRandomPositions as DataCollatorWithRandomPositions,
    RandomPositionsTrainer as RandomPositionsTrainer,
)
from .replacement_schedule import ReplacementSchedule as ReplacementSchedule
from .stream_trainer import StreamTrainer as StreamTrainer
from .streamed_batches import StreamedBatches as StreamedBatches
from .theseus import Theseus as Theseus, attach_successor as attach_successor
