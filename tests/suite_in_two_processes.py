"""One of two processes of `suites/test_two_processes.py`: trains tasks of CLUE and predicts. Called with a folder."""

import sys
from pathlib import Path

import torch

from hf_ext.suites import Training, predict_suite, shipped_suites
from hf_ext.training import run_steps

TASKS = ("wsc", "csl", "chid", "cluener")
OPTIONS = {"config": "tiny", "max_steps": 1, "use_cpu": True, "disable_tqdm": True}


def main(folder: Path) -> None:
    """Train twice, of which the second time finds what has ended; predict."""
    torch.set_num_threads(1)
    run_steps.save_curves = lambda *_, **__: None  # type: ignore[assignment]
    suite = shipped_suites()["clue"]
    training = Training(suite, folder / "data", folder / "runs", tasks=TASKS, options=OPTIONS)
    first = training.run()
    # What the first process has written last.
    torch.distributed.barrier()
    assert [run.scores for run in training.run()] == [run.scores for run in first]
    assert len(list(predict_suite(suite, folder / "data", folder / "runs", use_cpu=True))) == 3
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
