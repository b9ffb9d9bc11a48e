"""An encoder without attention: masked characters of generated sentences, told by any of seven mixers.

python examples/token_mixer.py --mixer fnet --steps 300
"""

import argparse

import torch
from transformers import DataCollatorForLanguageModeling

import hf_ext

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument(
    "--mixer",
    default="gmlp",
    choices=("gmlp", "amlp", "fnet", "mlp", "synthesizer_random", "synthesizer_dense", "external"),
)
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--rows", type=int, default=32, help="sentences of a batch")
arguments = parser.parse_args()

texts = [example["text"] for example in hf_ext.generate_samples(2000, seed=0)]
tokenizer = hf_ext.build_char_tokenizer(texts)
encoded = [{"input_ids": ids} for ids in tokenizer(texts, truncation=True, max_length=64)["input_ids"]]
train, held_out = encoded[:-200], encoded[-200:]
collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=0)

torch.manual_seed(0)
size = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512}
config = hf_ext.TokenMixerConfig(
    vocab_size=len(tokenizer),
    max_position_embeddings=64,
    mixer=arguments.mixer,
    pad_token_id=tokenizer.pad_token_id,
    **size,
)
model = hf_ext.TokenMixerForMaskedLM(config)
print(f"{arguments.mixer}: {sum(p.numel() for p in model.token_mixer.encoder.parameters()):,} parameters in the blocks")
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
for step in range(arguments.steps):
    chosen = torch.randint(len(train), (arguments.rows,)).tolist()
    loss = model(**collator([train[i] for i in chosen])).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if step % 20 == 0 or step == arguments.steps - 1:
        print(f"step {step}: loss {loss.item():.3f}")

model.eval()
batch = collator(held_out)
with torch.no_grad():
    found = model(**batch).logits.argmax(-1)
asked = batch["labels"] != -100
print(f"{(found == batch['labels'])[asked].float().mean().item():.1%} of the masked characters are told right")
