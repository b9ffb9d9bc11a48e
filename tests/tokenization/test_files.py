"""Saving, loading, choosing by the vocabulary, pickling and other processes."""

import copy
import itertools
import json
import multiprocessing
import pickle
from pathlib import Path

import fresh_process
import pytest
import transformers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedConfig
from transformers.tokenization_utils_tokenizers import TokenizersBackend
from word_vocabulary import CHARACTERS, ENTRIES, SENTENCES, SPECIAL

import hf_ext
from hf_ext.tokenization import CharacterWordPieceTokenizer, JiebaWordPieceTokenizer, register_tokenizers
from hf_ext.tokenization.vocabulary import read_vocabulary, write_vocabulary

WORD_VOCABULARY = {entry: index for index, entry in enumerate(ENTRIES)}


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    register_tokenizers(hf_ext.RoFormerConfig)
    # A second call changes nothing.
    register_tokenizers(hf_ext.RoFormerConfig)


def folder(path: Path, entries: list[str], **configs: dict) -> str:
    (path / "vocab.txt").write_text("".join(f"{entry}\n" for entry in entries), encoding="utf-8", newline="\n")
    for name, content in configs.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def tokenizer() -> JiebaWordPieceTokenizer:
    return JiebaWordPieceTokenizer(WORD_VOCABULARY)


def changed() -> JiebaWordPieceTokenizer:
    tokenizer = JiebaWordPieceTokenizer(WORD_VOCABULARY, user_words=["公园散步"], model_max_length=77)
    tokenizer.add_words(["究了"])
    tokenizer.add_tokens(["新词"])
    tokenizer.add_special_tokens({"extra_special_tokens": ["[E]"], "mask_token": "[M]"})
    return tokenizer


TEXTS = [*SENTENCES, "新词[E]究了[M]", "我们去公园散步"]


def outcome(tokenizer: JiebaWordPieceTokenizer) -> dict:
    batch = tokenizer(TEXTS, return_offsets_mapping=True)
    assert tokenizer(TEXTS)["input_ids"] == batch["input_ids"]
    return {
        **batch,
        "words": [batch.word_ids(row) for row in range(len(TEXTS))],
        "user_words": tokenizer.user_words,
        "special": tokenizer.special_tokens_map,
        "length": len(tokenizer),
        "maximum": tokenizer.model_max_length,
    }


def test_what_is_saved_reloads_equal(tmp_path):
    tokenizer = changed()
    files = tokenizer.save_pretrained(tmp_path)
    assert sorted(Path(file).name for file in files) == ["tokenizer_config.json", "vocab.txt"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tokenizer_config.json", "vocab.txt"]
    assert (tmp_path / "vocab.txt").read_bytes().decode() == "".join(f"{entry}\n" for entry in ENTRIES)
    for again in (AutoTokenizer.from_pretrained(tmp_path), JiebaWordPieceTokenizer.from_pretrained(tmp_path)):
        assert type(again) is JiebaWordPieceTokenizer
        assert outcome(again) == outcome(tokenizer)
        assert again.added_tokens_decoder == tokenizer.added_tokens_decoder
    second = tmp_path / "second"
    again.save_pretrained(second)
    assert (second / "tokenizer_config.json").read_text() == (tmp_path / "tokenizer_config.json").read_text()


def test_saving_removes_a_tokenizer_json_that_would_segment_otherwise(tmp_path, tokenizer):
    (tmp_path / "tokenizer.json").write_text("{}")
    tokenizer.save_pretrained(tmp_path)
    assert not (tmp_path / "tokenizer.json").exists()
    with pytest.raises(NotImplementedError, match="cannot hold the word segmentation"):
        tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))


def test_a_saved_folder_raises_where_the_package_is_not_imported(tmp_path, tokenizer):
    folder(tmp_path, [], config={"model_type": "bert"})
    tokenizer.save_pretrained(tmp_path)
    code = (
        "import sys; from transformers import AutoTokenizer\n"
        f"try: AutoTokenizer.from_pretrained({str(tmp_path)!r})\n"
        "except ValueError as error: print('ValueError', 'hf_ext' in sys.modules)"
    )
    run = fresh_process.run(code, cwd=tmp_path)
    assert run.stdout.strip() == "ValueError False", run.stderr


def test_released_vocabularies_keep_their_bytes(shared, tmp_path):
    for name in ("roformer-word_wobert-plus_t5-pegasus", "wobert"):
        source = shared / "vocab" / f"{name}.vocab.txt"
        JiebaWordPieceTokenizer(str(source)).save_pretrained(tmp_path)
        assert (tmp_path / "vocab.txt").read_bytes().removesuffix(b"\n") == source.read_bytes().removesuffix(b"\n")


def test_a_folder_with_only_a_vocabulary_loads(tmp_path):
    tokenizer = JiebaWordPieceTokenizer.from_pretrained(folder(tmp_path, ENTRIES))
    assert tokenizer.get_vocab() == WORD_VOCABULARY
    assert tokenizer.vocab_size == len(tokenizer) == len(ENTRIES)
    assert tokenizer.convert_tokens_to_ids(["", "\u2028"]) == [5, 6]
    assert tokenizer.tokenize("今天公园") == ["今天", "公园"]


def test_the_four_ways_of_construction_agree(tmp_path, tokenizer):
    path = Path(folder(tmp_path, ENTRIES)) / "vocab.txt"
    (tmp_path / "tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str())
    ways = [
        JiebaWordPieceTokenizer(str(path)),
        JiebaWordPieceTokenizer(path),
        JiebaWordPieceTokenizer(vocab_file=str(path)),
        JiebaWordPieceTokenizer(tokenizer_file=str(tmp_path / "tokenizer.json")),
        JiebaWordPieceTokenizer(tokenizer_object=tokenizer.backend_tokenizer),
        JiebaWordPieceTokenizer.from_pretrained(tmp_path),
        JiebaWordPieceTokenizer.from_pretrained(tmp_path, trust_remote_code=True),
    ]
    for way in ways:
        assert way.get_vocab() == WORD_VOCABULARY
        assert way(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
    empty = JiebaWordPieceTokenizer()
    assert sorted(empty.get_vocab()) == sorted(SPECIAL)


@pytest.mark.parametrize("name", ["RoFormerTokenizer", "RoFormerTokenizerFast", "BertTokenizer", None])
@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("file", ["vocab.txt", "tokenizer.json"])
def test_the_vocabulary_decides_for_a_roformer_folder(tmp_path, tokenizer, name, words, file):
    entries = ENTRIES if words else [*SPECIAL, *CHARACTERS, *(f"##{character}" for character in CHARACTERS)]
    configs = {"config": {"model_type": "roformer", "vocab_size": len(entries)}}
    if name is not None:
        configs["tokenizer_config"] = {"tokenizer_class": name, "do_lower_case": True, "strip_accents": None}
    folder(tmp_path, entries, **configs)
    if file == "tokenizer.json":
        maker = JiebaWordPieceTokenizer if words else BertTokenizer
        (tmp_path / file).write_text(maker(vocab=str(tmp_path / "vocab.txt")).backend_tokenizer.to_str())
        (tmp_path / "vocab.txt").unlink()
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    expected = JiebaWordPieceTokenizer if words and name != "BertTokenizer" else CharacterWordPieceTokenizer
    assert type(loaded) is expected
    batch = loaded("今天A", "公园")
    assert batch["token_type_ids"][-1] == 1
    assert loaded.tokenize("A") == ["a"]
    if expected is JiebaWordPieceTokenizer:
        assert batch["input_ids"] == tokenizer("今天A", "公园")["input_ids"]


def test_arguments_reach_the_tokenizer_that_the_vocabulary_chooses(tmp_path):
    path = folder(tmp_path, ENTRIES, config={"model_type": "roformer"})
    assert AutoTokenizer.from_pretrained(path, user_words=["究了"]).user_words == ["究了"]
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(OSError, match="has no vocabulary"):
        AutoTokenizer.from_pretrained(path)


@pytest.mark.parametrize("model_type", ["roformer", "gau_alpha", "nezha", "t5_pegasus", "unilm_bert", "urpe", "bert"])
@pytest.mark.parametrize("source", ["vocab.txt", "named", "saved", "json alone"])
def test_character_models_read_texts_as_the_originals(tmp_path, model_type, source):
    characters = ["哈", *"aοδσς"]
    entries = [*SPECIAL, *characters, *(f"##{letter}" for letter in characters[1:])]
    lines = [entry + blank for entry, blank in zip(entries, itertools.cycle(["", " ", "\t1", "\u3000"]))]
    configs = {"config": {"model_type": model_type, "vocab_size": len(entries)}}
    if source == "named":
        configs["tokenizer_config"] = {"tokenizer_class": "BertTokenizer"}
    path = folder(tmp_path, lines, **configs)
    if source in ("saved", "json alone"):
        CharacterWordPieceTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
        (tmp_path / "vocab.txt").unlink()
    elif model_type == "bert":
        pytest.skip("Transformers' own family")
    if source == "json alone":
        # What a program without this package makes of the folder.
        loaded = TokenizersBackend.from_pretrained(path)
    else:
        loaded = AutoTokenizer.from_pretrained(path)
        assert type(loaded) is CharacterWordPieceTokenizer
        assert loaded.get_vocab() == {entry: index for index, entry in enumerate(entries)}
    for text, wanted in (
        ("哈" + "a" * 150, ["哈", "a", *["##a"] * 149]),
        ("a" * 200, ["a", *["##a"] * 199]),
        ("a" * 201, ["[UNK]"]),
        ("哈ΟΔΟΣ", ["哈", "ο", "##δ", "##ο", "##ς"]),
        ("ΣΟΣ ΣΑΣ'Σ", ["σ", "##ο", "##ς", "[UNK]", "[UNK]", "ς"]),
    ):
        assert loaded.tokenize(text) == wanted, text
    token_types = model_type != "t5_pegasus" or source != "vocab.txt"
    assert ("token_type_ids" in loaded("哈")) == token_types


def test_no_name_of_ours_is_one_of_transformers():
    """By a class of that name `AutoTokenizer` would read our folders where this package is not."""
    from hf_ext import tokenization

    assert not any(hasattr(transformers, name) for name in tokenization.__all__ if name.endswith("Tokenizer"))


def test_white_space_behind_an_entry_is_not_part_of_it(tmp_path):
    (tmp_path / "vocab.txt").write_text(
        "\n".join([*SPECIAL, "我", "的 ", "天气\t3", " 好", "\u2028", "", "\u3000"]) + "\n", encoding="utf-8"
    )
    tokenizer = JiebaWordPieceTokenizer(tmp_path / "vocab.txt")
    assert tokenizer("我的天气好", add_special_tokens=False)["input_ids"] == [5, 6, 7, 8]
    assert tokenizer.convert_tokens_to_ids(["\u2028", "", "\u3000"]) == [9, 10, 11]
    tokenizer.save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").get_vocab() == tokenizer.get_vocab()
    with pytest.raises(ValueError, match="'的 我' holds white space"):
        write_vocabulary({"的 我": 0}, tmp_path / "vocab.txt")
    (tmp_path / "vocab.txt").write_text("的\n的 \n", encoding="utf-8")
    with pytest.raises(ValueError, match="entry '的' twice, in lines 1 and 2"):
        read_vocabulary(tmp_path / "vocab.txt")


def test_every_argument_is_kept(tokenizer):
    given = {"tokenize_chinese_chars": True, "strip_accents": None, "do_lower_case": True, "user_words": []}
    assert given.items() <= tokenizer.init_kwargs.items()


def test_a_wobert_folder_loads_by_name(tmp_path):
    path = folder(
        tmp_path, ENTRIES, config={"model_type": "bert"}, tokenizer_config={"tokenizer_class": "BertTokenizer"}
    )
    assert type(AutoTokenizer.from_pretrained(path)) is BertTokenizer
    assert JiebaWordPieceTokenizer.from_pretrained(path).tokenize("今天公园") == ["今天", "公园"]


@pytest.mark.parametrize("clone", [copy.deepcopy, copy.copy, lambda tokenizer: pickle.loads(pickle.dumps(tokenizer))])
def test_copies_are_equal(clone):
    tokenizer = changed()
    twin = clone(tokenizer)
    assert outcome(twin) == outcome(tokenizer)
    if clone is not copy.copy:
        twin.add_words(["们去"])
        assert tokenizer.user_words == ["公园散步", "究了"]


def _tokens_in_another_process(tokenizer: JiebaWordPieceTokenizer) -> tuple[list, list]:
    batch = tokenizer(TEXTS)
    return batch["input_ids"], [batch.word_ids(row) for row in range(len(TEXTS))]


def test_spawned_workers_encode_equally():
    tokenizer = changed()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_tokens_in_another_process, (tokenizer,)) == _tokens_in_another_process(tokenizer)


def test_datasets_map_with_processes_and_a_stable_fingerprint():
    from datasets import Dataset
    from datasets.fingerprint import Hasher

    tokenizer = changed()
    before = Hasher.hash(tokenizer)
    data = Dataset.from_dict({"text": TEXTS})
    mapped = data.map(lambda rows: tokenizer(rows["text"], truncation=True, max_length=9), batched=True, num_proc=2)
    assert mapped["input_ids"][:] == tokenizer(TEXTS, truncation=True, max_length=9)["input_ids"]
    tokenizer(TEXTS, return_offsets_mapping=True, padding=True, truncation=True, max_length=9)
    assert Hasher.hash(tokenizer) == before == Hasher.hash(changed())
    tokenizer.add_words(["们去"])
    assert Hasher.hash(tokenizer) != before


def test_a_new_vocabulary_can_be_trained(tokenizer):
    trained = tokenizer.train_new_from_iterator([["今天公园", "今天学习研究"] * 30] * 10, vocab_size=60)
    assert type(trained) is JiebaWordPieceTokenizer
    assert trained.tokenize("今天公园") == ["今天", "公园"]


FAMILIES = [getattr(hf_ext, f"{name}Config") for name in ("Nezha", "UniLMBert", "CDialGPT", "GAUAlpha", "FLASH")]


@pytest.mark.parametrize("config_class", FAMILIES)
def test_a_folder_of_any_family_with_only_a_vocabulary(config_class: type[PreTrainedConfig], tmp_path: Path) -> None:
    """Words are cut as words, characters as characters, though nothing but the vocabulary says which."""
    for folder, words in (("words", ["今天", "天气"]), ("characters", [])):
        (tmp_path / folder).mkdir()
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "今", "天", "气", *words]
        (tmp_path / folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
        config_class(vocab_size=len(tokens)).save_pretrained(tmp_path / folder)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / folder)
        assert tokenizer.tokenize("今天 天气") == (words or list("今天天气"))
