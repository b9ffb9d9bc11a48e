import pytest

from hf_ext.data.documents import document_of_text, pick_document, pipeline_input, read_documents, with_found

TEXT = (("text",),)
PAIR = (("text", "text2"), ("text",))
QUESTION = (("question", "context"),)


@pytest.mark.parametrize(
    ("reads", "lines", "documents"),
    [
        (TEXT, ["甲\n", "\n", "乙"], [{"text": "甲"}, {"text": "乙"}]),
        (TEXT, ['{"text": "甲", "text2": "乙"}'], [{"text": "甲"}]),
        (PAIR, ["\n", "{甲}\n", '{"text": "乙"}'], [{"text": "{甲}"}, {"text": '{"text": "乙"}'}]),
        (PAIR, ["\r\n", '{"text": "甲", "text2": "乙"}\r\n'], [{"text": "甲", "text2": "乙"}]),
        (QUESTION, ['{"context": "乙", "id": 2, "question": "甲"}'], [{"question": "甲", "context": "乙"}]),
    ],
)
def test_documents_are_read(reads, lines, documents, tmp_path):
    (tmp_path / "f").write_bytes("".join(lines).encode())
    assert list(read_documents(tmp_path / "f", False, reads)) == documents


@pytest.mark.parametrize(
    ("reads", "line"),
    [
        (PAIR, '{"text": "a", "text2": 3}'),
        (PAIR, '{"text2": "a"}'),
        (PAIR, "[1]"),
        (QUESTION, '{"question": "a"}'),
        (QUESTION, '{"question": "a", "context": null}'),
        (QUESTION, "a"),
    ],
)
def test_a_line_that_is_no_document_is_named(reads, line, tmp_path):
    first = '{"text": "a", "question": "b", "context": "c"}'
    (tmp_path / "f").write_text(f"{first}\n\n{line}")
    with pytest.raises(ValueError, match=r"f:3: (a line must be a JSON object with|the line must be JSON)"):
        list(read_documents(tmp_path / "f", False, reads))


@pytest.mark.parametrize(("reads", "wanted"), [(TEXT, "text"), (PAIR, "line"), (QUESTION, "JSON object with")])
def test_a_file_without_documents_is_refused(reads, wanted, tmp_path):
    (tmp_path / "f").write_text("\n")
    with pytest.raises(ValueError, match=f"f must have at least one {wanted}"):
        list(read_documents(tmp_path / "f", False, reads))


def test_lines_are_read_as_documents_are_asked_for(tmp_path):
    (tmp_path / "f").write_text('{"text": "a", "text2": "b"}\n' * 3 + "no JSON\n")
    documents = read_documents(tmp_path / "f", False, PAIR)
    assert next(documents) == {"text": "a", "text2": "b"}
    with pytest.raises(ValueError, match="f:4: the line must be JSON"):
        list(documents)


def test_a_document_is_picked_from_an_object():
    record = {"text": "a", "text2": "b", "blank": "c", "id": 3, "group": None}
    assert pick_document(record, PAIR, ("blank", "group")) == {"text": "a", "text2": "b", "blank": "c"}
    with pytest.raises(ValueError, match=r'^document: a line must be a JSON object with strings "text" and "turns"'):
        pick_document({"text": "a", "turns": "b"}, (("text", "turns"),))


def test_a_text_alone_is_a_document_where_it_is_all_of_it():
    assert document_of_text("a", PAIR) == {"text": "a"}
    assert document_of_text("a", (("image",),)) == {"image": "a"}
    with pytest.raises(ValueError, match=r'reads JSON lines with "question" and "context", got a text alone'):
        document_of_text("a", QUESTION)


def test_a_pipeline_is_called_with_a_text_or_a_document():
    assert pipeline_input({"text": "a"}) == "a"
    assert pipeline_input({"text": "a", "text2": "b"}) == {"text": "a", "text2": "b"}


def test_what_was_found_stands_beside_the_document():
    assert with_found({"text": "a"}, "summary", "b") == {"text": "a", "summary": "b"}
    assert with_found({"text": "a"}, "answers", {"answer": "b"}) == {"text": "a", "answers": [{"answer": "b"}]}
