"""Equal tokens, and where each of them stands: relative attention cannot say, with URPE's gain it learns to.

python examples/urpe.py --steps 300 --length 16
"""

import argparse

import torch

import hf_ext
from hf_ext.analysis import probe_positions

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--length", type=int, default=16)
arguments = parser.parse_args()

size = {"vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
places = torch.arange(arguments.length)
for name, fields in {
    "a bias before softmax": {"gain": None},
    "and a gain after it": {},
    "or an l2 norm": {"gain": None, "attention_normalization": "l2"},
}.items():
    torch.manual_seed(0)
    model = hf_ext.URPEForTokenClassification(hf_ext.URPEConfig(**size, **fields, num_labels=arguments.length))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(arguments.steps):
        rows = torch.randint(50, (8, 1)).expand(-1, arguments.length)
        model(rows, labels=places.expand(8, -1)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        right = model.eval()(torch.arange(50)[:, None].expand(-1, arguments.length)).logits.argmax(-1) == places
    found = probe_positions(model, arguments.length)
    print(f"{name}: {float(right.float().mean()):.2f} right; spread {found.spread:.0e}, tells: {found.tells_positions}")
