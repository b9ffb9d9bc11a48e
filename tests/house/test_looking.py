"""The Python of docs/looking.md runs, with a small model in place of the one that it names."""

import re
from pathlib import Path

import pytest
import torch
from word_vocabulary import ENTRIES

from hf_ext import JiebaWordPieceTokenizer, RoFormerConfig, RoFormerModel

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "looking.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_examples_run(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "junnyu" / "roformer_chinese_base"
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    RoFormerModel(RoFormerConfig(vocab_size=len(ENTRIES), **size)).save_pretrained(folder)
    JiebaWordPieceTokenizer({entry: index for index, entry in enumerate(ENTRIES)}).save_pretrained(folder)
    torch.manual_seed(0)
    namespace = {}
    exec(BLOCKS[number], namespace)
    assert [file for file in tmp_path.iterdir() if file.suffix in (".html", ".png")]
