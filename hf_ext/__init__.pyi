from .conversion import (
    convert_release as convert_release,
    export_release as export_release,
)
from .data.char_vocabulary import build_char_tokenizer as build_char_tokenizer
from .data.span_collator import DataCollatorForSpanExtraction as DataCollatorForSpanExtraction
from .data.span_encoding import SpanEncoder as SpanEncoder
from .enlargement.enlarge import enlarge as enlarge
from .hub.sentence_transformers_folder import save_for_sentence_transformers as save_for_sentence_transformers
from .models.flash import (
    FLASHCache as FLASHCache,
    FLASHConfig as FLASHConfig,
    FLASHForCausalLM as FLASHForCausalLM,
    FLASHForMaskedLM as FLASHForMaskedLM,
    FLASHForMultipleChoice as FLASHForMultipleChoice,
    FLASHForQuestionAnswering as FLASHForQuestionAnswering,
    FLASHForSequenceClassification as FLASHForSequenceClassification,
    FLASHForTokenClassification as FLASHForTokenClassification,
    FLASHModel as FLASHModel,
)
from .models.gau_alpha import (
    GAUAlphaConfig as GAUAlphaConfig,
    GAUAlphaForMaskedLM as GAUAlphaForMaskedLM,
    GAUAlphaForMultipleChoice as GAUAlphaForMultipleChoice,
    GAUAlphaForQuestionAnswering as GAUAlphaForQuestionAnswering,
    GAUAlphaForSequenceClassification as GAUAlphaForSequenceClassification,
    GAUAlphaForTokenClassification as GAUAlphaForTokenClassification,
    GAUAlphaModel as GAUAlphaModel,
)
from .models.gpt_cdial import (
    CDialGPTConfig as CDialGPTConfig,
    CDialGPTForCausalLM as CDialGPTForCausalLM,
    CDialGPTModel as CDialGPTModel,
)
from .models.linear_roformer import (
    LinearRoFormerCache as LinearRoFormerCache,
    LinearRoFormerConfig as LinearRoFormerConfig,
    LinearRoFormerForCausalLM as LinearRoFormerForCausalLM,
    LinearRoFormerForMaskedLM as LinearRoFormerForMaskedLM,
    LinearRoFormerForMultipleChoice as LinearRoFormerForMultipleChoice,
    LinearRoFormerForQuestionAnswering as LinearRoFormerForQuestionAnswering,
    LinearRoFormerForSequenceClassification as LinearRoFormerForSequenceClassification,
    LinearRoFormerForTokenClassification as LinearRoFormerForTokenClassification,
    LinearRoFormerModel as LinearRoFormerModel,
)
from .models.nezha import (
    NezhaConfig as NezhaConfig,
    NezhaForCausalLM as NezhaForCausalLM,
    NezhaForMaskedLM as NezhaForMaskedLM,
    NezhaForMultipleChoice as NezhaForMultipleChoice,
    NezhaForQuestionAnswering as NezhaForQuestionAnswering,
    NezhaForSequenceClassification as NezhaForSequenceClassification,
    NezhaForTokenClassification as NezhaForTokenClassification,
    NezhaModel as NezhaModel,
)
from .models.roformer import (
    RoFormerConfig as RoFormerConfig,
    RoFormerForCausalLM as RoFormerForCausalLM,
    RoFormerForMaskedLM as RoFormerForMaskedLM,
    RoFormerForMultipleChoice as RoFormerForMultipleChoice,
    RoFormerForParaphrase as RoFormerForParaphrase,
    RoFormerForQuestionAnswering as RoFormerForQuestionAnswering,
    RoFormerForSequenceClassification as RoFormerForSequenceClassification,
    RoFormerForTokenClassification as RoFormerForTokenClassification,
    RoFormerModel as RoFormerModel,
)
from .models.rope_vit import (
    RoPEViTConfig as RoPEViTConfig,
    RoPEViTForImageClassification as RoPEViTForImageClassification,
    RoPEViTModel as RoPEViTModel,
)
from .models.t5_pegasus import (
    T5PegasusConfig as T5PegasusConfig,
    T5PegasusEncoderModel as T5PegasusEncoderModel,
    T5PegasusForConditionalGeneration as T5PegasusForConditionalGeneration,
    T5PegasusModel as T5PegasusModel,
)
from .models.t_ta import (
    TTAConfig as TTAConfig,
    TTAForMaskedLM as TTAForMaskedLM,
    TTAForMultipleChoice as TTAForMultipleChoice,
    TTAForQuestionAnswering as TTAForQuestionAnswering,
    TTAForSequenceClassification as TTAForSequenceClassification,
    TTAForTokenClassification as TTAForTokenClassification,
    TTAModel as TTAModel,
)
from .models.token_mixer import (
    TokenMixerConfig as TokenMixerConfig,
    TokenMixerForMaskedLM as TokenMixerForMaskedLM,
    TokenMixerForMultipleChoice as TokenMixerForMultipleChoice,
    TokenMixerForQuestionAnswering as TokenMixerForQuestionAnswering,
    TokenMixerForSequenceClassification as TokenMixerForSequenceClassification,
    TokenMixerForTokenClassification as TokenMixerForTokenClassification,
    TokenMixerModel as TokenMixerModel,
)
from .models.unilm_bert import (
    UniLMBertConfig as UniLMBertConfig,
    UniLMBertForCausalLM as UniLMBertForCausalLM,
    UniLMBertForMaskedLM as UniLMBertForMaskedLM,
    UniLMBertForMultipleChoice as UniLMBertForMultipleChoice,
    UniLMBertForParaphrase as UniLMBertForParaphrase,
    UniLMBertForQuestionAnswering as UniLMBertForQuestionAnswering,
    UniLMBertForSequenceClassification as UniLMBertForSequenceClassification,
    UniLMBertForTokenClassification as UniLMBertForTokenClassification,
    UniLMBertModel as UniLMBertModel,
)
from .models.univae import (
    UniVAEConfig as UniVAEConfig,
    UniVAEForTextAutoencoding as UniVAEForTextAutoencoding,
    UniVAEModel as UniVAEModel,
)
from .models.urpe import (
    URPEConfig as URPEConfig,
    URPEForCausalLM as URPEForCausalLM,
    URPEForMaskedLM as URPEForMaskedLM,
    URPEForMultipleChoice as URPEForMultipleChoice,
    URPEForQuestionAnswering as URPEForQuestionAnswering,
    URPEForSequenceClassification as URPEForSequenceClassification,
    URPEForTokenClassification as URPEForTokenClassification,
    URPEModel as URPEModel,
)
from .ops.precision import inference_dtype as inference_dtype
from .tasks.base.metric_files import metric_path as metric_path
from .tasks.classification.head import AutoModelForLinearClassification as AutoModelForLinearClassification
from .tasks.dialogue.chat import Chat as Chat
from .tasks.entities.samples import generate_samples as generate_samples
from .tasks.entities.span_head import AutoModelForSpanExtraction as AutoModelForSpanExtraction
from .tasks.entities.tag_head import AutoModelForSequenceLabeling as AutoModelForSequenceLabeling
from .tasks.events.head import AutoModelForEventExtraction as AutoModelForEventExtraction
from .tasks.events.tag_head import AutoModelForEventTagging as AutoModelForEventTagging
from .tasks.multiple_choice.head import AutoModelForLinearChoice as AutoModelForLinearChoice
from .tasks.reading_comprehension.head import AutoModelForReadingComprehension as AutoModelForReadingComprehension
from .tasks.relations.head import AutoModelForRelationExtraction as AutoModelForRelationExtraction
from .tasks.relations.pointer_head import AutoModelForHalfPointerRelations as AutoModelForHalfPointerRelations
from .tasks.similarity.trainer import SimilarityTrainer as SimilarityTrainer
from .tasks.similarity.whitening import Whitening as Whitening
from .tokenization import JiebaWordPieceTokenizer as JiebaWordPieceTokenizer
from .training.adversarial import AdversarialTrainer as AdversarialTrainer
from .training.parameter_groups import head_optimizer as head_optimizer
from .training.r_drop import RDropTrainer as RDropTrainer
from .training.virtual_adversarial import VirtualAdversarialTrainer as VirtualAdversarialTrainer
from .version import __version__ as __version__
