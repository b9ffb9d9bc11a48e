"""T-TA from scratch on generated sentences: it learns from all tokens, scores in one pass, finds a wrong character.

python examples/t_ta.py --steps 300
"""

import argparse

import torch
from transformers import pipeline

import hf_ext

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--output-dir", default="t-ta-example")
arguments = parser.parse_args()

torch.manual_seed(0)
texts = [example["text"] for example in hf_ext.generate_samples(2000, seed=0)]
# There are no token types.
tokenizer = hf_ext.build_char_tokenizer(texts, model_input_names=["input_ids", "attention_mask"])

size = {"hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 512}
config = hf_ext.TTAConfig(vocab_size=len(tokenizer), mask_token_id=tokenizer.mask_token_id, **size)
model = hf_ext.TTAForMaskedLM(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for step in range(arguments.steps):
    rows = torch.randint(len(texts), (arguments.batch_size,)).tolist()
    batch = tokenizer([texts[row] for row in rows], padding=True, return_tensors="pt")
    # All real tokens are asked for, and none is masked.
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    loss = model(**batch, labels=labels).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if step % 50 == 0 or step == arguments.steps - 1:
        print(f"step {step}: loss {loss.item():.3f}")

model.save_pretrained(arguments.output_dir)
tokenizer.save_pretrained(arguments.output_dir)

text = hf_ext.generate_samples(1, seed=1)[0]["text"]
place = len(text) // 2
wrong = f"{text[:place]}{'我' if text[place] != '我' else '你'}{text[place + 1 :]}"
scorer = pipeline("text-scoring", model=arguments.output_dir)
for one, found in zip((text, wrong), scorer([text, wrong])):
    print(f"{found['score']:.2f} for {one}")
for found in pipeline("spelling-suspicions", model=arguments.output_dir)(wrong):
    print(f"{found['text']} at {found['start']}: rather {found['candidates'][0]['text']} ({found['score']:.2f})")
