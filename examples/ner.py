"""Named-entity recognition in Python: read, encode, train with Trainer, score on characters, save, extract.

    python examples/ner.py --train-file train.json --validation-file valid.json --encoder bert-base-chinese

Without files it trains on generated sentences, and without an encoder a small RoFormer from scratch.
"""

import argparse

from datasets import Dataset
from transformers import AutoTokenizer, Trainer, TrainingArguments, pipeline

import hf_ext
from hf_ext.data import decode_span_dataset
from hf_ext.metrics import span_compute_metrics, span_scores
from hf_ext.tasks.entities import entity_labels, read_entities

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file")
parser.add_argument("--validation-file")
parser.add_argument("--encoder", help="name on the Hub or folder")
parser.add_argument("--output-dir", default="ner-model")
parser.add_argument("--max-steps", type=int, default=500)
arguments = parser.parse_args()
if bool(arguments.train_file) != bool(arguments.validation_file):
    parser.error("give both --train-file and --validation-file, or neither")

if arguments.train_file:
    train, validation = (
        read_entities(arguments.train_file),
        read_entities(arguments.validation_file),
    )
else:
    train, validation = hf_ext.generate_samples(2000, seed=0), hf_ext.generate_samples(200, seed=1)
labels = entity_labels(train)
id2label, label2id = dict(enumerate(labels)), {label: index for index, label in enumerate(labels)}

if arguments.encoder:
    rate, tokenizer = 3e-5, AutoTokenizer.from_pretrained(arguments.encoder)
    model = hf_ext.AutoModelForSpanExtraction.from_pretrained(arguments.encoder, id2label=id2label, label2id=label2id)
else:
    rate, tokenizer = 1e-3, hf_ext.build_char_tokenizer(example["text"] for example in train)
    size = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), id2label=id2label, label2id=label2id, unpad=True, **size)
    model = hf_ext.AutoModelForSpanExtraction.from_config(config)

encoder = hf_ext.SpanEncoder(tokenizer, label2id, max_length=256)
encoded = encoder.encode_dataset(Dataset.from_list(validation))
trainer = Trainer(
    model=model,
    args=TrainingArguments(arguments.output_dir, max_steps=arguments.max_steps, learning_rate=rate, report_to="none"),
    train_dataset=encoder.encode_dataset(Dataset.from_list(train)),
    eval_dataset=encoded,
    processing_class=tokenizer,
    data_collator=hf_ext.DataCollatorForSpanExtraction(tokenizer),
    compute_metrics=span_compute_metrics(id2label),
)
trainer.train()

# The metrics of Trainer count token spans; these count spans of characters in the original texts.
texts = [example["text"] for example in validation]
found = decode_span_dataset(trainer.predict(encoded).predictions, encoded, texts, id2label)
print("F1:", span_scores(found, [example["entities"] for example in validation])["f1"])

trainer.save_model()
extract = pipeline("span-extraction", model=arguments.output_dir)
for entity in extract(texts[0]):
    print(entity)
