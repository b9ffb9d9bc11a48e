"""Text classification in Python: any number of classes a text, the multi-label softmax loss, Transformers' pipeline.

    python examples/classification.py --train-file train.jsonl --validation-file valid.jsonl --model FOLDER_OR_NAME

Without files it trains on a few invented sentences, and without a model a tiny RoFormer from scratch.
"""

import argparse
from itertools import product
from typing import Any

from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    pipeline,
    set_seed,
)

import hf_ext
from hf_ext.tasks.classification import (
    classification_compute_metrics,
    encode_labelled_texts,
    label_names,
    read_labelled_texts,
)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file", help='JSON lines {"text", "labels": [...]}')
parser.add_argument("--validation-file", help="the same")
parser.add_argument("--model", help="any encoder: name on the Hub or folder")
parser.add_argument("--output-dir", default="classification-model")
parser.add_argument("--max-steps", type=int, default=150)
arguments = parser.parse_args()
set_seed(0)

if arguments.train_file:
    train = read_labelled_texts(arguments.train_file)
    validation = read_labelled_texts(arguments.validation_file or arguments.train_file, label_names(train))
else:
    words = {"水果": ("苹果", "梨子", "桃子"), "天气": ("下雨", "刮风", "下雪"), "": ("火车", "电影", "手机")}
    known = [(word, label) for label, all_words in words.items() for word in all_words]
    rows: list[dict[str, Any]] = [
        {"text": f"我们说到{a}和{b}", "labels": sorted({label for label in (la, lb) if label})}
        for (a, la), (b, lb) in product(known, known)
    ]
    train, validation = rows[::2], rows[1::2]
names = label_names(train)
fields = {
    "id2label": dict(enumerate(names)),
    "label2id": {name: index for index, name in enumerate(names)},
    "problem_type": "multi_label_classification",
}

if arguments.model:
    rate, tokenizer = 3e-5, AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForSequenceClassification.from_pretrained(arguments.model, **fields)
else:
    rate, tokenizer = 2e-3, hf_ext.build_char_tokenizer(row["text"] for row in train)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    model = hf_ext.RoFormerForSequenceClassification(hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **size, **fields))

trainer = Trainer(
    model=model,
    args=TrainingArguments(
        arguments.output_dir,
        max_steps=arguments.max_steps,
        learning_rate=rate,
        per_device_train_batch_size=16,
        report_to="none",
        save_strategy="no",
    ),
    train_dataset=encode_labelled_texts(train, tokenizer, fields["label2id"], 128),
    eval_dataset=encode_labelled_texts(validation, tokenizer, fields["label2id"], 128),
    data_collator=DataCollatorWithPadding(tokenizer),
    # Of any model, whatever loss its head has of its own.
    compute_loss_func=hf_ext.losses.for_trainer("multilabel_softmax"),
    compute_metrics=classification_compute_metrics(fields["id2label"], multi_label=True),
)
trainer.train()
scores = trainer.evaluate()
print(f"F1: {scores['eval_f1']:.3f}, macro F1: {scores['eval_macro_f1']:.3f}")

trainer.save_model()
tokenizer.save_pretrained(arguments.output_dir)
classify = pipeline("text-classification", model=arguments.output_dir)
for text in [row["text"] for row in validation[:2]]:
    # A sigmoid above 0.5 is a logit above 0, which is where the loss draws the line.
    print(text, "->", [found["label"] for found in classify(text, top_k=None) if found["score"] > 0.5])
