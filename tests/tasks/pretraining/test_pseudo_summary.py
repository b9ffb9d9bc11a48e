"""The pseudo-summary task: sentences, the choice beside a naive twin, batches."""

import random
import time

import pytest
import torch

from hf_ext import T5PegasusConfig, T5PegasusForConditionalGeneration, build_char_tokenizer
from hf_ext.tasks.pretraining import DataCollatorForPseudoSummary
from hf_ext.tasks.pretraining.pseudo_summary import make_pseudo_summary, select_pseudo_summary, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("  \n ", []),
        ("没有句号", ["没有句号"]),
        ("一句。两句！三句？", ["一句。", "两句！", "三句？"]),
        ("他说：“走吧。”然后走了。", ["他说：“走吧。”", "然后走了。"]),
        ("精度为3.5倍.下一句.", ["精度为3.5倍.", "下一句."]),
        ("真的吗?!是的……好", ["真的吗?!", "是的……", "好"]),
        ("一行\n\n二行", ["一行\n", "二行"]),
    ],
)
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


def naive_overlap(a, b):
    """Length of the longest common subsequence by its definition, quadratic."""
    row = [0] * (len(b) + 1)
    for x in a:
        previous = row
        row = [0]
        for j, y in enumerate(b):
            row.append(previous[j] + 1 if x == y else max(previous[j + 1], row[j]))
    return row[-1]


def naive_selection(sentences, ratio):
    total, summary = sum(map(len, sentences)), set()
    while len(summary) < len(sentences) - 1 and sum(len(sentences[i]) for i in summary) < ratio * total:
        best = None
        for i in range(len(sentences)):
            if i in summary:
                continue
            own = "".join(s for j, s in enumerate(sentences) if j in summary or j == i)
            rest = "".join(s for j, s in enumerate(sentences) if j not in summary and j != i)
            overlap = naive_overlap(own, rest)
            if best is None or overlap > best[0]:
                best = overlap, i
        summary.add(best[1])
    return sorted(summary)


@pytest.mark.parametrize("seed", range(30))
def test_selection_is_that_of_the_naive_twin(seed):
    rng = random.Random(seed)
    alphabet = "甲乙丙丁戊己庚辛"[: rng.randint(1, 8)]
    sentences = ["".join(rng.choices(alphabet, k=rng.randint(1, 12))) for _ in range(rng.randint(2, 9))]
    ratio = rng.choice([0.05, 0.25, 0.6, 0.95])
    assert select_pseudo_summary(sentences, ratio) == naive_selection(sentences, ratio)


def test_the_sentence_that_the_others_say_is_chosen():
    sentences = [
        "模型使用旋转位置编码。",
        "天气很好。",
        "旋转位置编码用于模型中的注意力。",
        "我们在公园散步。",
        "注意力中使用旋转位置编码。",
    ]
    assert select_pseudo_summary(sentences, 0.01) == [0]


@pytest.mark.parametrize("sentences", [[], ["一句。"]])
def test_needs_two_sentences(sentences):
    with pytest.raises(ValueError, match="sentences must be two or more"):
        select_pseudo_summary(sentences)


@pytest.mark.parametrize("ratio", [0, 1, -0.5, float("nan")])
def test_needs_a_share(ratio):
    with pytest.raises(ValueError, match="ratio must be between 0 and 1"):
        select_pseudo_summary(["一。", "二。"], ratio)


def test_the_shorter_part_is_the_summary():
    example = make_pseudo_summary("短句一。" + "这是一个很长很长的句子" * 5 + "。")
    assert example == {"text": "这是一个很长很长的句子" * 5 + "。", "summary": "短句一。"}


def test_parts_make_up_the_document(shared):
    for line in (shared / "data" / "csl_title_clge" / "summarization_csl_dev.tsv").read_text("utf-8").splitlines()[:50]:
        text = line.split("\t")[1]
        sentences = split_sentences(text)
        if len(sentences) < 2:
            continue
        chosen = select_pseudo_summary(sentences)
        share = sum(len(sentences[i]) for i in chosen) / sum(map(len, sentences))
        assert share >= 0.25 or len(chosen) == len(sentences) - 1
        example = make_pseudo_summary(text)
        assert len(example["summary"]) <= len(example["text"])
        assert sorted(example["summary"] + example["text"]) == sorted("".join(sentences))


def test_long_documents_take_milliseconds():
    """Sixty sentences of forty characters: the naive twin takes minutes."""
    rng = random.Random(0)
    sentences = ["".join(rng.choices("天地人你我他山水火风雷电", k=40)) for _ in range(60)]
    start = time.process_time()
    chosen = select_pseudo_summary(sentences)
    assert time.process_time() - start < 5
    assert len(chosen) == 15


def test_collator():
    documents = ["模型使用旋转编码。注意力使用旋转编码。今天下雨。", "一二三四五。一二三。六七八九十。"]
    tokenizer = build_char_tokenizer(documents)
    fields = {"d_model": 16, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": len(tokenizer)}
    ids = {"decoder_start_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    model = T5PegasusForConditionalGeneration(T5PegasusConfig(**fields, **ids))
    collate = DataCollatorForPseudoSummary(tokenizer, model, max_source_length=12, pad_to_multiple_of=8)
    batch = collate([{"text": text} for text in documents])
    assert sorted(batch) == ["attention_mask", "decoder_input_ids", "input_ids", "labels"]
    assert batch["input_ids"].shape == (2, 16)
    for row, text in enumerate(documents):
        example = make_pseudo_summary(text)
        source = tokenizer(example["text"], truncation=True, max_length=12)["input_ids"]
        target = tokenizer(example["summary"])["input_ids"]
        assert batch["input_ids"][row, : len(source)].tolist() == source
        assert batch["attention_mask"][row].sum() == len(source)
        labels = batch["labels"][row]
        assert labels[labels != -100].tolist() == target[1:]
        assert batch["decoder_input_ids"][row, : len(target) - 1].tolist() == target[:-1]
    assert torch.isfinite(model(**batch).loss)
    with pytest.raises(ValueError, match="two or more"):
        collate([{"text": "只有一句。"}])
