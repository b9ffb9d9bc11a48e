from .decoding import (
    DECODINGS as DECODINGS,
    decode_argmax as decode_argmax,
    decode_assignment as decode_assignment,
    decode_greedy as decode_greedy,
)
from .encoding import (
    ChoiceEncoder as ChoiceEncoder,
    DataCollatorForChoices as DataCollatorForChoices,
)
from .files import read_choices as read_choices
from .job import MultipleChoiceJob as MultipleChoiceJob
from .metrics import choice_scores as choice_scores
from .pipeline import MultipleChoicePipeline as MultipleChoicePipeline
from .trainer import MultipleChoiceTrainer as MultipleChoiceTrainer
