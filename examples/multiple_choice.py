"""Multiple choice in Python: idioms for blanks, no idiom twice in a group, Transformers' pipeline.

    python examples/multiple_choice.py --train-file train.json --validation-file dev.json --model FOLDER_OR_NAME

Without files it trains on a few invented passages, and without a model a tiny RoFormer from scratch.
"""

import argparse
import random
from typing import Any

from transformers import AutoTokenizer, TrainingArguments, pipeline, set_seed

import hf_ext
from hf_ext.tasks.multiple_choice import (
    DECODINGS,
    ChoiceEncoder,
    DataCollatorForChoices,
    MultipleChoiceTrainer,
    choice_scores,
    read_choices,
)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file", help="lines of our own, C3 or ChID")
parser.add_argument("--validation-file", help="the same")
parser.add_argument("--model", help="any encoder: name on the Hub or folder")
parser.add_argument("--output-dir", default="choice-model")
parser.add_argument("--max-steps", type=int, default=150)
arguments = parser.parse_args()
set_seed(0)

train: list[dict[str, Any]]
if arguments.train_file:
    train = read_choices(arguments.train_file)
    validation = read_choices(arguments.validation_file or arguments.train_file)
else:
    idioms = {"画蛇添足": "多此一举", "不约而同": "想到一起", "本末倒置": "轻重不分", "急功近利": "只看眼前"}
    drawn = random.Random(0)
    train = []
    for group in range(40):
        choices = drawn.sample(list(idioms), 4)
        for label in drawn.sample(range(4), 2):
            text = f"这样{idioms[choices[label]]}，真是#idiom1#"
            train.append({"text": text, "blank": "#idiom1#", "choices": choices, "group": group, "label": label})
    train, validation = train[:60], train[60:]

if arguments.model:
    rate, tokenizer = 2e-5, AutoTokenizer.from_pretrained(arguments.model)
    model = hf_ext.AutoModelForLinearChoice.from_pretrained(arguments.model)
else:
    texts = (text for row in train for text in (row["text"], row.get("question", ""), *row["choices"]))
    rate, tokenizer = 2e-3, hf_ext.build_char_tokenizer(texts)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **size)
    model = hf_ext.AutoModelForLinearChoice.from_config(config)

trainer = MultipleChoiceTrainer(
    model=model,
    args=TrainingArguments(
        arguments.output_dir,
        max_steps=arguments.max_steps,
        learning_rate=rate,
        per_device_train_batch_size=8,
        report_to="none",
        save_strategy="no",
    ),
    train_dataset=train,
    eval_dataset=validation,
    data_collator=DataCollatorForChoices(ChoiceEncoder(tokenizer, max_length=64)),
    processing_class=tokenizer,
)
trainer.train()
print(f"accuracy: {trainer.evaluate()['eval_accuracy']:.3f}")

trainer.save_model()
tokenizer.save_pretrained(arguments.output_dir)
pick: Any = pipeline("multiple-choice", model=arguments.output_dir)
for row, found in zip(validation[:2], pick(validation[:2])):
    print(row["text"], "->", found[0]["choice"])
logits = pick.score_choices(validation)
if all(len(row) == len(logits[0]) for row in logits):
    groups, labels = [row.get("group") for row in validation], [row["label"] for row in validation]
    for decoding in DECODINGS:
        print(f"{decoding}: {choice_scores(logits, labels, groups, decoding)['accuracy']:.3f}")
