"""Sentence embeddings in Python: CoSENT on scored pairs, large batches in little memory, whitening.

    python examples/similarity.py --train-file train.tsv --validation-file valid.tsv --model FOLDER_OR_NAME

Without files it trains on a few invented sentences, and without a model a tiny RoFormer from scratch.
"""

import argparse
from itertools import product

from transformers import AutoModel, AutoTokenizer, TrainingArguments, pipeline, set_seed

import hf_ext
from hf_ext.tasks.similarity import DataCollatorForSimilarity, read_text_pairs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file", help='JSON lines {"text1", "text2", "score"}, or three columns')
parser.add_argument("--validation-file", help="the same")
parser.add_argument("--model", help="any encoder: name on the Hub or folder")
parser.add_argument("--output-dir", default="similarity-model")
parser.add_argument("--max-steps", type=int, default=60)
arguments = parser.parse_args()
set_seed(0)

if arguments.train_file:
    train = read_text_pairs(arguments.train_file)
    validation = read_text_pairs(arguments.validation_file or arguments.train_file)
else:
    groups = ("苹梨桃杏", "金银铜铁", "江河湖海")
    pairs = [
        {"text1": f"这里有{a}", "text2": f"我要{b}了", "score": float(g is h) + float(a == b)}
        for g, h in product(groups, groups)
        for a, b in product(g, h)
    ]
    train, validation = pairs[::2], pairs[1::2]
texts = sorted({text for pair in train for text in (pair["text1"], pair["text2"])})

if arguments.model:
    rate, tokenizer = 2e-5, AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModel.from_pretrained(arguments.model)
else:
    rate, tokenizer = 2e-3, hf_ext.build_char_tokenizer(texts)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    model = hf_ext.RoFormerModel(hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **size))

trainer = hf_ext.SimilarityTrainer(
    model=model,
    args=TrainingArguments(
        arguments.output_dir,
        max_steps=arguments.max_steps,
        learning_rate=rate,
        per_device_train_batch_size=64,
        report_to="none",
        save_strategy="no",
    ),
    train_dataset=train,
    eval_dataset=validation,
    data_collator=DataCollatorForSimilarity(tokenizer),
    pooling="mean",
    # 128 texts are compared with each other, and 32 of them are in memory at a time.
    chunk_size=32,
)
trainer.train()
print(f"Spearman: {trainer.evaluate()['eval_spearman']:.3f}")

trainer.save_model()
tokenizer.save_pretrained(arguments.output_dir)
embed = pipeline("text-embedding", model=arguments.output_dir)
vectors = embed(texts, normalize=True)
print(f"nearest to {texts[0]}: {texts[1 + (vectors[1:] @ vectors[0]).argmax()]}")

# Whitening needs no training, and keeps as many numbers as wanted.
whitening = hf_ext.Whitening.fit(embed.stream(texts), size=8)
whitening.save_pretrained(arguments.output_dir)
vectors = embed(texts, whitening=arguments.output_dir, normalize=True)
print(f"whitened to {vectors.shape[1]} numbers: nearest is {texts[1 + (vectors[1:] @ vectors[0]).argmax()]}")

# After `import hf_ext`, SentenceTransformer(folder) gives the same vectors.
hf_ext.save_for_sentence_transformers(embed.model, tokenizer, arguments.output_dir, normalize=True, whitening=whitening)
