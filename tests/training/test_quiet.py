"""A run without the bars and reports of other libraries, and these again after it."""

import logging
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.utils as hub
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertForMaskedLM
from transformers.utils import logging as transformers_logging

from hf_ext.training.quiet import quiet_libraries

SIZES: dict[str, Any] = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}


def state() -> list[Any]:
    loading = logging.getLogger("transformers.modeling_utils")
    bars = (transformers_logging.is_progress_bar_enabled(), hub.are_progress_bars_disabled())
    return [*bars, datasets.are_progress_bars_disabled(), [*loading.filters], transformers_logging.get_verbosity()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(**SIZES, intermediate_size=8)).save_pretrained(tmp_path / "mlm")
    return tmp_path / "mlm"


def test_bars_are_off_and_come_back(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = datasets.Dataset.from_dict({"number": [1, 2, 3]})

    def work() -> str:
        capfd.readouterr()
        BertForMaskedLM.from_pretrained(folder).save_pretrained(folder)
        rows.map(lambda row: {"other": row["number"]}, load_from_cache_file=False)
        return capfd.readouterr().err

    before = state()
    assert "Loading weights" in work()
    with quiet_libraries():
        assert work() == ""
        assert not hub.are_progress_bars_disabled()
    assert state() == before
    assert "Map" in work()


@pytest.mark.parametrize("library", ["transformers", "hub", "datasets"])
def test_what_was_off_stays_off(library: str) -> None:
    switches: dict[str, Any] = {
        "transformers": (transformers_logging.disable_progress_bar, transformers_logging.enable_progress_bar),
        "hub": (hub.disable_progress_bars, hub.enable_progress_bars),
        "datasets": (datasets.disable_progress_bars, datasets.enable_progress_bars),
    }
    off, on = switches[library]
    off()
    try:
        before = state()
        with pytest.raises(RuntimeError), quiet_libraries():
            raise RuntimeError
        assert state() == before
    finally:
        on()


def test_a_report_of_loading_is_a_line(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    transformers_logging.enable_propagation()
    try:
        with quiet_libraries():
            AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
            (line,) = {record.getMessage() for record in caplog.records}
            # What has nothing to tell of says nothing.
            caplog.clear()
            BertForMaskedLM.from_pretrained(folder)
            assert caplog.records == []
    finally:
        transformers_logging.disable_propagation()
    assert line.startswith(
        f"not in {folder} and new: bert.pooler.dense.bias, bert.pooler.dense.weight, classifier.bias, "
    )
    assert f"; in {folder} and not used: cls.predictions.bias, " in line
    assert line.endswith(" more")
    assert "\n" not in line


def test_a_report_that_an_error_follows_is_whole(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    transformers_logging.enable_propagation()
    try:
        with quiet_libraries(), pytest.raises(RuntimeError, match="above report"):
            BertForMaskedLM.from_pretrained(folder, vocab_size=7)
    finally:
        transformers_logging.disable_propagation()
    assert "LOAD REPORT" in caplog.text
    assert "ckpt: torch.Size([9, 8]) vs model:torch.Size([7, 8])" in caplog.text
