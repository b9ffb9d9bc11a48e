"""A classifier with a loss by name: a small RoFormer learns what invented sentences speak of.

    python examples/losses.py --loss focal --option gamma=1.0
    python examples/losses.py --loss multilabel_softmax
    python examples/losses.py --loss cross_entropy --r-drop 4

With ``--encoder`` it fine-tunes a checkpoint on the Hub or in a folder, of any family. Losses of one class a row learn
the number of kinds of entities in a sentence, those of several which kinds these are. See docs/losses.md.
"""

import argparse
import json

import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

import hf_ext
from hf_ext.losses import for_trainer
from hf_ext.metrics import calibrate_thresholds

ONE_CLASS = ("cross_entropy", "dice", "exact", "focal", "logit_adjusted", "noise_cross_entropy", "smooth_accuracy")
SEVERAL = ("binary_dice", "binary_focal", "multilabel_softmax", "smooth_f1", "soft_multilabel_softmax")

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--loss", default="multilabel_softmax", choices=ONE_CLASS + SEVERAL)
parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the loss, in JSON")
parser.add_argument("--r-drop", type=float, help="run R-Drop with this weight of the divergence")
parser.add_argument("--encoder", help="name on the Hub or folder")
parser.add_argument("--output-dir", default="losses-model")
parser.add_argument("--max-steps", type=int, default=200)
arguments = parser.parse_args()

train, validation = hf_ext.generate_samples(2000, seed=0), hf_ext.generate_samples(300, seed=1)
kinds = sorted({entity["label"] for sample in train for entity in sample["entities"]})
several = arguments.loss in SEVERAL
names = kinds if several else [f"{count} kinds" for count in range(len(kinds) + 1)]
settings = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}

if arguments.encoder:
    rate, tokenizer = 3e-5, AutoTokenizer.from_pretrained(arguments.encoder)
    model = AutoModelForSequenceClassification.from_pretrained(arguments.encoder, **settings)
else:
    rate, tokenizer = 1e-3, hf_ext.build_char_tokenizer(sample["text"] for sample in train)
    size = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256}
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **size, **settings)
    model = AutoModelForSequenceClassification.from_config(config)


def label(sample):
    found = {entity["label"] for entity in sample["entities"]}
    return [float(kind in found) for kind in kinds] if several else len(found)


def encode(samples):
    rows = tokenizer([sample["text"] for sample in samples], truncation=True, max_length=128)
    return Dataset.from_dict({**rows, "labels": [label(sample) for sample in samples]})


options = {name: json.loads(value) for name, _, value in (option.partition("=") for option in arguments.option)}
train_rows = encode(train)
if arguments.loss == "logit_adjusted":
    # Counts, and one more for classes that do not occur.
    counts = torch.bincount(torch.tensor(train_rows["labels"][:]), minlength=len(names)) + 1
    options.setdefault("prior", counts.tolist())
trainer_class, more = (Trainer, {}) if arguments.r_drop is None else (hf_ext.RDropTrainer, {"alpha": arguments.r_drop})
trainer = trainer_class(
    model=model,
    args=TrainingArguments(
        arguments.output_dir,
        max_steps=arguments.max_steps,
        learning_rate=rate,
        per_device_train_batch_size=16,
        report_to="none",
    ),
    train_dataset=train_rows,
    processing_class=tokenizer,
    data_collator=DataCollatorWithPadding(tokenizer),
    compute_loss_func=for_trainer(arguments.loss, **options),
    **more,
)
trainer.train()
trainer.save_model()

scores = trainer.predict(encode(validation))
if several:
    found, true = scores.predictions > 0, scores.label_ids == 1
    print(f"F1: {2 * (found & true).sum() / (found.sum() + true.sum()):.4f}")
    thresholds, best = calibrate_thresholds(scores.predictions, scores.label_ids.astype(int))
    for name, threshold, f1 in zip(names, thresholds, best):
        print(f"{name}: F1 {f1:.4f} above {threshold:.2f}")
else:
    print(f"accuracy: {(scores.predictions.argmax(-1) == scores.label_ids).mean():.4f}")
