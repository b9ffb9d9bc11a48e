"""Tokens that can never win: `unargmaxable_tokens` beside the published way, a linear program of all rows for each.

    python benchmarks/unargmaxable.py
    python benchmarks/unargmaxable.py --words 50000 --hidden 768 --programs 0

Heads are Gaussian rows with a bias, of which some are means of others, which never win. The other side is the program
of arXiv 2203.06462 with HiGHS in place of Gurobi, which is solved for a few of the rows alone, half of them such that
never win; it tells what wins within |z| <= 100, and both must agree. Its time is given for one row. The paper's own
search by reflections in front of it is left out, as it finds what the first of our steps finds.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

import harness

from hf_ext.analysis import unargmaxable_tokens

BOX = 100.0


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--hidden", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--means", type=int, default=4, help="rows that are means of others")
    parser.add_argument("--programs", type=int, default=4, help="rows that the linear program is solved for")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args(given)
    torch.set_num_threads(arguments.threads)
    for words in arguments.words:
        for hidden in arguments.hidden:
            weight, bias = head(words, hidden, arguments.means)
            started, clock = time.process_time(), time.perf_counter()
            found = unargmaxable_tokens(weight, bias, BOX)
            seconds, wall = time.process_time() - started, time.perf_counter() - clock
            chosen = [*range(arguments.means), *range(words - 1, arguments.means, -1)]
            chosen = chosen[: arguments.programs // 2] + chosen[arguments.means :][: -(-arguments.programs // 2)]
            started = time.process_time()
            for token in chosen[: arguments.programs]:
                margin = program(weight, bias, token)
                if (margin > 1e-9) != (found.kinds[token] == "wins"):
                    raise AssertionError(f"token {token}: margin {margin}, found {found.kinds[token]}")
            apiece = (time.process_time() - started) / max(arguments.programs, 1)
            row = {
                "words": words,
                "hidden": hidden,
                "never": len(found.unargmaxable),
                "outside": found.kinds.count("outside"),
                "undecided": found.kinds.count("undecided"),
                "all_rows_s": f"{seconds:.2f}",
                "all_rows_wall_s": f"{wall:.2f}",
                "program_of_a_row_s": f"{apiece:.3f}" if arguments.programs else "",
                "programs_of_all_rows_s": f"{apiece * words:.0f}" if arguments.programs else "",
                **harness.machine(),
            }
            print(" ".join(f"{name} {value}" for name, value in list(row.items())[:9]), flush=True)
            harness.append_rows(arguments.output or harness.RESULTS / "unargmaxable.csv", [row])


def head(words: int, hidden: int, means: int) -> tuple[Tensor, Tensor]:
    """Gaussian rows and small biases; the first rows are means of twice as many others as there are numbers."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(words, hidden, generator=generator, dtype=torch.float64)
    bias = 0.1 * torch.randn(words, generator=generator, dtype=torch.float64)
    for token in range(means):
        others = torch.randperm(words - means, generator=generator)[: 2 * hidden] + means
        weight[token], bias[token] = weight[others].mean(0), bias[others].mean() - 0.1
    return weight, bias


def program(weight: Tensor, bias: Tensor, token: int) -> float:
    """The greatest distance at which a token wins over all others within the box, from all of its rows."""
    others = torch.arange(len(weight)) != token
    apart, gaps = (weight[token] - weight)[others].numpy(), (bias[token] - bias)[others].numpy()
    matrix = np.hstack((-apart, np.linalg.norm(apart, axis=1, keepdims=True)))
    cost = np.zeros(weight.shape[1] + 1)
    cost[-1] = -1
    limits = [(-BOX, BOX)] * weight.shape[1] + [(None, 1.0)]
    return float(linprog(cost, matrix, gaps, bounds=limits, method="highs").x[-1])


if __name__ == "__main__":
    main()
