from .conversion import (
    convert_release as convert_release,
)
from .conversion import (
    export_release as export_release,
)
from .data.char_vocabulary import build_char_tokenizer as build_char_tokenizer
from .data.span_collator import DataCollatorForSpanExtraction as DataCollatorForSpanExtraction
from .data.span_encoding import SpanEncoder as SpanEncoder
from .hub.sentence_transformers_folder import save_for_sentence_transformers as save_for_sentence_transformers
from .models.flash import (
    FLASHCache as FLASHCache,
)
from .models.flash import (
    FLASHConfig as FLASHConfig,
)
from .models.flash import (
    FLASHForCausalLM as FLASHForCausalLM,
)
from .models.flash import (
    FLASHForMaskedLM as FLASHForMaskedLM,
)
from .models.flash import (
    FLASHForMultipleChoice as FLASHForMultipleChoice,
)
from .models.flash import (
    FLASHForQuestionAnswering as FLASHForQuestionAnswering,
)
from .models.flash import (
    FLASHForSequenceClassification as FLASHForSequenceClassification,
)
from .models.flash import (
    FLASHForTokenClassification as FLASHForTokenClassification,
)
from .models.flash import (
    FLASHModel as FLASHModel,
)
from .models.gau_alpha import (
    GAUAlphaConfig as GAUAlphaConfig,
)
from .models.gau_alpha import (
    GAUAlphaForMaskedLM as GAUAlphaForMaskedLM,
)
from .models.gau_alpha import (
    GAUAlphaForMultipleChoice as GAUAlphaForMultipleChoice,
)
from .models.gau_alpha import (
    GAUAlphaForQuestionAnswering as GAUAlphaForQuestionAnswering,
)
from .models.gau_alpha import (
    GAUAlphaForSequenceClassification as GAUAlphaForSequenceClassification,
)
from .models.gau_alpha import (
    GAUAlphaForTokenClassification as GAUAlphaForTokenClassification,
)
from .models.gau_alpha import (
    GAUAlphaModel as GAUAlphaModel,
)
from .models.gpt_cdial import (
    CDialGPTConfig as CDialGPTConfig,
)
from .models.gpt_cdial import (
    CDialGPTForCausalLM as CDialGPTForCausalLM,
)
from .models.gpt_cdial import (
    CDialGPTModel as CDialGPTModel,
)
from .models.nezha import (
    NezhaConfig as NezhaConfig,
)
from .models.nezha import (
    NezhaForCausalLM as NezhaForCausalLM,
)
from .models.nezha import (
    NezhaForMaskedLM as NezhaForMaskedLM,
)
from .models.nezha import (
    NezhaForMultipleChoice as NezhaForMultipleChoice,
)
from .models.nezha import (
    NezhaForQuestionAnswering as NezhaForQuestionAnswering,
)
from .models.nezha import (
    NezhaForSequenceClassification as NezhaForSequenceClassification,
)
from .models.nezha import (
    NezhaForTokenClassification as NezhaForTokenClassification,
)
from .models.nezha import (
    NezhaModel as NezhaModel,
)
from .models.roformer import (
    RoFormerConfig as RoFormerConfig,
)
from .models.roformer import (
    RoFormerForCausalLM as RoFormerForCausalLM,
)
from .models.roformer import (
    RoFormerForMaskedLM as RoFormerForMaskedLM,
)
from .models.roformer import (
    RoFormerForMultipleChoice as RoFormerForMultipleChoice,
)
from .models.roformer import (
    RoFormerForParaphrase as RoFormerForParaphrase,
)
from .models.roformer import (
    RoFormerForQuestionAnswering as RoFormerForQuestionAnswering,
)
from .models.roformer import (
    RoFormerForSequenceClassification as RoFormerForSequenceClassification,
)
from .models.roformer import (
    RoFormerForTokenClassification as RoFormerForTokenClassification,
)
from .models.roformer import (
    RoFormerModel as RoFormerModel,
)
from .models.t5_pegasus import (
    T5PegasusConfig as T5PegasusConfig,
)
from .models.t5_pegasus import (
    T5PegasusEncoderModel as T5PegasusEncoderModel,
)
from .models.t5_pegasus import (
    T5PegasusForConditionalGeneration as T5PegasusForConditionalGeneration,
)
from .models.t5_pegasus import (
    T5PegasusModel as T5PegasusModel,
)
from .models.unilm_bert import (
    UniLMBertConfig as UniLMBertConfig,
)
from .models.unilm_bert import (
    UniLMBertForCausalLM as UniLMBertForCausalLM,
)
from .models.unilm_bert import (
    UniLMBertForMaskedLM as UniLMBertForMaskedLM,
)
from .models.unilm_bert import (
    UniLMBertForMultipleChoice as UniLMBertForMultipleChoice,
)
from .models.unilm_bert import (
    UniLMBertForParaphrase as UniLMBertForParaphrase,
)
from .models.unilm_bert import (
    UniLMBertForQuestionAnswering as UniLMBertForQuestionAnswering,
)
from .models.unilm_bert import (
    UniLMBertForSequenceClassification as UniLMBertForSequenceClassification,
)
from .models.unilm_bert import (
    UniLMBertForTokenClassification as UniLMBertForTokenClassification,
)
from .models.unilm_bert import (
    UniLMBertModel as UniLMBertModel,
)
from .tasks.dialogue.chat import Chat as Chat
from .tasks.entities.samples import generate_samples as generate_samples
from .tasks.entities.span_head import AutoModelForSpanExtraction as AutoModelForSpanExtraction
from .tasks.entities.tag_head import AutoModelForSequenceLabeling as AutoModelForSequenceLabeling
from .tasks.events.head import AutoModelForEventExtraction as AutoModelForEventExtraction
from .tasks.reading_comprehension.head import AutoModelForReadingComprehension as AutoModelForReadingComprehension
from .tasks.relations.head import AutoModelForRelationExtraction as AutoModelForRelationExtraction
from .tasks.similarity.trainer import SimilarityTrainer as SimilarityTrainer
from .tasks.similarity.whitening import Whitening as Whitening
from .tokenization import JiebaWordPieceTokenizer as JiebaWordPieceTokenizer
from .training.parameter_groups import head_optimizer as head_optimizer
from .training.r_drop import RDropTrainer as RDropTrainer
from .version import __version__ as __version__
