"""Summarization in Python: read, encode, train T5-PEGASUS with Seq2SeqTrainer, score on characters, save, write.

    python examples/summarization.py --train-file train.tsv --validation-file valid.tsv --model imxly/t5-pegasus-small

Files are JSON lines {"text", "summary"}, or summary, tab, text. Without files it trains on a few invented reports, and
without a model a small one from scratch.
"""

import argparse
from functools import partial

from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)

import hf_ext
from hf_ext.data import decode_summaries, encode_summaries
from hf_ext.tasks.summarization import read_summaries, summary_compute_metrics

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file")
parser.add_argument("--validation-file")
parser.add_argument("--model", help="name on the Hub or folder")
parser.add_argument("--output-dir", default="summarization-model")
parser.add_argument("--max-steps", type=int, default=1000)
arguments = parser.parse_args()
if bool(arguments.train_file) != bool(arguments.validation_file):
    parser.error("give both --train-file and --validation-file, or neither")

if arguments.train_file:
    train, validation = read_summaries(arguments.train_file), read_summaries(arguments.validation_file)
else:
    people, matters = ("张三", "李四", "王五", "赵六", "孙七"), ("水稻", "星系", "桥梁", "古诗", "电池")
    reports = [
        {"text": f"{who}用很长的时间研究了{what}，昨天报告说，结果很好。", "summary": f"{who}研究{what}"}
        for who in people
        for what in matters
    ]
    train, validation = reports[:-5], reports[-5:]

if arguments.model:
    rate, tokenizer = 2e-4, AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(arguments.model)
else:
    # T5-PEGASUS has no token types, and generation refuses what a model does not take.
    names = ["input_ids", "attention_mask"]
    texts = [text for example in train for text in example.values()]
    rate, tokenizer = 1e-3, hf_ext.build_char_tokenizer(texts, model_input_names=names)
    size = {"d_model": 128, "d_ff": 256, "num_layers": 2, "num_heads": 4}
    ids = {"decoder_start_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    config = hf_ext.T5PegasusConfig(vocab_size=len(tokenizer), **ids, **size)
    model = AutoModelForSeq2SeqLM.from_config(config)
model.generation_config.max_length = 48

encode = partial(
    encode_summaries,
    tokenizer=tokenizer,
    decoder_start_token_id=model.config.decoder_start_token_id,
    max_source_length=256,
    max_target_length=48,
)
encoded, decode = encode(validation), partial(decode_summaries, tokenizer)
trainer = Seq2SeqTrainer(
    model=model,
    args=Seq2SeqTrainingArguments(
        arguments.output_dir,
        max_steps=arguments.max_steps,
        learning_rate=rate,
        predict_with_generate=True,
        report_to="none",
    ),
    train_dataset=encode(train),
    eval_dataset=encoded,
    processing_class=tokenizer,
    data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
    compute_metrics=summary_compute_metrics(decode),
)
trainer.train()
print("Rouge-L:", trainer.evaluate()["eval_rougeL"])

trainer.save_model()
inputs = tokenizer(validation[0]["text"], truncation=True, max_length=256, return_tensors="pt").to(model.device)
print("summary:", *decode(model.generate(**inputs, num_beams=4)))
