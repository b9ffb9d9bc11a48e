"""Named entities by tags in Python: a CRF that cannot break the BIO scheme, its transitions learning faster.

    python examples/sequence_labeling.py --train-file train.bmes --validation-file dev.bmes --encoder bert-base-chinese

Without files it trains on generated sentences without their nested entities, and without an encoder a small RoFormer.
"""

import argparse

from datasets import Dataset
from transformers import AutoTokenizer, DataCollatorForTokenClassification, Trainer, TrainingArguments, pipeline

import hf_ext
from hf_ext.data import TagEncoder, tags_of_labels
from hf_ext.metrics import tag_compute_metrics
from hf_ext.tasks.entities import read_entities

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file")
parser.add_argument("--validation-file")
parser.add_argument("--encoder", help="name on the Hub or folder")
parser.add_argument("--head", default="crf", choices=("crf", "memm"))
parser.add_argument("--output-dir", default="tags-model")
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
labels = sorted({entity["label"] for example in train for entity in example["entities"]})

tags = tags_of_labels(labels, "BIO")
names = {"id2label": dict(enumerate(tags)), "label2id": {tag: number for number, tag in enumerate(tags)}}
head = {"sequence_head": arguments.head, "constrained_transitions": True}
if arguments.encoder:
    rate, tokenizer = 3e-5, AutoTokenizer.from_pretrained(arguments.encoder)
    model = hf_ext.AutoModelForSequenceLabeling.from_pretrained(arguments.encoder, **names, **head)
else:
    rate, tokenizer = 1e-3, hf_ext.build_char_tokenizer(example["text"] for example in train)
    size = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), unpad=True, **names, **size)
    model = hf_ext.AutoModelForSequenceLabeling.from_config(config, head_lr_multiplier=10.0, **head)
# Where there are no labels to tell which tokens have no tag.
model.config.untagged_token_ids = [tokenizer.cls_token_id, tokenizer.sep_token_id]

encoder = TagEncoder(tokenizer, labels, "BIO", max_length=256)
encoded = encoder.encode_dataset(Dataset.from_list(validation))
settings = TrainingArguments(arguments.output_dir, max_steps=arguments.max_steps, learning_rate=rate, report_to="none")
trainer = Trainer(
    model=model,
    args=settings,
    train_dataset=encoder.encode_dataset(Dataset.from_list(train)),
    eval_dataset=encoded,
    processing_class=tokenizer,
    data_collator=DataCollatorForTokenClassification(tokenizer),
    compute_metrics=tag_compute_metrics(names["id2label"]),
)
trainer.train()
print("F1 of token spans:", trainer.evaluate()["eval_f1"])

trainer.save_model()
extract = pipeline("sequence-labeling", model=arguments.output_dir)
text = validation[0]["text"]
for entity in extract(text):
    print(entity)
for reading in extract(text, n_best=2):
    print(f"{reading['score']:.3f}", [entity["text"] for entity in reading["entities"]])
