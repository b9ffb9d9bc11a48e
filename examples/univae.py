"""A variational autoencoder of sentences in Python: train UniVAE, look at its latents, sample, interpolate, swap.

    python examples/univae.py --file sentences.txt --model FOLDER_OR_NAME

Without a file it trains on invented sentences, and without a model a tiny one from scratch.
"""

import argparse
from itertools import product

from rich import print
from transformers import AutoTokenizer, Trainer, TrainingArguments, pipeline, set_seed

import hf_ext
from hf_ext.tasks.autoencoding import DataCollatorForTextAutoencoding, diagnose, read_texts

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--file", help="a text a line")
parser.add_argument("--model", help="a RoFormer to begin with: name on the Hub or folder")
parser.add_argument("--latent", default="vmf", choices=("vmf", "gaussian", "none"))
parser.add_argument("--output-dir", default="univae-model")
parser.add_argument("--max-steps", type=int, default=300)
arguments = parser.parse_args()
set_seed(0)

if arguments.file:
    sentences = [example["text"] for example in read_texts(arguments.file)]
else:
    topics = ("小猫", "火车", "雪山", "花园", "咖啡", "电影", "音乐", "大海")
    forms = ("这里的{}很好看", "我昨天又看见{}了", "谁不喜欢{}呢", "没有{}的一天", "{}真安静", "听说{}就在附近")
    sentences = [form.format(topic) for topic, form in product(topics, forms)]

fields = {"latent": arguments.latent, "half_length": 32, "latent_size": 16}
if arguments.model:
    rate, tokenizer = 2e-5, AutoTokenizer.from_pretrained(arguments.model)
    model = hf_ext.UniVAEForTextAutoencoding.from_pretrained(arguments.model, **fields)
else:
    rate, tokenizer = 3e-3, hf_ext.build_char_tokenizer(sentences)
    size = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128}
    config = hf_ext.UniVAEConfig(vocab_size=len(tokenizer), num_latent_layers=2, **size, **fields)
    model = hf_ext.UniVAEForTextAutoencoding(config)
# Texts begin with [CLS] and end with [SEP].
model.config.bos_token_id, model.config.eos_token_id = tokenizer.cls_token_id, tokenizer.sep_token_id

length = model.config.half_length
rows = [{"input_ids": ids} for ids in tokenizer(sentences, truncation=True, max_length=length)["input_ids"]]
collate = DataCollatorForTextAutoencoding(tokenizer, length)
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        arguments.output_dir,
        max_steps=arguments.max_steps,
        learning_rate=rate,
        per_device_train_batch_size=32,
        report_to="none",
        save_strategy="no",
    ),
    train_dataset=rows,
    data_collator=collate,
)
trainer.train()
model.save_pretrained(arguments.output_dir)
tokenizer.save_pretrained(arguments.output_dir)

report = diagnose(model, rows, collate)
print("loss of a token by latents:", {name: round(loss, 3) for name, loss in report["reconstruction"].items()})

write = pipeline("text-autoencoding", model=arguments.output_dir)
first, second = sentences[0], sentences[-1]
print("written again:", write(first))
print("from the prior:", write.sample(3, seed=1))
print("on the way:", write.interpolate(first, second, steps=4))
for latent in range(model.config.num_latent_layers):
    print(f"with latent {latent} of the other:", write.swap(first, second, latent))
