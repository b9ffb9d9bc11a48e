"""Pseudo-log-likelihood of sentences: T-TA in one pass, a masked model of equal size and BERT in a pass a token.

    python benchmarks/t_ta_scoring.py --lengths 16,32,64,128

All sides are run by the pipeline "text-scoring", which runs the head over the vocabulary at the places that are asked
for alone. The paper (arXiv 2004.08097) counts passes of BERT of 12 blocks; a model of equal size shows what one pass
alone gains. Texts are of characters, all of one length, special tokens included.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForMaskedLM, pipeline

sys.path.insert(0, str(Path(__file__).parent))

import harness

from hf_ext import TTAConfig, TTAForMaskedLM, build_char_tokenizer


def sides_of(tokenizer: Any, vocab_size: int, blocks: int, longest: int, device: str) -> dict[str, Any]:
    """Side to its pipeline; of the first two the parameters are as many but for the token types."""
    size = {"vocab_size": vocab_size, "max_position_embeddings": longest}
    small = {"hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 2048, "num_hidden_layers": blocks}
    models = {
        "T-TA, one pass": TTAForMaskedLM(TTAConfig(**size, **small, mask_token_id=tokenizer.mask_token_id)),
        "equal, masked": BertForMaskedLM(BertConfig(**size, **small)),
        "BERT, masked": BertForMaskedLM(BertConfig(**size)),
    }
    make: Any = pipeline
    return {
        side: make("text-scoring", model=model.eval(), tokenizer=tokenizer, device=device)
        for side, model in models.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="16,32,64,128", help="tokens of a text")
    parser.add_argument("--texts", type=int, default=32, help="texts scored in a call")
    parser.add_argument("--no-bert", action="store_true", help="leave BERT out, which takes most of the time")
    parser.add_argument("--vocab-size", type=int, default=21128)
    parser.add_argument("--blocks", type=int, default=3, help="of T-TA and of the masked model of equal size")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "t_ta_scoring.csv")
    arguments = parser.parse_args()
    lengths = [int(length) for length in arguments.lengths.split(",")]
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    characters = [chr(0x4E00 + number) for number in range(2000)]
    tokenizer = build_char_tokenizer(characters, model_input_names=["input_ids", "attention_mask"])
    scorers = sides_of(tokenizer, arguments.vocab_size, arguments.blocks, max(lengths), arguments.device)
    if arguments.no_bert:
        del scorers["BERT, masked"]
    for length in lengths:
        picked = torch.randint(len(characters), (arguments.texts, length - 2)).tolist()
        texts = ["".join(characters[number] for number in row) for row in picked]
        calls = {side: partial(scorer, texts) for side, scorer in scorers.items()}
        assert all(one["tokens"] == length - 2 for call in calls.values() for one in call())
        measured = harness.compare(calls, arguments.rounds, device=arguments.device)
        case = {"tokens": length, "texts": arguments.texts, "blocks": arguments.blocks}
        harness.report("t_ta_scoring", case, measured, "T-TA, one pass", arguments.output, arguments.device)


if __name__ == "__main__":
    main()
