"""Relation extraction by GPLinker: read, encode, train with Trainer, score, save, extract.

    python examples/relations.py --train-file train.json --validation-file dev.json --encoder bert-base-chinese

Files are DuIE's or JSON lines. Without files it trains on a few invented sentences, and without an encoder a small
RoFormer from scratch.
"""

import argparse
import itertools

from datasets import Dataset
from transformers import AutoTokenizer, Trainer, TrainingArguments, pipeline

import hf_ext
from hf_ext.tasks.relations import (
    DataCollatorForRelationExtraction,
    RelationEncoder,
    decode_relation_dataset,
    read_relations,
    relation_compute_metrics,
    relation_labels,
    relation_scores,
)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file")
parser.add_argument("--validation-file")
parser.add_argument("--encoder", help="name on the Hub or folder")
parser.add_argument("--output-dir", default="relation-model")
parser.add_argument("--max-steps", type=int, default=150)
arguments = parser.parse_args()
if bool(arguments.train_file) != bool(arguments.validation_file):
    parser.error("give both --train-file and --validation-file, or neither")


def invented(people, works):
    """Sentences with a person who wrote one book and acted in another."""
    for person, (book, film) in itertools.product(people, itertools.permutations(works, 2)):
        text = f"{person}写了{book}，又主演了{film}。"

        def span(word, text=text):
            return {"start": text.index(word), "end": text.index(word) + len(word)}

        written = {"predicate": "作者", "subject": span(book), "object": span(person), "slots": []}
        played = {"predicate": "主演", "subject": span(film), "object": span(person), "slots": []}
        for relation in (written, played):
            for role in ("subject", "object"):
                relation[role]["text"] = text[relation[role]["start"] : relation[role]["end"]]
        yield {"text": text, "relations": [written, played]}


if arguments.train_file:
    train, validation = (
        read_relations(arguments.train_file),
        read_relations(arguments.validation_file),
    )
else:
    works = ["山海谣", "长河", "风中旧事", "春江夜话"]
    train, validation = list(invented(["林一舟", "周小满", "何远"], works)), list(invented(["周一舟"], works))
labels = relation_labels(train)
id2label, label2id = dict(enumerate(labels)), {label: index for index, label in enumerate(labels)}

if arguments.encoder:
    rate, tokenizer = 3e-5, AutoTokenizer.from_pretrained(arguments.encoder)
    model = hf_ext.AutoModelForRelationExtraction.from_pretrained(
        arguments.encoder, id2label=id2label, label2id=label2id
    )
else:
    rate, tokenizer = 2e-3, hf_ext.build_char_tokenizer(example["text"] for example in train)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), id2label=id2label, label2id=label2id, **size)
    model = hf_ext.AutoModelForRelationExtraction.from_config(config)

encoder = RelationEncoder(tokenizer, label2id, max_length=256)
encoded = encoder.encode_dataset(Dataset.from_list(validation))
trainer = Trainer(
    model=model,
    args=TrainingArguments(arguments.output_dir, max_steps=arguments.max_steps, learning_rate=rate, report_to="none"),
    train_dataset=encoder.encode_dataset(Dataset.from_list(train)),
    eval_dataset=encoded,
    processing_class=tokenizer,
    data_collator=DataCollatorForRelationExtraction(tokenizer),
    compute_metrics=relation_compute_metrics(id2label),
)
trainer.train()

texts = [example["text"] for example in validation]
found = decode_relation_dataset(trainer.predict(encoded).predictions, encoded, texts, id2label)
print("F1:", relation_scores(found, [example["relations"] for example in validation])["f1"])

trainer.save_model()
extract = pipeline("relation-extraction", model=arguments.output_dir)
print(texts[0])
for relation in extract(texts[0]):
    print(relation["subject"]["text"], relation["predicate"], relation["object"]["text"])
