"""Small releases in the originals' format, made here."""

import json

import torch

from hf_ext.conversion.bundle import write_bundle
from hf_ext.conversion.families import families
from hf_ext.conversion.table import expand, to_variables

SETTINGS = {
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 8,
    "initializer_range": 0.02,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "pooler_type": "first_token_transform",
    "type_vocab_size": 2,
    "vocab_size": 11,
}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "天", "气", "a", "##b", "\u2028", ""]


def write_release(folder, variables, settings=SETTINGS, vocabulary=VOCABULARY):
    folder.mkdir(parents=True)
    (folder / "bert_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    write_bundle(folder / "bert_model.ckpt", variables)
    return folder


def random_variables(name="roformer", seed=0, **settings):
    """Variables of a release, made from a random model by the table read backwards; of the fullest kind there is."""
    family = families()[name]
    mode = next(iter(family.models))
    fields = {key: value for key, value in {**SETTINGS, **settings}.items() if key in family.fields}
    choices = {"attention_mode": mode, "pooler": "tanh" if family.pooler else None}
    chosen = {field: choices[choice] for choice, field in family.choice_fields.items()}
    torch.manual_seed(seed)
    state = family.model_classes(mode)[0](family.config(**fields, **family.constants, **chosen)).state_dict()
    for tensor in state.values():
        torch.nn.init.normal_(tensor)
    rows = expand(family.table, fields["num_hidden_layers"])
    return to_variables([row for row in rows if row.parameter in state], state)
