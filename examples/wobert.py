"""WoBERT's recipe: give a BERT of characters a vocabulary of words, and go on with its pre-training on whole words.

    python examples/wobert.py --model bert-base-chinese --text-file documents.txt --max-length 256 --max-steps 100000

The text file has a document a line. Without one it trains on generated sentences, and without a model a tiny BERT of
characters from scratch.
"""

import argparse
from collections import Counter
from pathlib import Path

import torch
from datasets import Dataset
from rjieba import cut
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    Trainer,
    TrainingArguments,
    pipeline as make_pipeline,
)

import hf_ext
from hf_ext.tasks.pretraining import DataCollatorForWholeWordMasking, DocumentEncoder

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", help="name on the Hub or folder of a BERT with a vocabulary of characters")
parser.add_argument("--text-file")
parser.add_argument("--words", type=int, default=20000, help="how many of the most frequent words become tokens")
parser.add_argument("--output-dir", default="wobert-model")
parser.add_argument("--max-length", type=int, default=128)
parser.add_argument("--max-steps", type=int, default=200)
arguments = parser.parse_args()

if arguments.text_file:
    documents = Path(arguments.text_file).read_text(encoding="utf-8").splitlines()
else:
    documents = [example["text"] for example in hf_ext.generate_samples(1000, seed=0)]

if arguments.model:
    characters = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForMaskedLM.from_pretrained(arguments.model)
else:
    characters = hf_ext.build_char_tokenizer(documents)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    model = BertForMaskedLM(BertConfig(vocab_size=len(characters), pad_token_id=characters.pad_token_id, **size))

# The words that jieba finds follow the entries that are there, so that whatever is no word is still cut as before.
counts = Counter(word for document in documents for word in cut(document.lower(), hmm=False))
entries = sorted(characters.get_vocab(), key=characters.get_vocab().get)
words = [word for word, _ in counts.most_common() if len(word) > 1 and word.isalpha() and word not in set(entries)]
words = words[: arguments.words]
vocabulary = {entry: index for index, entry in enumerate([*entries, *words])}
tokenizer = hf_ext.JiebaWordPieceTokenizer(vocabulary, model_max_length=arguments.max_length)

# A new word begins as the mean of the tokens it was.
pieces = characters(words, add_special_tokens=False)["input_ids"]
model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
with torch.no_grad():
    embeddings = model.get_input_embeddings().weight
    for index, ids in enumerate(pieces, start=len(entries)):
        embeddings[index] = embeddings[torch.tensor(ids)].mean(0)

rows = DocumentEncoder(tokenizer, arguments.max_length).encode_dataset(Dataset.from_dict({"text": documents}))
print(f"{len(words)} words; {len(rows)} rows from {len(documents)} documents")
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        arguments.output_dir,
        max_steps=arguments.max_steps,
        learning_rate=5e-5 if arguments.model else 1e-3,
        per_device_train_batch_size=16,
        remove_unused_columns=False,
        report_to="none",
    ),
    train_dataset=rows,
    data_collator=DataCollatorForWholeWordMasking(tokenizer),
    processing_class=tokenizer,
)
trainer.train()
trainer.save_model()

text = tokenizer.decode(rows[0]["input_ids"][1:8]).replace(" ", "")
fill = make_pipeline("fill-mask", model=arguments.output_dir, top_k=3)
for guess in fill(f"{text}{tokenizer.mask_token}"):
    print(guess["token_str"], round(guess["score"], 3))
