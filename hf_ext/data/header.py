"""Whether the first row of a file of columns names them."""

import re
from collections.abc import Sequence

# A row with one of these, or with one of the next before its last column, is a header: no data say so.
_LABEL_NAMES = {
    "label", "labels", "gold_label", "text1", "text2", "text_a", "text_b", "sentence1", "sentence2", "标签"
}  # fmt: skip
_TEXT_NAMES = {"text", "sentence", "content", "文本", "句子", "内容"}
# So is a row of nothing but these.
_OTHER_NAMES = {
    "id", "qid", "idx", "index", "guid", "premise", "hypothesis", "query", "title", "question", "answer", "review",
    "comment", "utterance", "document", "passage", "abstract", "article", "summary", "target", "source", "class",
    "category", "sentiment", "polarity", "intent", "topic", "stars", "rating", "score", "similarity", "duplicate",
    "is_duplicate", "quality", "emotion", "gold", "tweet", "post", "message", "body", "news", "headline", "user",
    "assistant", "prompt", "response", "input", "output", "reply", "context", "sent", "类别", "分类", "标题", "摘要",
    "分数", "相似度", "编号", "序号", "正文", "原文", "新闻", "评论", "问题", "回答", "答案", "情感", "意图", "主题",
}  # fmt: skip
# Of the columns of a pair, as in question1 and question_2.
_PLACE_IN_PAIR = re.compile(r"_?[12]$")


def is_header(columns: Sequence[str]) -> bool:
    """Whether the columns of a file's first row are their names."""
    if len(columns) < 2:
        return False
    names = [column.strip().casefold() for column in columns]
    bare = [_PLACE_IN_PAIR.sub("", name) for name in names]
    known = _LABEL_NAMES | _TEXT_NAMES | _OTHER_NAMES
    return bool(_LABEL_NAMES.intersection(names) or _TEXT_NAMES.intersection(bare[:-1]) or known.issuperset(bare))
