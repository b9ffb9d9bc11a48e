"""Checkpoints that load by code of their own, where this package is not, is, or is imported."""

import ast
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import fresh_process
import pytest
import torch
import transformers
from models_tiny import (
    ANSWERS,
    CHOICES,
    EVENT_TAGS,
    EVENTS,
    FAMILIES,
    HALF_POINTERS,
    LINEAR,
    RELATIONS,
    SPANS,
    TAGS,
    Case,
    auto_class,
)
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, BertTokenizer
from transformers.dynamic_module_utils import get_imports, get_relative_imports
from word_vocabulary import ENTRIES, SENTENCES

import hf_ext
from hf_ext import JiebaWordPieceTokenizer
from hf_ext.hub import add_code, saved_with
from hf_ext.hub.full_code import flat_name, full_code
from hf_ext.ops.graphs import op_namespace
from hf_ext.registration import FAMILIES as REGISTERED
from hf_ext.tasks.base.discovery import task_modules
from hf_ext.tokenization import CharacterWordPieceTokenizer
from hf_ext.version import __version__

# With PyTorch and Transformers these are there.
AT_HAND = {"huggingface_hub", "numpy", "packaging", "safetensors", "tokenizers", "torch", "transformers"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEADS = [SPANS, TAGS, RELATIONS, EVENTS, ANSWERS, HALF_POINTERS, EVENT_TAGS, LINEAR, CHOICES]


class Load(NamedTuple):
    """A checkpoint, and how it is loaded where this package is not."""

    family: str
    variant: str
    auto: str
    words: bool | None = None
    """Whether its tokenizer is one of words, or of characters; None: it has none."""
    from_hub: bool = False
    saves: bool = False

    @property
    def case(self) -> Case:
        family = FAMILIES[self.family]
        return Case(family, family.variants[self.variant].fields | {"num_labels": 3}, self.auto)

    def __str__(self) -> str:
        where = "hub" if self.from_hub else "folder"
        return f"{self.family} {self.variant}, {self.auto}, {where}{', saved' * self.saves}"


QUICK = [
    Load("roformer", "v2", TAGS, words=True, saves=True),
    Load("bert", "absolute", SPANS, words=True, from_hub=True),
]
OTHERS = [
    Load("roformer", "v2", "AutoModelForMaskedLM", words=False, from_hub=True, saves=True),
    Load("roformer", "v1", RELATIONS, words=False),
    Load("roformer", "learnt frequencies", "AutoModelForMaskedLM"),
    Load("roformer", "unilm", "AutoModelForCausalLM", from_hub=True),
    Load("gau_alpha", "softmax plus", TAGS, words=False, from_hub=True, saves=True),
    Load("gau_alpha", "softmax plus", "AutoModelForMultipleChoice"),
    Load("nezha", "bidirectional", EVENTS, words=True),
    Load("nezha", "causal", "AutoModelForCausalLM", saves=True),
    Load("flash", "mixed chunk", SPANS),
    Load("flash", "causal", "AutoModelForCausalLM"),
    Load("linear_roformer", "exp", SPANS),
    Load("linear_roformer", "causal favor", "AutoModelForCausalLM"),
    Load("token_mixer", "gmlp", SPANS),
    Load("token_mixer", "fnet", "AutoModelForMaskedLM", words=False, saves=True),
    Load("urpe", "gain", SPANS),
    Load("urpe", "causal", "AutoModelForCausalLM", saves=True),
    Load("unilm_bert", "unilm", "AutoModelForSequenceClassification"),
    Load("gpt_cdial", "causal", "AutoModelForCausalLM", words=False),
    Load("t_ta", "mask token", "AutoModelForMaskedLM", words=False, saves=True),
    Load("rope_vit", "mixed", "AutoModelForImageClassification", saves=True),
    Load("t5_pegasus", "pair", "AutoModelForSeq2SeqLM", words=True, from_hub=True, saves=True),
    Load("univae", "sphere", "AutoModel", words=False, saves=True),
    Load("bert", "absolute", RELATIONS, words=False, saves=True),
    Load("bert", "absolute", CHOICES),
    Load("electra", "factorized", ANSWERS),
    Load("electra", "factorized", LINEAR, saves=True),
    Load("modernbert", "rotary", EVENTS),
    Load("qwen3", "causal", TAGS, from_hub=True),
    Load("bert", "absolute", EVENT_TAGS, words=False),
    Load("gau_alpha", "softmax plus", HALF_POINTERS, saves=True),
]


def save_tokenizer(folder: Path, words: bool) -> Any:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{entry}\n" for entry in ENTRIES), encoding="utf-8")
    tokenizer = (JiebaWordPieceTokenizer if words else CharacterWordPieceTokenizer).from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def read(folder: Path, name: str = "config.json") -> dict[str, Any]:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def code_of(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.py")}


def loaded(loads: list[Load], home: Path, *options: str, **environment: str) -> tuple[dict[Load, Any], dict[str, Any]]:
    """What checkpoints give where this package is not, with what they have to give; and what was imported."""
    cases, wanted = [], {}
    for number, load in enumerate(loads):
        case, folder = load.case, home / f"case.{number}-x"
        if load.from_hub:
            repository = home / "hub" / f"models--org--case{number}"
            (repository / "refs").mkdir(parents=True)
            (repository / "refs" / "main").write_text(COMMIT)
            folder = repository / "snapshots" / COMMIT
        folder.mkdir(parents=True)
        case.make(dtype=torch.float32).save_pretrained(folder)
        asked = {"name": f"org/case{number}" if load.from_hub else str(folder), "batch": str(home / f"{number}.batch")}
        asked["auto"] = "AutoModel" if load.auto in HEADS else load.auto
        tell: dict[str, Any] = {}
        if load.words is not None:
            asked["text"] = SENTENCES
            tell["ids"] = save_tokenizer(folder, load.words)(SENTENCES)["input_ids"]
        if load.saves:
            asked["save"] = str(home / f"saved{number}")
        add_code(folder, "full")
        batch = case.batch([7, 3])
        torch.save(batch, asked["batch"])
        model = case.opener.from_pretrained(folder).eval()
        with torch.no_grad():
            output = model(**batch)
        tell["outputs"] = {key: value for key, value in output.items() if isinstance(value, torch.Tensor)}
        wanted[load] = tell | {"model": type(model).__name__}
        cases.append(asked)
    (home / "cases.json").write_text(json.dumps(cases))
    script = Path(__file__).parents[1] / "loaded_by_code.py"
    settings = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": "", "HF_EXT_TRITON": ""} | environment
    # As in this process: on other threads sums are of other parts, and round otherwise.
    settings["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [sys.executable, str(script), str(home / "cases.json"), *options],
        capture_output=True,
        text=True,
        env=os.environ | settings,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *found, imported = json.loads(done.stdout.splitlines()[-1])
    return {load: (one, wanted[load]) for load, one in zip(loads, found)}, imported


def check(found: dict[str, Any], wanted: dict[str, Any], load: Load) -> None:
    assert "error" not in found, found["error"]
    assert found["model"] == wanted["model"]
    assert found["module"].startswith("transformers_modules.")
    outputs = torch.load(found["outputs"])
    assert outputs.keys() == wanted["outputs"].keys() != set()
    for name, value in wanted["outputs"].items():
        assert torch.equal(outputs[name], value), name
    if load.words is not None:
        assert found["ids"] == wanted["ids"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("quick")
    return (*loaded(QUICK, home), home)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("others")
    # Where an environment has Triton beside it.
    return loaded(OTHERS, home, "--with-triton", PYTHONPATH=str(Path(sys.prefix) / "triton"))


class TestWithoutThePackage:
    @pytest.mark.parametrize("load", QUICK, ids=str)
    def test_the_same_to_the_last_digit(self, load, quick):
        check(*quick[0][load], load)

    @pytest.mark.slow
    @pytest.mark.parametrize("load", OTHERS, ids=str)
    def test_of_every_family_and_head(self, load, others):
        check(*others[0][load], load)

    def test_no_family_and_no_head_is_left_out(self):
        loads = QUICK + OTHERS
        assert {load.case.family.config for load in loads} >= REGISTERED.keys()
        assert {load.auto for load in loads} >= set(HEADS)
        heads = [import_module(module) for module in task_modules("head")]
        assert {
            f"AutoModel{one.head.suffix}" for head in heads for one in vars(head).values() if hasattr(one, "head")
        } == set(HEADS)

    def test_nothing_of_it_is_imported(self, quick):
        assert quick[1]["imported"] == []

    def test_kernels_fail_by_name_where_triton_is_not(self, quick):
        assert set(quick[1]["kernels"].values()) == {"import of triton halted; None in sys.modules"}

    @pytest.mark.slow
    def test_kernels_are_there_where_triton_is(self, others):
        names = {"hf_ext_ops_gated_attention_triton", "hf_ext_ops_pointer_loss_triton"}
        assert others[1] == {"imported": [], "kernels": dict.fromkeys(names, "imported")}

    def test_what_is_saved_again_has_its_code(self, quick):
        saved = quick[2] / "saved0"
        assert code_of(saved) == code_of(quick[2] / "case.0-x") > {"hf_ext_full.py"}
        assert read(saved)["auto_map"]["AutoModel"] == "hf_ext_full.RoFormerForSequenceLabeling"
        assert read(saved, "tokenizer_config.json")["auto_map"] == {
            "AutoTokenizer": ["hf_ext_full.JiebaWordPieceTokenizer", None]
        }
        # And this package reads it as any other.
        assert type(hf_ext.AutoModelForSequenceLabeling.from_pretrained(saved)).__module__.startswith("hf_ext.")

    def test_thin_code_asks_for_the_package(self, tmp_path):
        hf_ext.GAUAlphaForMaskedLM(FAMILIES["gau_alpha"].config(**FAMILIES["gau_alpha"].fields)).save_pretrained(
            tmp_path
        )
        assert add_code(tmp_path) == [tmp_path / "hf_ext_thin.py"]
        code = """
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name == "hf_ext":
            raise ModuleNotFoundError("No module named 'hf_ext'", name=name)
sys.meta_path.insert(0, Absent)
from transformers import AutoModel
AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)
"""
        done = fresh_process.run(code, str(tmp_path))
        assert done.returncode == 1
        assert "packages that were not found in your environment: hf_ext. Run `pip install hf_ext`" in done.stderr
        assert __version__ in (tmp_path / "hf_ext_thin.py").read_text()


class TestWithThePackage:
    def test_thin_code_imports_it(self, tmp_path):
        """And leaves no mark on its classes, by which the library would copy their files."""
        folder = tmp_path / "x"
        model = hf_ext.AutoModelForSpanExtraction.from_config(BertConfig(**FAMILIES["bert"].fields))
        model.save_pretrained(folder)
        save_tokenizer(folder, words=True)
        add_code(folder)
        code = """
import sys
import transformers.dynamic_module_utils
transformers.dynamic_module_utils.HF_MODULES_CACHE = sys.argv[2]
from transformers import AutoModel, AutoTokenizer
model = AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)
for one in (model, tokenizer):
    one.save_pretrained(sys.argv[3])
print(type(model).__module__, type(model).__name__, type(tokenizer).__module__)
"""
        done = fresh_process.run(code, str(folder), str(tmp_path / "modules"), str(tmp_path / "again"))
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [
            "hf_ext.tasks.entities.span_head",
            "BertForSpanExtraction",
            "hf_ext.tokenization.jieba_wordpiece",
        ]
        assert code_of(tmp_path / "again") == {"hf_ext_thin.py"}

    def test_copies_beside_it_give_the_same(self, tmp_path):
        """The copy comes first over an encoder of Transformers; what is registered by name keeps to itself."""
        folder = tmp_path / "x"
        config = BertConfig(**(FAMILIES["bert"].fields | {"vocab_size": len(ENTRIES), "num_labels": 3}))
        hf_ext.AutoModelForSequenceLabeling.from_config(config, sequence_head="crf").save_pretrained(folder)
        save_tokenizer(folder, words=True)
        add_code(folder, "full")
        code = """
import sys
import torch
import transformers.dynamic_module_utils
transformers.dynamic_module_utils.HF_MODULES_CACHE = sys.argv[2]
import hf_ext
from transformers import AutoModel, AutoTokenizer
trusted = {"trust_remote_code": True}
own = hf_ext.AutoModelForSequenceLabeling.from_pretrained(sys.argv[1], **trusted).eval()
copy = AutoModel.from_pretrained(sys.argv[1], **trusted).eval()
rows = [one.from_pretrained(sys.argv[1], **options)(["今天天气非常不错", "模型"], padding=True, return_tensors="pt")
        for one, options in ((hf_ext.JiebaWordPieceTokenizer, {}), (AutoTokenizer, trusted))]
assert torch.equal(rows[0]["input_ids"], rows[1]["input_ids"])
with torch.no_grad():
    outputs = [model(**rows[0], output_logits=True) for model in (own, copy, own)]
for other in outputs[1:]:
    assert outputs[0].keys() == other.keys()
    assert all(torch.equal(outputs[0][name], other[name]) for name in outputs[0])
from hf_ext.ops.graphs import op_namespace
module = next(name for name in sys.modules if name.endswith(".hf_ext_ops_crf_viterbi"))
assert hasattr(getattr(torch.ops, op_namespace(module)), "crf_decode")
print(type(own).__module__, type(copy).__module__.partition(".")[0])
"""
        done = fresh_process.run(code, str(folder), str(tmp_path / "modules"))
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["hf_ext.tasks.entities.tag_head", "transformers_modules"]

    @pytest.mark.parametrize("kind", ["thin", "full"])
    def test_its_classes_come_first(self, kind, tmp_path):
        model = hf_ext.RoFormerForMaskedLM(FAMILIES["roformer"].config(**FAMILIES["roformer"].fields))
        model.save_pretrained(tmp_path)
        add_code(tmp_path, kind)
        for trust in (None, True):
            found = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path, trust_remote_code=trust)
            assert type(found) is hf_ext.RoFormerForMaskedLM
            assert type(found.config) is hf_ext.RoFormerConfig

    @pytest.mark.parametrize("kind", ["thin", "full"])
    def test_what_is_saved_again_has_its_code(self, kind, tmp_path):
        """The head's own: a config tells of the head that it came with."""
        first, second, third = (tmp_path / name for name in ("first", "second", "third"))
        config = FAMILIES["roformer"].config(**FAMILIES["roformer"].fields)
        hf_ext.AutoModelForSpanExtraction.from_config(config).save_pretrained(first)
        save_tokenizer(first, words=True)
        written = add_code(first, kind)
        assert {path.name for path in written} == code_of(first)
        AutoTokenizer.from_pretrained(first).save_pretrained(second)
        assert "JiebaWordPieceTokenizer" in (second / f"hf_ext_{kind}.py").read_text() or kind == "thin"
        hf_ext.AutoModelForSpanExtraction.from_pretrained(first).save_pretrained(second)
        assert {name: (second / name).read_text() for name in code_of(second)} == {
            path.name: path.read_text() for path in written
        }
        AutoModel.from_pretrained(first).save_pretrained(third)
        assert read(third)["auto_map"]["AutoModel"] == f"hf_ext_{kind}.RoFormerModel"
        hf_ext.AutoModelForSequenceLabeling.from_pretrained(third).save_pretrained(third)
        assert read(third)["auto_map"]["AutoModel"] == f"hf_ext_{kind}.RoFormerForSequenceLabeling"
        assert ("hf_ext_tasks_entities_tag_head.py" in code_of(third)) == (kind == "full")
        assert "hf_ext_tasks_entities_span_head.py" not in code_of(third)

    def test_classes_of_a_newer_version_stop_no_save(self, tmp_path, caplog):
        hf_ext.NezhaModel(FAMILIES["nezha"].config(**FAMILIES["nezha"].fields)).save_pretrained(tmp_path / "first")
        add_code(tmp_path / "first", "full")
        model = hf_ext.NezhaModel.from_pretrained(tmp_path / "first")
        model.config.auto_map["AutoModelForNews"] = "hf_ext_full.NezhaForNews"
        model.save_pretrained(tmp_path / "second")
        assert "has no class 'NezhaForNews'" in caplog.text
        assert type(hf_ext.NezhaModel.from_pretrained(tmp_path / "second")) is hf_ext.NezhaModel
        assert code_of(tmp_path / "second") == code_of(tmp_path / "first")

    @pytest.mark.parametrize("family", ["bert", "nezha"])
    def test_a_save_that_uploads_takes_the_code_along(self, family, tmp_path, monkeypatch):
        made = SimpleNamespace(create_repo=lambda *_, **__: SimpleNamespace(repo_id="org/x"))
        monkeypatch.setattr("transformers.modeling_utils.hf_api", lambda: made)
        uploaded = []
        monkeypatch.setattr(
            transformers.PreTrainedModel,
            "_upload_modified_files",
            lambda self, folder, *_, **__: uploaded.append(code_of(Path(folder))),
        )
        config = FAMILIES[family].config(**FAMILIES[family].fields)
        hf_ext.AutoModelForSpanExtraction.from_config(config).save_pretrained(tmp_path / "first")
        written = add_code(tmp_path / "first", "full")
        model = hf_ext.AutoModelForSpanExtraction.from_pretrained(tmp_path / "first")
        model.save_pretrained(tmp_path / "second", push_to_hub=True)
        assert uploaded == [{path.name for path in written}]

    def test_one_kind_takes_the_place_of_the_other(self, tmp_path):
        hf_ext.RoFormerModel(FAMILIES["roformer"].config(**FAMILIES["roformer"].fields)).save_pretrained(tmp_path)
        (tmp_path / "hf_ext_notes.py").write_text("# A user's own.\n")
        full = {path.name for path in add_code(tmp_path, "full")}
        assert len(full) > 20
        assert code_of(tmp_path) == full | {"hf_ext_notes.py"}
        add_code(tmp_path, "thin")
        assert code_of(tmp_path) == {"hf_ext_thin.py", "hf_ext_notes.py"}
        assert set(read(tmp_path)["auto_map"].values()) < {
            f"hf_ext_thin.{name}" for name in ("RoFormerConfig", *hf_ext.models.roformer.__all__)
        }

    def test_folders_of_the_hub_are_made_safe(self, tmp_path):
        """A V2 of the type that Transformers would read as noise, and words under the name of its tokenizer."""
        config = FAMILIES["roformer"].config(**FAMILIES["roformer"].fields, norm_type="rms_norm", use_bias=False)
        hf_ext.RoFormerForMaskedLM(config).save_pretrained(tmp_path)
        settings = read(tmp_path) | {"model_type": "roformer"}
        (tmp_path / "config.json").write_text(json.dumps(settings))
        (tmp_path / "vocab.txt").write_text("".join(f"{entry}\n" for entry in ENTRIES), encoding="utf-8")
        (tmp_path / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "RoFormerTokenizer", "do_lower_case": true}'
        )
        add_code(tmp_path, "full")
        assert read(tmp_path)["model_type"] == "roformer_v2"
        assert read(tmp_path, "tokenizer_config.json") == {
            "tokenizer_class": "RoFormerTokenizer",
            "do_lower_case": True,
            "auto_map": {"AutoTokenizer": ["hf_ext_full.JiebaWordPieceTokenizer", None]},
        }
        assert type(AutoModel.from_pretrained(tmp_path)) is hf_ext.RoFormerModel

    @pytest.mark.parametrize("saved", [True, False])
    def test_a_tokenizer_of_characters_needs_code_where_its_files_do_not_say_all(self, saved, tmp_path):
        hf_ext.NezhaModel(FAMILIES["nezha"].config(**FAMILIES["nezha"].fields)).save_pretrained(tmp_path)
        (tmp_path / "vocab.txt").write_text(
            "".join(f"{entry}\n" for entry in ["天", "气", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        )
        if saved:
            AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
        add_code(tmp_path)
        found = read(tmp_path, "tokenizer_config.json").get("auto_map")
        assert found == (None if saved else {"AutoTokenizer": ["hf_ext_thin.CharacterWordPieceTokenizer", None]})

    def test_an_unknown_kind_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="kind must be one of thin, full, got 'fat'"):
            add_code(tmp_path, "fat")  # type: ignore[arg-type]

    def test_what_is_no_checkpoint_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match=r"folder must have a config\.json, got"):
            add_code(tmp_path)

    def test_what_loads_without_is_refused(self, tmp_path):
        BertForMaskedLM(BertConfig(**FAMILIES["bert"].fields)).save_pretrained(tmp_path)
        BertTokenizer(vocab={entry: index for index, entry in enumerate(ENTRIES)}).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="must have a model or a tokenizer of hf_ext, got"):
            add_code(tmp_path)
        assert code_of(tmp_path) == set()


class TestSavedWith:
    def test_gives_classes_by_name(self):
        give = saved_with(__version__)
        names = ("RoFormerConfig", "CharacterWordPieceTokenizer", "ElectraForEventExtraction", "RoFormerForParaphrase")
        assert [give(name).__name__ for name in names] == list(names)

    def test_says_what_it_lacks(self):
        with pytest.raises(AttributeError, match=r"no class 'X'; the checkpoint was saved with hf-ext 0\.0\.1"):
            saved_with("0.0.1")("X")
        with pytest.raises(AttributeError):
            saved_with("0.0.1")("__path__")

    def test_warns_of_a_newer_one(self, caplog):
        saved_with("999.0")("RoFormerConfig")
        assert 'run pip install "hf-ext>=999.0"' in caplog.text


@pytest.fixture(scope="module")
def everything() -> dict[str, str]:
    families = {one for models in REGISTERED.values() for one in models.values()} | REGISTERED.keys()
    heads = {auto_class(head)._model_mapping[config] for head in HEADS for config in (BertConfig, hf_ext.NezhaConfig)}
    return full_code([*families, *heads, JiebaWordPieceTokenizer, CharacterWordPieceTokenizer])


class TestFullCode:
    def test_every_file_is_whole(self, everything, tmp_path):
        """By the library's own look at a file; its look for files goes by lines, of docstrings too."""
        for name, text in everything.items():
            path = tmp_path / name
            path.write_text(text, encoding="utf-8")
            assert {f"{found}.py" for found in get_relative_imports(path)} <= everything.keys()
            assert set(get_imports(path)) - sys.stdlib_module_names <= AT_HAND, name
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Import):
                    assert not any(alias.name.startswith("hf_ext") for alias in node.names)
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    assert not str(node.module).startswith("hf_ext"), name
                if isinstance(node, ast.ImportFrom) and node.level and node.module is None:
                    assert {f"{alias.name}.py" for alias in node.names} <= everything.keys()

    def test_every_file_says_what_it_is(self, everything):
        for name, text in everything.items():
            licence, made, *_ = text.splitlines()
            assert "Apache License 2.0" in licence
            assert made.startswith(f"# Made by hf-ext {__version__} "), name
            assert made.endswith("; do not edit.")

    def test_no_file_registers_classes(self, everything):
        """`AutoModel` would then look no further, whatever ``auto_map`` says."""
        assert not {"hf_ext_registration.py", "hf_ext_auto_map.py"} & everything.keys()
        called = {
            ast.unparse(node.value.func)
            for text in everything.values()
            for node in ast.parse(text).body
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        }
        assert called <= {"AttentionInterface.register", "AttentionMaskInterface.register"}

    def test_all_files_are_found_by_the_one_that_has_the_classes(self, everything, tmp_path):
        (tmp_path / "hf_ext_full.py").write_text(everything["hf_ext_full.py"], encoding="utf-8")
        found = {f"{name}.py" for name in get_relative_imports(tmp_path / "hf_ext_full.py")}
        assert found == everything.keys() - {"hf_ext_full.py"}

    def test_operations_of_copies_have_names_of_their_own(self):
        """Of two of one name the first is lost, and runs the code of the second."""
        modules = [
            f"{package}.ops.crf.viterbi"
            for package in ("hf_ext", "transformers_modules.a.0", "transformers_modules.b.0")
        ]
        names = [op_namespace(module) for module in modules]
        assert names[0] == op_namespace("hf_ext.ops.graphs") == "hf_ext"
        assert len(set(names)) == 3
        assert all(name.isidentifier() for name in names)

    def test_no_two_modules_have_files_of_one_name(self):
        package = Path(hf_ext.__file__).parent
        modules = [
            ".".join(("hf_ext", *path.relative_to(package).with_suffix("").parts)) for path in package.rglob("*.py")
        ]
        assert len({flat_name(module.removesuffix(".__init__")) for module in modules}) == len(modules)

    def test_an_encoder_of_another_package_is_refused(self):
        class Mine(BertConfig):
            pass

        with pytest.raises(ValueError, match=r"needs classes of transformers and hf_ext, got .*Mine"):
            full_code([Mine])
