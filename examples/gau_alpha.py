"""GAU-alpha from a config: a small one learns to tell sentences by what they speak of, and predicts.

    python examples/gau_alpha.py --max-steps 200

With ``--encoder`` it starts from a checkpoint on the Hub or in a folder, converted with ``hf-ext convert``.
"""

import argparse

from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    pipeline,
)

import hf_ext

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--encoder", help="name on the Hub or folder")
parser.add_argument("--output-dir", default="gau-alpha-model")
parser.add_argument("--max-steps", type=int, default=200)
arguments = parser.parse_args()

# Whether a generated sentence speaks of a person.
train, validation = hf_ext.generate_samples(2000, seed=0), hf_ext.generate_samples(200, seed=1)
names = ["nobody", "somebody"]
settings = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
texts = [example["text"] for example in validation]

if arguments.encoder:
    rate, tokenizer = 3e-5, AutoTokenizer.from_pretrained(arguments.encoder)
    model = AutoModelForSequenceClassification.from_pretrained(arguments.encoder, **settings)
else:
    rate, tokenizer = 1e-3, hf_ext.build_char_tokenizer(example["text"] for example in train)
    size = {"hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 256, "attention_key_size": 64}
    config = hf_ext.GAUAlphaConfig(vocab_size=len(tokenizer), unpad=True, **size, **settings)
    model = AutoModelForSequenceClassification.from_config(config)


def encode(samples):
    rows = tokenizer([sample["text"] for sample in samples], truncation=True, max_length=128)
    labels = [int(any(entity["label"] == "person" for entity in sample["entities"])) for sample in samples]
    return Dataset.from_dict({**rows, "labels": labels})


trainer = Trainer(
    model=model,
    args=TrainingArguments(arguments.output_dir, max_steps=arguments.max_steps, learning_rate=rate, report_to="none"),
    train_dataset=encode(train),
    processing_class=tokenizer,
    data_collator=DataCollatorWithPadding(tokenizer),
)
trainer.train()
scores = trainer.predict(encode(validation))
print("accuracy:", float((scores.predictions.argmax(-1) == scores.label_ids).mean()))

trainer.save_model()
classify = pipeline("text-classification", model=arguments.output_dir)
for text in texts[:3]:
    print(text, classify(text))
