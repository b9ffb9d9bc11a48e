"""Paraphrases in Python: train SimBERT's two objectives at once, embed, find, generate, save for sentence-transformers.

    python examples/paraphrase.py --file sentences.jsonl --model FOLDER_OR_NAME

Without a file it trains on a few invented sentences, and without a model a tiny RoFormer from scratch.
"""

import argparse
from itertools import product

from transformers import AutoTokenizer, Trainer, TrainingArguments, pipeline, set_seed

import hf_ext
from hf_ext.tasks.paraphrase import DataCollatorForParaphrase, ParaphraseDataset, read_paraphrases

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--file", help='JSON lines {"text", "synonyms": [...]}')
parser.add_argument("--model", help="a RoFormer or RoFormer-Sim: name on the Hub or folder")
parser.add_argument("--output-dir", default="paraphrase-model")
parser.add_argument("--max-steps", type=int, default=100)
arguments = parser.parse_args()
set_seed(0)

if arguments.file:
    examples = read_paraphrases(arguments.file)
else:
    things = product(("小猫", "火车", "雪山", "花园", "咖啡"), ("便宜", "安静", "好看", "有名"))
    examples = [
        {"text": f"这里的{thing}很{quality}", "synonyms": [f"我觉得{thing}真{quality}", f"{thing}难道不{quality}吗"]}
        for thing, quality in things
    ]
sentences = [sentence for example in examples for sentence in (example["text"], *example["synonyms"])]

fields = {"attention_mode": "unilm", "pooler_activation": "linear"}
if arguments.model:
    rate, tokenizer = 3e-5, AutoTokenizer.from_pretrained(arguments.model)
    model = hf_ext.RoFormerForParaphrase.from_pretrained(arguments.model, **fields)
else:
    rate, tokenizer = 1e-3, hf_ext.build_char_tokenizer(sentences)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    model = hf_ext.RoFormerForParaphrase(hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **size, **fields))

trainer = Trainer(
    model=model,
    args=TrainingArguments(
        arguments.output_dir,
        max_steps=arguments.max_steps,
        learning_rate=rate,
        per_device_train_batch_size=20,
        report_to="none",
        save_strategy="no",
    ),
    train_dataset=ParaphraseDataset(examples),
    data_collator=DataCollatorForParaphrase(tokenizer),
)
trainer.train()

# One folder for from_pretrained, for both pipelines, and for SentenceTransformer(folder).
hf_ext.save_for_sentence_transformers(model, tokenizer, arguments.output_dir)

embed = pipeline("text-embedding", model=arguments.output_dir)
vectors = embed(sentences, normalize=True)
similarities = vectors[1:] @ vectors[0]
print(f"nearest to {sentences[0]}: {sentences[1 + similarities.argmax()]} ({similarities.max():.3f})")

generate = pipeline("paraphrase-generation", model=arguments.output_dir)
for found in generate(sentences[0], num_samples=20, num_candidates=3, max_new_tokens=16):
    print(f"generated: {found['text']} ({found['similarity']:.3f})")
