"""How long it takes to enlarge a model, comparison of outputs included, beside making one of that size.

    python benchmarks/enlarge.py --family roformer --factor 2

The small model is in memory. What is made beside it has random weights, and has to be trained from the beginning.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

import harness

import hf_ext
from hf_ext.enlargement import make_enlargement

MODELS: dict[str, tuple[Any, Any]] = {
    "roformer": (hf_ext.RoFormerForMaskedLM, hf_ext.RoFormerConfig),
    "gau_alpha": (hf_ext.GAUAlphaForMaskedLM, hf_ext.GAUAlphaConfig),
    "t5_pegasus": (hf_ext.T5PegasusForConditionalGeneration, hf_ext.T5PegasusConfig),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="roformer", choices=MODELS, help="whose base model it is")
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--layers", type=int, help="fewer blocks than the base model has")
    parser.add_argument("--rounds", type=int, default=1, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "enlarge.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model_class, config_class = MODELS[arguments.family]
    config = config_class()
    if arguments.layers:
        name = "num_layers" if arguments.family == "t5_pegasus" else "num_hidden_layers"
        setattr(config, name, arguments.layers)
    small = model_class(config)
    found: dict[str, Any] = {}

    def enlarged() -> None:
        made = make_enlargement(small, arguments.factor, noise=arguments.noise)
        found["config"], found["largest"] = made.model.config, made.largest
        found["parameters"] = sum(one.numel() for one in made.model.parameters())

    calls = {"enlarged": enlarged, "new": lambda: [model_class(found["config"])]}
    measured = harness.compare(calls, arguments.rounds, warm_up=False, wall=arguments.threads > 1)
    print(f"outputs are {found['largest']:.1e} apart", flush=True)
    case = {
        "family": arguments.family,
        "factor": arguments.factor,
        "millions": round(sum(one.numel() for one in small.parameters()) / 1e6),
        "to_millions": round(found["parameters"] / 1e6),
    }
    harness.report("enlarge", case, measured, "enlarged", arguments.output)


if __name__ == "__main__":
    main()
