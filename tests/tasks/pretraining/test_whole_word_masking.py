"""Rows of whole sentences, and masks on whole words: what is a word, how often, and what of it."""

import pickle
from collections import Counter

import jieba
import pytest
import torch
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForMaskedLM, BertTokenizer
from word_vocabulary import CHARACTERS, ENTRIES, SPECIAL

import hf_ext
from hf_ext.tasks.pretraining import DataCollatorForWholeWordMasking, DocumentEncoder
from hf_ext.tasks.pretraining.document_encoding import NO_WORD, partition_sentences

WORD = hf_ext.JiebaWordPieceTokenizer({entry: index for index, entry in enumerate(ENTRIES)})
CHARACTER = BertTokenizer(vocab={e: i for i, e in enumerate([*SPECIAL, *CHARACTERS, *(f"##{c}" for c in CHARACTERS)])})
TOKENIZERS = pytest.mark.parametrize("tokenizer", [WORD, CHARACTER], ids=["word", "character"])
TEXT = "今天天气非常不错，我们去公园散步吧。自然语言处理是有意思的研究！\n北京大学的学生学习modeling。"
DOCUMENTS = [TEXT * times for times in (1, 3, 7)] + ["好", "", "  \n ", "看"]


def words_of(tokenizer, ids, numbers):
    """The texts of the words, by their numbers."""
    found: dict[int, str] = {}
    for id, number in zip(ids, numbers):
        found[number] = found.get(number, "") + tokenizer.convert_ids_to_tokens(int(id)).removeprefix("##")
    found.pop(NO_WORD)
    return list(found.values())


class TestDocumentEncoder:
    @pytest.mark.parametrize(
        ("text", "sentences"),
        [
            ("", []),
            ("好", ["好"]),
            ("你好！？她说：“走吧。”然后走了", ["你好！？", "她说：“走吧。”", "然后走了"]),
            ("一\n\n二……三；四", ["一\n\n", "二……", "三；", "四"]),
        ],
    )
    def test_sentences(self, text, sentences):
        assert partition_sentences(text) == sentences

    @TOKENIZERS
    def test_words_are_those_of_jieba(self, tokenizer):
        text = "今天天气非常不错，北京大学的学生研究自然语言处理"
        rows = DocumentEncoder(tokenizer)([text])
        assert words_of(tokenizer, rows["input_ids"][0], rows["word_ids"][0]) == list(jieba.cut(text, HMM=False))

    @TOKENIZERS
    def test_a_word_outside_the_vocabulary_is_one(self, tokenizer):
        rows = DocumentEncoder(tokenizer)(["电影院Modeling"])
        assert words_of(tokenizer, rows["input_ids"][0], rows["word_ids"][0])[-1] == "modeling"
        numbers = rows["word_ids"][0]
        assert len(set(numbers)) < len(numbers) - 1

    def test_words_of_the_user(self):
        tokenizer = hf_ext.JiebaWordPieceTokenizer(
            {entry: index for index, entry in enumerate(ENTRIES)}, user_words=["公园散步"]
        )
        rows = DocumentEncoder(tokenizer)(["我们公园散步"])
        assert words_of(tokenizer, rows["input_ids"][0], rows["word_ids"][0]) == ["我们", "公园散步"]

    @TOKENIZERS
    def test_an_unknown_token_takes_its_word_with_it(self, tokenizer):
        rows = DocumentEncoder(tokenizer)(["天气𠀀天气[MASK]"])
        special = {tokenizer.unk_token_id, tokenizer.mask_token_id}
        for id, number in zip(rows["input_ids"][0][1:-1], rows["word_ids"][0][1:-1]):
            assert (number == NO_WORD) == (id in special)

    @TOKENIZERS
    @pytest.mark.parametrize("max_length", [3, 4, 7, 20, 33, 512])
    def test_rows_are_full_and_nothing_is_lost(self, tokenizer, max_length):
        encoder = DocumentEncoder(tokenizer, max_length=max_length)
        for document in DOCUMENTS:
            rows = encoder([document])
            whole = tokenizer(document, add_special_tokens=False)["input_ids"]
            assert [id for row in rows["input_ids"] for id in row[1:-1]] == whole
            sizes = [len(row) for row in rows["input_ids"]]
            assert sizes == [len(row) for row in rows["word_ids"]]
            assert all(3 <= size <= max_length for size in sizes)
            for ids, numbers in zip(rows["input_ids"], rows["word_ids"]):
                assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
                assert (numbers[0], numbers[-1]) == (NO_WORD, NO_WORD)
                kept = [number for number in numbers if number != NO_WORD]
                assert kept == sorted(kept)

    @TOKENIZERS
    def test_sentences_that_fit_stay_whole(self, tokenizer):
        lengths = [len(tokenizer(s, add_special_tokens=False)["input_ids"]) for s in partition_sentences(TEXT)]
        rows = DocumentEncoder(tokenizer, max_length=max(lengths) + 2)([TEXT])
        ends = {sum(lengths[: i + 1]) for i in range(len(lengths))}
        at = 0
        for row in rows["input_ids"]:
            at += len(row) - 2
            assert at in ends

    def test_rows_do_not_cut_words(self):
        encoder = DocumentEncoder(CHARACTER, max_length=7)
        words = Counter()
        for ids, numbers in zip(*encoder(["今天天气非常不错我们公园散步中国人民科学技术"]).values()):
            words.update(words_of(CHARACTER, ids, numbers))
        assert dict.fromkeys(jieba.cut("今天天气非常不错我们公园散步中国人民科学技术", HMM=False), 1) == words

    @TOKENIZERS
    def test_empty_documents_make_no_rows(self, tokenizer):
        assert DocumentEncoder(tokenizer)(["", "  \n "]) == {"input_ids": [], "word_ids": []}
        assert DocumentEncoder(tokenizer)([]) == {"input_ids": [], "word_ids": []}

    @TOKENIZERS
    def test_datasets_of_documents(self, tokenizer):
        from datasets import Dataset

        encoder = DocumentEncoder(tokenizer, max_length=20)
        encoded = encoder.encode_dataset(Dataset.from_dict({"text": DOCUMENTS, "id": list(range(len(DOCUMENTS)))}))
        assert {name: encoded[name][:] for name in encoded.column_names} == encoder(DOCUMENTS)
        assert pickle.loads(pickle.dumps(encoder))(DOCUMENTS) == encoder(DOCUMENTS)

    @pytest.mark.parametrize(("arguments", "message"), [({"max_length": 2}, "max_length must be at least 3.*got 2")])
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            DocumentEncoder(WORD, **arguments)


def rows_of(tokenizer, documents=DOCUMENTS, max_length=40):
    encoded = DocumentEncoder(tokenizer, max_length=max_length)(documents)
    return [dict(zip(encoded, row)) for row in zip(*encoded.values())]


def collator(tokenizer, seed=0, **arguments):
    generator = torch.Generator().manual_seed(seed)
    return DataCollatorForWholeWordMasking(tokenizer, generator=generator, **arguments)


class TestMasking:
    @TOKENIZERS
    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize("side", ["right", "left"])
    def test_words_are_masked_whole_and_labels_are_right(self, tokenizer, packed, side):
        rows = rows_of(tokenizer)
        tokenizer = pickle.loads(pickle.dumps(tokenizer))
        tokenizer.padding_side = side
        mask = collator(tokenizer, mlm_probability=0.3, packed=packed)
        for _ in range(20):
            batch = mask(rows)
            flat = batch["input_ids"] if packed else batch["input_ids"][batch["attention_mask"].bool()]
            labels = batch["labels"] if packed else batch["labels"][batch["attention_mask"].bool()]
            assert packed or bool((batch["labels"][~batch["attention_mask"].bool()] == -100).all())
            original = torch.tensor([id for row in rows for id in row["input_ids"]])
            numbers = [(index, n) for index, row in enumerate(rows) for n in row["word_ids"]]
            picked = labels.flatten() != -100
            assert torch.equal(labels.flatten()[picked], original[picked])
            assert torch.equal(flat.flatten()[~picked], original[~picked])
            fates: dict[tuple[int, int], set[bool]] = {}
            for number, one in zip(numbers, picked.tolist()):
                fates.setdefault(number, set()).add(one)
            assert all(len(fate) == 1 for fate in fates.values())
            assert not any(True in fate for (_, number), fate in fates.items() if number == NO_WORD)
            assert picked.any()

    @TOKENIZERS
    def test_shares_are_as_asked(self, tokenizer):
        rows = rows_of(tokenizer, [TEXT * 40], max_length=128)
        mask = collator(tokenizer)
        counts: Counter[str] = Counter()
        special = set(tokenizer.all_special_ids)
        for _ in range(60):
            batch = mask(rows)
            original = torch.where(batch["labels"] == -100, batch["input_ids"], batch["labels"])
            picked = batch["labels"] != -100
            seen = batch["input_ids"][picked]
            counts["tokens"] += sum(number != NO_WORD for row in rows for number in row["word_ids"])
            counts["picked"] += int(picked.sum())
            counts["masked"] += int((seen == tokenizer.mask_token_id).sum())
            counts["kept"] += int((seen == original[picked]).sum())
            assert not special & set(batch["labels"][picked].tolist())
            assert special & set(seen.tolist()) <= {tokenizer.mask_token_id}
        n = counts["picked"]
        assert n > 5000
        # Words are drawn together: the deviation is that of the words, not of the tokens.
        assert abs(n / counts["tokens"] - 0.15) < 5 * (0.15 * 0.85 * 3 / counts["tokens"]) ** 0.5
        assert abs(counts["masked"] / n - 0.8) < 5 * (0.8 * 0.2 / n) ** 0.5
        # One of the random tokens in a vocabulary is the one that was there.
        assert abs(counts["kept"] / n - 0.1) < 5 * (0.1 * 0.9 / n) ** 0.5 + 0.1 / 300

    @pytest.mark.parametrize(("mask", "other", "fate"), [(1.0, 0.0, "masked"), (0.0, 1.0, "other"), (0.0, 0.0, "kept")])
    def test_each_fate_alone(self, mask, other, fate):
        rows = rows_of(CHARACTER)
        batch = collator(CHARACTER, mlm_probability=1.0, mask_replace_prob=mask, random_replace_prob=other)(rows)
        picked = batch["labels"] != -100
        assert int(picked.sum()) == sum(number != NO_WORD for row in rows for number in row["word_ids"])
        seen, wanted = batch["input_ids"][picked], batch["labels"][picked]
        same = float((seen == wanted).float().mean())
        masks = float((seen == CHARACTER.mask_token_id).float().mean())
        assert {"masked": masks == 1, "other": masks == 0 and same < 0.05, "kept": same == 1}[fate]

    def test_the_seed_decides(self):
        rows = rows_of(WORD)
        first, again, other = (collator(WORD, seed)(rows)["labels"] for seed in (3, 3, 4))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        mask = collator(WORD, 3)
        assert torch.equal(mask(rows)["labels"], first)
        assert not torch.equal(mask(rows)["labels"], first)

    @pytest.mark.parametrize("packed", [False, True])
    def test_texts_of_one_token_and_of_none(self, packed):
        mask = collator(CHARACTER, packed=packed)
        one = rows_of(CHARACTER, ["好"])
        empty = {"input_ids": [2, 3], "word_ids": [-1, -1]}
        for _ in range(5):
            # A batch with a word has a label; never is it a special token.
            batch = mask([*one, empty])
            assert batch["labels"][batch["labels"] != -100].tolist() == one[0]["input_ids"][1:2]
        assert bool((mask([empty])["labels"] == -100).all())
        assert bool((collator(CHARACTER, mlm_probability=0.0)(one)["labels"] == -100).all())

    def test_a_word_with_a_special_token_is_left_alone(self):
        unknown = CHARACTER.unk_token_id
        row = {"input_ids": [2, 7, unknown, 8, 9, 3], "word_ids": [-1, 0, 0, 0, 1, -1]}
        labels = collator(CHARACTER, mlm_probability=1.0)([row])["labels"]
        assert labels.tolist() == [[-100, -100, -100, -100, 9, -100]]

    def test_packed_rows_restart(self):
        rows = rows_of(WORD)
        batch = collator(WORD, packed=True)(rows)
        assert batch["position_ids"].tolist() == [[i for row in rows for i in range(len(row["input_ids"]))]]
        assert batch.keys() == {"input_ids", "position_ids", "labels"}
        assert batch["labels"].shape == batch["input_ids"].shape == (1, sum(len(row["input_ids"]) for row in rows))

    def test_padding_to_a_multiple(self):
        batch = collator(WORD, pad_to_multiple_of=16)(rows_of(WORD))
        assert batch["input_ids"].shape[1] % 16 == 0
        assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape

    def test_a_model_learns_from_it(self):
        rows = rows_of(CHARACTER)
        config = BertConfig(vocab_size=len(CHARACTER), hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
        assert BertForMaskedLM(config)(**collator(CHARACTER)(rows)).loss.isfinite()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"mlm_probability": 1.5}, "mlm_probability must be between 0 and 1, got 1.5"),
            ({"mask_replace_prob": 0.8, "random_replace_prob": 0.3}, "must not exceed 1 together, got 0.8 and 0.3"),
            ({"packed": True, "pad_to_multiple_of": 8}, "pad_to_multiple_of must be None with packed=True, got 8"),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            collator(WORD, **arguments)

    def test_bad_rows(self):
        with pytest.raises(ValueError, match="remove_unused_columns=False"):
            collator(WORD)([{"input_ids": [2, 3]}])
        with pytest.raises(ValueError, match="word_ids must have a number a token, got 1 for 2 tokens"):
            collator(WORD)([{"input_ids": [2, 3], "word_ids": [-1]}])
        tokenizer = hf_ext.JiebaWordPieceTokenizer({e: i for i, e in enumerate(ENTRIES)}, mask_token=None)
        with pytest.raises(ValueError, match="must have a mask token"):
            collator(tokenizer)


GENERATORS = pytest.mark.parametrize("own", [True, False], ids=["own generator", "global generator"])


def load(own, seed, epochs, workers, start):
    """The labels of each batch, epoch after epoch."""
    rows = rows_of(CHARACTER, [TEXT])[:1] * 4
    loader = DataLoader(
        rows,
        batch_size=2,
        num_workers=workers,
        collate_fn=collator(CHARACTER, 1, mlm_probability=0.4) if own else global_collator(),
        multiprocessing_context=start,
        generator=torch.Generator().manual_seed(seed),
    )
    return [[batch["labels"].tolist() for batch in loader] for _ in range(epochs)]


def global_collator():
    return DataCollatorForWholeWordMasking(CHARACTER, mlm_probability=0.4)


@GENERATORS
def test_workers_differ_among_themselves_and_by_epoch_and_repeat_by_seed(own):
    first, second = load(own, 5, 2, 2, "fork")
    assert first[0] != first[1]
    assert first != second
    assert load(own, 5, 2, 2, "fork") == [first, second]
    assert load(own, 6, 1, 2, "fork") != [first]


@pytest.mark.slow
def test_spawned_workers_do_as_forked_ones():
    assert load(True, 5, 1, 1, "spawn") == load(True, 5, 1, 1, "fork")


def test_a_pickled_collator_goes_on_where_it_was():
    mask, rows = collator(CHARACTER), rows_of(CHARACTER)
    mask(rows)
    twin = pickle.loads(pickle.dumps(mask))
    for _ in range(2):
        assert torch.equal(twin(rows)["labels"], mask(rows)["labels"])
    assert twin.generator.initial_seed() == mask.generator.initial_seed()
    assert pickle.loads(pickle.dumps(global_collator())).generator is None
