"""How the original TensorFlow releases of BERT and WoBERT map onto Transformers' BERT; read by `hf_ext.conversion`.

Originals: github.com/google-research/bert, github.com/ZhuiyiTechnology/WoBERT (kexue.fm/archives/7758). WoBERT is BERT
with a vocabulary of words.
"""

from typing import Any

import transformers
from transformers import BertConfig, BertForPreTraining

from hf_ext.models.bert_variables import CONFIG_FIELDS, bert_rows


class BertForMaskedLM(transformers.BertForMaskedLM):
    """Transformers' class of this name with a pooler, which releases without a next-sentence head have too.

    Written under the same name, so that `AutoModel` finds the pooler and `AutoModelForMaskedLM` does without.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = transformers.BertModel(config)
        self.post_init()


class BertModel(transformers.BertModel):
    """Transformers' class of this name without the pooler, which a fine-tuned encoder may lack."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, add_pooling_layer=False)


FAMILIES: tuple[dict[str, Any], ...] = (
    {
        "name": "bert",
        "title": "BERT or WoBERT",
        "table": (
            *bert_rows("bert"),
            ("bert/embeddings/position_embeddings", "bert.embeddings.position_embeddings.weight", "identity"),
            # The originals keep this kernel as [out, in], unlike their others.
            ("cls/seq_relationship/output_weights", "cls.seq_relationship.weight", "identity"),
            ("cls/seq_relationship/output_bias", "cls.seq_relationship.bias", "identity"),
        ),
        "pooler": "bert/pooler/",
        "optional": ("bert/pooler/", "cls/predictions/", "cls/seq_relationship/"),
        "config": BertConfig,
        "models": {
            "bidirectional": (
                BertForPreTraining,
                BertForMaskedLM,
                transformers.BertForMaskedLM,
                transformers.BertModel,
                BertModel,
            )
        },
        "fields": {key: key for key in CONFIG_FIELDS},
        "constants": {"layer_norm_eps": 1e-12},
        "token_fields": {"pad_token_id": "[PAD]"},
        "harmless": {"model_type": "bert"},
        "folder_words": frozenset({"wobert", "roberta"}),
        # Google's Chinese BERT, WoBERT, WoBERT Plus.
        "vocabulary_sizes": frozenset({21128, 33586, 50000}),
    },
)
