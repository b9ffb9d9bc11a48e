"""Event extraction by GPLinker: read, encode, train with Trainer, score, save, extract.

    python examples/events.py --train-file duee_train.json --validation-file duee_dev.json --encoder bert-base-chinese

Files are DuEE's or JSON lines. Without files it trains on a few invented sentences, in which two events share a time,
and without an encoder a small RoFormer from scratch.
"""

import argparse
import itertools

from datasets import Dataset
from transformers import AutoTokenizer, Trainer, TrainingArguments, pipeline

import hf_ext
from hf_ext.tasks.events import (
    DataCollatorForEventExtraction,
    EventEncoder,
    decode_event_dataset,
    event_compute_metrics,
    event_labels,
    event_scores,
    read_events,
)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file")
parser.add_argument("--validation-file")
parser.add_argument("--encoder", help="name on the Hub or folder")
parser.add_argument("--output-dir", default="event-model")
parser.add_argument("--max-steps", type=int, default=200)
arguments = parser.parse_args()
if bool(arguments.train_file) != bool(arguments.validation_file):
    parser.error("give both --train-file and --validation-file, or neither")


def invented(times, companies):
    """Sentences with two events of a type at one time."""
    for time, (first, second) in itertools.product(times, itertools.permutations(companies, 2)):
        text = f"{time}{first}裁员，{second}也裁减人手。"

        def argument(role, word, text=text):
            start = text.index(word)
            return {"role": role, "start": start, "end": start + len(word), "text": word}

        pairs = ((first, "裁员"), (second, "裁减人手"))
        yield {
            "text": text,
            "events": [
                {
                    "type": "裁员",
                    "arguments": [argument("触发词", trigger), argument("时间", time), argument("裁员方", company)],
                }
                for company, trigger in pairs
            ],
        }


if arguments.train_file:
    train, validation = (
        read_events(arguments.train_file),
        read_events(arguments.validation_file),
    )
else:
    companies = ["南山电子", "云帆科技", "青禾", "北辰重工"]
    train, validation = (
        list(invented(["昨天", "三月初", "去年"], companies)),
        list(invented(["去年"], ["南山科技", "云帆电子"])),
    )
labels = event_labels(train)
id2label, label2id = dict(enumerate(labels)), {label: index for index, label in enumerate(labels)}

if arguments.encoder:
    rate, tokenizer = 3e-5, AutoTokenizer.from_pretrained(arguments.encoder)
    model = hf_ext.AutoModelForEventExtraction.from_pretrained(arguments.encoder, id2label=id2label, label2id=label2id)
else:
    rate, tokenizer = 2e-3, hf_ext.build_char_tokenizer(example["text"] for example in train)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), id2label=id2label, label2id=label2id, **size)
    model = hf_ext.AutoModelForEventExtraction.from_config(config)

encoder = EventEncoder(tokenizer, label2id, max_length=256)
encoded = encoder.encode_dataset(Dataset.from_list(validation))
trainer = Trainer(
    model=model,
    args=TrainingArguments(arguments.output_dir, max_steps=arguments.max_steps, learning_rate=rate, report_to="none"),
    train_dataset=encoder.encode_dataset(Dataset.from_list(train)),
    eval_dataset=encoded,
    processing_class=tokenizer,
    data_collator=DataCollatorForEventExtraction(tokenizer),
    compute_metrics=event_compute_metrics(id2label),
)
trainer.train()

texts = [example["text"] for example in validation]
found = decode_event_dataset(trainer.predict(encoded).predictions, encoded, texts, id2label)
scores = event_scores(found, [example["events"] for example in validation])
print("F1 of arguments:", scores["f1"], "of events:", scores["event_f1"])

trainer.save_model()
extract = pipeline("event-extraction", model=arguments.output_dir)
print(texts[0])
for event in extract(texts[0]):
    print(event["type"], {argument["role"]: argument["text"] for argument in event["arguments"]})
