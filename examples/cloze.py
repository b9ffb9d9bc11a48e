"""Few-shot classification by a pattern in Python: first without training, then trained by Transformers' own Trainer.

    python examples/cloze.py --train-file train.jsonl --model FOLDER_OR_NAME --pattern "{mask}满意。{text}" \
        --words '{"Positive": "很", "Negative": "不"}'

Without files it trains on a few invented sentences, and without a model a tiny RoFormer from scratch.
"""

import argparse
import json

from transformers import AutoModelForMaskedLM, AutoTokenizer, Trainer, TrainingArguments, pipeline, set_seed

import hf_ext
from hf_ext.tasks.cloze import ClozeEncoder, ClozePattern, DataCollatorForCloze, encode_cloze, read_cloze_texts

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file", help='JSON lines {"text", "label"}')
parser.add_argument("--model", help="any masked language model: name on the Hub or folder")
parser.add_argument("--pattern", default="{mask}满意。{text}")
parser.add_argument("--words", type=json.loads, default={"Positive": "很", "Negative": "不"})
parser.add_argument("--output-dir", default="cloze-model")
parser.add_argument("--max-steps", type=int, default=100)
arguments = parser.parse_args()
set_seed(0)

pattern = ClozePattern(arguments.pattern, arguments.words)
if arguments.train_file:
    examples = read_cloze_texts(arguments.train_file, pattern)
else:
    things, kinds = (
        ("房间", "饭菜", "服务", "位置"),
        (("好", "Positive"), ("棒", "Positive"), ("差", "Negative"), ("脏", "Negative")),
    )
    examples = [{"text": f"{thing}很{word}", "label": label} for thing in things for word, label in kinds]

if arguments.model:
    rate, tokenizer = 1e-5, AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForMaskedLM.from_pretrained(arguments.model)
else:
    rate, tokenizer = 2e-3, hf_ext.build_char_tokenizer([*(row["text"] for row in examples), arguments.pattern, "不"])
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    model = hf_ext.RoFormerForMaskedLM(hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **size))


def accuracy() -> float:
    """The share of the texts with the right label."""
    classify = pipeline("cloze", model=model, tokenizer=tokenizer, pattern=pattern)
    found = classify([row["text"] for row in examples])
    return sum(labels[0]["label"] == row["label"] for labels, row in zip(found, examples)) / len(examples)


print(f"accuracy without training: {accuracy():.3f}")
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        arguments.output_dir,
        max_steps=arguments.max_steps,
        learning_rate=rate,
        per_device_train_batch_size=8,
        report_to="none",
        save_strategy="no",
        # The collator reads columns that no model has.
        remove_unused_columns=False,
    ),
    train_dataset=encode_cloze(examples, pattern, tokenizer, max_length=128),
    data_collator=DataCollatorForCloze(tokenizer, ClozeEncoder(pattern, tokenizer, 128).words),
    # The mean over all targets of a step, which BERT's own loss is not where gradients are accumulated.
    compute_loss_func=hf_ext.losses.for_trainer("cross_entropy"),
)
trainer.train()
print(f"accuracy on the texts that it was trained on: {accuracy():.3f}")

# So that the pipeline finds the pattern again.
model.config.cloze = pattern.as_json()
trainer.save_model()
tokenizer.save_pretrained(arguments.output_dir)
