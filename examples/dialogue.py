"""Multi-turn dialogue in Python: encode dialogues, train a small NEZHA-GPT from scratch with Trainer, talk with it.

    python examples/dialogue.py --train-file dialogues.jsonl --max-steps 2000

Without a file it learns a few invented dialogues by heart, which takes some seconds.
"""

import argparse

from datasets import Dataset
from transformers import Trainer, TrainingArguments, set_seed

import hf_ext
from hf_ext.metrics import next_token_sums, perplexity_metrics
from hf_ext.tasks.dialogue import DataCollatorForDialogue, DialogueEncoder, read_dialogues

# The same question has another answer when something else was said before it.
DIALOGUES = [
    ["你好", "你好，想聊点什么？", "聊聊天气吧", "好，今天是晴天", "明天呢？", "明天有雨"],
    ["你好", "你好，想聊点什么？", "聊聊吃的吧", "好，今天吃面条", "明天呢？", "明天吃饺子"],
    ["你叫什么名字？", "我叫小苏", "你会下棋吗？", "会一点"],
    ["再见", "再见，下次再聊"],
]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train-file")
parser.add_argument("--output-dir", default="dialogue-model")
parser.add_argument("--max-steps", type=int, default=100)
arguments = parser.parse_args()

dialogues = read_dialogues(arguments.train_file) if arguments.train_file else [{"turns": turns} for turns in DIALOGUES]
tokenizer = hf_ext.build_char_tokenizer(turn for dialogue in dialogues for turn in dialogue["turns"])
tokenizer.model_max_length = 256
set_seed(0)
config = hf_ext.NezhaConfig(
    vocab_size=len(tokenizer),
    hidden_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=512,
    attention_mode="causal",
    eos_token_id=tokenizer.sep_token_id,
)
model = hf_ext.NezhaForCausalLM(config)

encoder = DialogueEncoder.for_config(config, tokenizer, max_length=256)
dataset = encoder.encode_dataset(Dataset.from_list(dialogues))
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        arguments.output_dir, max_steps=arguments.max_steps, learning_rate=2e-3, report_to="none", logging_steps=20
    ),
    train_dataset=dataset,
    eval_dataset=dataset,
    processing_class=tokenizer,
    data_collator=DataCollatorForDialogue(tokenizer),
    compute_metrics=perplexity_metrics,
    preprocess_logits_for_metrics=next_token_sums,
)
trainer.train()
print("perplexity:", trainer.evaluate()["eval_perplexity"])
trainer.save_model()

chat = hf_ext.Chat.from_pretrained(arguments.output_dir, num_beams=1)
right = total = 0
for dialogue in dialogues[:4]:
    chat.reset()
    for text, answer in zip(dialogue["turns"][::2], dialogue["turns"][1::2]):
        reply = chat.reply(text)
        right, total = right + (reply == answer), total + 1
        print(f"> {text}\n{reply}")
print(f"{right} of {total} replies are those of the dialogues")
