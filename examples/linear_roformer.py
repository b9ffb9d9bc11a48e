"""A RoFormer with linear attention as a causal language model of generated sentences, under a kernel of your choice.

python examples/linear_roformer.py --kernel exp --steps 300 --new-tokens 200
"""

import argparse

import torch

import hf_ext

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--kernel", default="exp", choices=("exp", "elu", "cosine", "favor"))
parser.add_argument("--feature-size", type=int, default=128, help="features of a head, whose size is 32")
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--length", type=int, default=512, help="tokens of a row in training")
parser.add_argument("--new-tokens", type=int, default=200)
arguments = parser.parse_args()

texts = [example["text"] for example in hf_ext.generate_samples(2000, seed=0)]
tokenizer = hf_ext.build_char_tokenizer(texts)
ids = torch.tensor(tokenizer("".join(texts), add_special_tokens=False)["input_ids"])

size = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
config = hf_ext.LinearRoFormerConfig(
    vocab_size=len(tokenizer),
    attention_kernel=arguments.kernel,
    feature_size=arguments.feature_size,
    is_decoder=True,
    **size,
)
model = hf_ext.LinearRoFormerForCausalLM(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for step in range(arguments.steps):
    starts = torch.randint(len(ids) - arguments.length, (4, 1))
    rows = ids[starts + torch.arange(arguments.length)]
    loss = model(rows, labels=rows).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if step % 20 == 0 or step == arguments.steps - 1:
        print(f"step {step}: loss {loss.item():.3f}")

model.eval()
prompt = tokenizer(texts[0][:8], add_special_tokens=False, return_tensors="pt")["input_ids"]
for new_tokens in (1, arguments.new_tokens):
    output = model.generate(prompt, max_new_tokens=new_tokens, do_sample=False, return_dict_in_generate=True)
    states = output.cache.states.values()
    held = sum(x.numel() * x.element_size() for state in states for x in vars(state).values())
    print(f"{new_tokens} new tokens: the cache holds {held / 2**10:.0f} KiB")
print(tokenizer.decode(output.sequences[0]).replace(" ", ""))
