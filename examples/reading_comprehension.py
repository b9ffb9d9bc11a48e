"""Reading comprehension: read questions, encode, train with Trainer, score as CMRC2018 does, save, ask.

    python examples/reading_comprehension.py --train-file train.json --validation-file dev.json --encoder bert-base

Files are SQuAD's, CMRC2018's, WebQA's or JSON lines. Without files it trains on a few invented texts, and without an
encoder a small RoFormer from scratch.
"""

import argparse
import itertools

from datasets import Dataset
from transformers import AutoTokenizer, Trainer, TrainingArguments, pipeline

import hf_ext
from hf_ext.tasks.reading_comprehension import (
    DataCollatorForReadingComprehension,
    ReadingEncoder,
    best_answer,
    decode_answer_dataset,
    read_questions,
    reading_compute_metrics,
    reading_scores,
)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file")
parser.add_argument("--validation-file")
parser.add_argument("--encoder", help="name on the Hub or folder")
parser.add_argument("--head", default="global_pointer", choices=["global_pointer", "start_end"])
parser.add_argument("--output-dir", default="reading-model")
parser.add_argument("--max-steps", type=int, default=200)
arguments = parser.parse_args()
if bool(arguments.train_file) != bool(arguments.validation_file):
    parser.error("give both --train-file and --validation-file, or neither")


def invented(people, works):
    """Texts on who wrote which of two books, with a question on each and one on a third."""
    for number, (pair, trio) in enumerate(
        itertools.product(itertools.permutations(people, 2), itertools.permutations(works, 3))
    ):
        context = f"{pair[0]}年轻时写了《{trio[0]}》，很受欢迎。后来{pair[1]}写了《{trio[1]}》。"
        for person, work in zip((*pair, None), trio):
            answers = [{"text": person, "start": context.index(person)}] if person else []
            identifier = f"{number}-{work}"
            yield {"id": identifier, "question": f"谁写了《{work}》？", "context": context, "answers": answers}


if arguments.train_file:
    train, validation = (
        read_questions(arguments.train_file),
        read_questions(arguments.validation_file),
    )
else:
    works = ["山海谣", "长河", "风中旧事", "春江夜话"]
    train = list(invented(["林一舟", "周小满", "何远"], works))
    validation = list(invented(["周一舟", "何满"], works[:3]))
# No answer is possible where some questions have none.
null_threshold = None if all(example["answers"] for example in train) else 0.0
fields = {"answer_head": arguments.head, "null_threshold": null_threshold}

if arguments.encoder:
    rate, tokenizer = 3e-5, AutoTokenizer.from_pretrained(arguments.encoder)
    model = hf_ext.AutoModelForReadingComprehension.from_pretrained(arguments.encoder, **fields)
else:
    rate = 2e-3
    tokenizer = hf_ext.build_char_tokenizer(example[name] for example in train for name in ("question", "context"))
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **size)
    model = hf_ext.AutoModelForReadingComprehension.from_config(config, **fields)

encoder = ReadingEncoder(tokenizer, max_length=384)
encoded = encoder.encode_dataset(Dataset.from_list(validation))
trainer = Trainer(
    model=model,
    args=TrainingArguments(arguments.output_dir, max_steps=arguments.max_steps, learning_rate=rate, report_to="none"),
    train_dataset=encoder.encode_dataset(Dataset.from_list(train)),
    eval_dataset=encoded,
    processing_class=tokenizer,
    data_collator=DataCollatorForReadingComprehension(tokenizer),
    compute_metrics=reading_compute_metrics(null_threshold),
)
trainer.train()

contexts = [example["context"] for example in validation]
ranked = decode_answer_dataset(trainer.predict(encoded).predictions, encoded, contexts)
answers = [best_answer(own, null_threshold) for own in ranked]
references = [[answer["text"] for answer in example["answers"]] for example in validation]
scores = reading_scores(answers, references)
print(f"EM: {100 * scores['exact_match']:.1f}, F1: {100 * scores['f1']:.1f}")

trainer.save_model()
answer = pipeline("reading-comprehension", model=arguments.output_dir)
print(contexts[0])
for example in validation[:3]:
    found = answer(question=example["question"], context=example["context"])
    print(example["question"], found["answer"] or "(no answer)", f"{found['score']:.2f}")
