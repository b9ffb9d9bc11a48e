"""WoBERT's recipe: give a BERT of characters a vocabulary of words, and go on with its pre-training on whole words.

    python examples/wobert.py --model bert-base-chinese --text-file documents.txt --max-length 256 --max-steps 100000

The text file has a document a line. Without one it trains on generated sentences, and without a model a tiny BERT of
characters from scratch. On the command line it is ``hf-ext pretrain wwm --words 20000``.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import AutoTokenizer, pipeline as make_pipeline

import hf_ext
from hf_ext.tasks.pretraining import WholeWordMaskingJob

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", help="name on the Hub or folder of a BERT with a vocabulary of characters")
parser.add_argument("--text-file", type=Path)
parser.add_argument("--words", type=int, default=20000, help="how many of the most frequent words become tokens")
parser.add_argument("--output-dir", default="wobert-model")
parser.add_argument("--max-length", type=int, default=128)
parser.add_argument("--max-steps", type=int, default=200)
arguments = parser.parse_args()

# Vectors of new words begin as the mean of those of the characters that they were.
start = {"model": arguments.model} if arguments.model else {"config": "tiny", "family": "bert"}

with TemporaryDirectory() as folder:
    texts = arguments.text_file or Path(folder) / "texts.txt"
    if not arguments.text_file:
        samples = hf_ext.generate_samples(1000, seed=0)
        texts.write_text("".join(f"{sample['text']}\n" for sample in samples), encoding="utf-8")
    job = WholeWordMaskingJob(texts, words=arguments.words, max_length=arguments.max_length, held_out=100, **start)
    scores = job.run(job.training_arguments(arguments.output_dir, max_steps=arguments.max_steps))

tokenizer = AutoTokenizer.from_pretrained(arguments.output_dir)
words = [entry for entry in tokenizer.get_vocab() if len(entry) > 1 and entry.isalpha()]
print(f"{len(words)} words; loss of a held-out token {scores['held_out_loss']:.3f}")

fill = make_pipeline("fill-mask", model=arguments.output_dir, top_k=3)
for guess in fill(f"今天天气很{tokenizer.mask_token}"):
    print(guess["token_str"], round(guess["score"], 3))
