"""Every family on two processes, as data parallel and as sharded models; the table is in `models_tiny`."""

from pathlib import Path
from typing import Any

import pytest
import torch
from launch import run_two_processes
from models_tiny import IMAGE_HEADS, OUR_HEADS, TOKEN_HEADS, Case
from trainer_runs import labelled
from two_processes import LANGUAGE_HEADS, LENGTHS, PLANNED, count, step, train

pytestmark = [
    pytest.mark.slow,
    # Trainer pins memory on a machine without a GPU.
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]
WORKER = Path(__file__).parents[1] / "two_processes.py"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes found, all families in one launch."""
    folder = tmp_path_factory.mktemp("two_processes")
    run_two_processes(WORKER, folder)
    return torch.load(folder / "found.pt")


@pytest.mark.parametrize("case", TOKEN_HEADS + OUR_HEADS + IMAGE_HEADS)
def test_data_parallel(case: Case, found: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Two processes with two rows each train as one with four."""
    wanted = train(case, tmp_path, 4)
    # The library's losses over the vocabulary are computed in float32.
    torch.testing.assert_close(found[f"trained {request.node.callspec.id}"], wanted, atol=5e-6, rtol=0)


@pytest.mark.parametrize("case", LANGUAGE_HEADS)
def test_sharded(case: Case, found: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """Split over two processes as the model says, weights that are tied among them: the same logits and gradients."""
    model, batch = case.make().train(), labelled(case, LENGTHS)
    logits = model(**batch).logits
    model(**batch, num_items_in_batch=count(batch) * 2).loss.backward()
    wanted = {"logits": logits.detach()} | {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    torch.testing.assert_close(found[f"sharded {request.node.callspec.id}"], wanted, atol=5e-6, rtol=0)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("case", PLANNED)
def test_split_by_tensors(case: Case, tied: bool, found: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """Matrices divided among two processes by the plan of the config and the head, the vocabulary's among them."""
    wanted = step(case.make(tie_word_embeddings=tied), case)
    torch.testing.assert_close(found[f"split {request.node.callspec.id}"], wanted, atol=5e-6, rtol=0)
