"""Two processes take the steps of one: `adversarial_in_two_processes` trains."""

from pathlib import Path

import adversarial_in_two_processes
import pytest
import torch
from adversarial_in_two_processes import CASES, train
from launch import run_two_processes


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    run_two_processes(Path(adversarial_in_two_processes.__file__), folder)
    return torch.load(folder / "found.pt")


@pytest.mark.slow
@pytest.mark.parametrize(("head", "method"), CASES)
def test_two_processes_take_the_steps_of_one(found, tmp_path, head, method):
    wanted = train(head, method, tmp_path, 1)
    for name, value in found[head, method].items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-6, atol=1e-8, msg=name)
