from .head_learning_rate import HeadLearningRate as HeadLearningRate
from .model_card.callback import ModelCardCallback as ModelCardCallback
from .model_card.facts import CardFacts as CardFacts, CardFile as CardFile
from .model_card.readme import rename_card as rename_card
from .penalty import PenaltyTrainer as PenaltyTrainer, penalty_of_name as penalty_of_name
from .random_positions import (
    DataCollatorWithRandomPositions as DataCollatorWithRandomPositions,
    RandomPositionsTrainer as RandomPositionsTrainer,
)
from .residual_ramp import ResidualRamp as ResidualRamp
from .stream_trainer import StreamTrainer as StreamTrainer
from .streamed_batches import StreamedBatches as StreamedBatches
