import io
import zipfile

import pytest
from submission_zips import zipped

from hf_ext.suites.submission import SubmissionFile, split_name, validate
from hf_ext.suites.submission.names import SPLITS, right_names

CLUE = [
    f"{stem}_predict.json"
    for stem in (
        "afqmc", "iflytek", "cmnli", "csl", "ocnli_50k", "tnews10", "tnews11", "cluewsc10", "cluewsc11", "c310", "c311",
        "chid10", "chid11", "cmrc2018", "cluener",
    )
]  # fmt: skip
FEWCLUE = [
    f"{stem}_predict.json"
    for stem in ("bustm", "chidf", "cluewscf", "csldcp", "cslf", "eprstmt", "iflytekf", "ocnlif", "tnewsf")
]
LINE = '{"id": 0, "label": "a"}\n'


def files(*names, **options):
    return [SubmissionFile(name=name, kind="label", **options) for name in names]


def messages(stream, expected, **options):
    return [(fault.severity, fault.kind, fault.message) for fault in validate(stream, expected, **options)]


@pytest.mark.parametrize(
    ("name", "expected", "right"),
    [
        ("wsc_predict.json", CLUE, ["cluewsc10_predict.json", "cluewsc11_predict.json"]),
        ("cluewsc2020_predict.json", CLUE, ["cluewsc10_predict.json", "cluewsc11_predict.json"]),
        ("wsc11_predict.json", CLUE, ["cluewsc11_predict.json"]),
        ("ocnli_predict.json", CLUE, ["ocnli_50k_predict.json"]),
        ("tnews_predict.json", CLUE, ["tnews10_predict.json", "tnews11_predict.json"]),
        ("tnews_prediction.json", CLUE, ["tnews10_predict.json", "tnews11_predict.json"]),
        ("cluener2020_results.json", CLUE, ["cluener_predict.json"]),
        ("CSL_predict.json", CLUE, ["csl_predict.json"]),
        ("csl.json", CLUE, ["csl_predict.json"]),
        ("afqcm_predict.json", CLUE, ["afqmc_predict.json"]),
        ("notes.txt", CLUE, []),
        ("tnews_predict.json", ["cluener_predict.json"], []),
        ("csl_predict.json", FEWCLUE, ["cslf_predict.json"]),
        ("chid_predict.json", FEWCLUE, ["chidf_predict.json"]),
        ("wsc_predict.json", FEWCLUE, ["cluewscf_predict.json"]),
        ("eprstmtf_predict.json", FEWCLUE, ["eprstmt_predict.json"]),
        ("csl_predict_0.json", ["cslf_predict_0.json", "cslf_predict_1.json"], ["cslf_predict_0.json"]),
        ("csl_predict.json", ["cslf_predict_0.json"], ["cslf_predict_0.json"]),
    ],
)
def test_what_a_file_should_be_called(name, expected, right):
    assert right_names(name, expected) == right


def test_a_right_name_is_right():
    for name in (*CLUE, *FEWCLUE):
        assert right_names(name, [name]) == [name]


def test_names_of_the_board_of_splits():
    names = [split_name("bustm_predict.json", split) for split in SPLITS]
    assert names == [f"bustm_predict_{split}.json" for split in ("0", "1", "2", "3", "4", "all")]
    with pytest.raises(ValueError, match="one of 0, 1, 2, 3, 4, all, got '5'"):
        split_name("bustm_predict.json", "5")
    with pytest.raises(ValueError, match=r"must end in _predict.json, got 'bustm.json'"):
        split_name("bustm.json", "0")


def test_wrong_names_in_a_zip():
    found = messages(zipped({"wsc_predict.json": LINE}), files("cluewsc10_predict.json", "csl_predict.json"))
    assert found == [
        ("error", "name", "wsc_predict.json is no name of this submission; it should be cluewsc10_predict.json"),
        ("error", "missing", "the zip must have cluewsc10_predict.json"),
        ("error", "missing", "the zip must have csl_predict.json"),
    ]
    assert messages(zipped({"notes.txt": "a"}), files("a.json", required=False)) == [
        ("error", "name", "notes.txt is no name of this submission")
    ]


def test_folders_in_a_zip():
    """What is in one is checked all the same."""
    stream = zipped({"results/a.json": "[]\n", "__MACOSX/results/._a.json": "", ".DS_Store": ""})
    assert messages(stream, files("a.json")) == [
        ("error", "name", "the zip must be flat: results/a.json must be called a.json"),
        ("warning", "name", "the zip has __MACOSX/results/._a.json, which is none of the submission"),
        ("warning", "name", "the zip has .DS_Store, which is none of the submission"),
        ("error", "JSON", "the file must have a JSON object on each line, got one list or object of all rows"),
    ]


def test_a_zip_that_is_read_whole():
    """DuIE's scorer reads every file, whatever it is called."""
    duie = [SubmissionFile(name="duie.json", kind="relations", any_name=True)]
    line = '{"text": "t", "spo_list": []}\n'
    assert messages(zipped({"mine.json": line}), duie) == []
    assert messages(zipped({"mine.json": line, ".DS_Store": ""}), duie) == [
        ("error", "name", "the zip has .DS_Store, which the scorer would read")
    ]
    assert messages(zipped({"mine.json": line, "other.json": line}), duie) == [
        ("error", "name", "other.json is no name of this submission")
    ]
    assert messages(zipped({}), duie) == [("error", "missing", "the zip must have duie.json")]


def test_zip_of_another_name(tmp_path):
    path = tmp_path / "mine.zip"
    path.write_bytes(zipped({"a.json": LINE}).getvalue())
    found = validate(path, files("a.json"), zip_name="submit.zip")
    assert [str(fault) for fault in found] == ["mine.zip: warning: the zip must be called submit.zip"]
    assert validate(path, files("a.json")) == []


def test_same_name_twice():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.json", LINE)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.json", LINE)
    assert messages(stream, files("a.json")) == [("error", "name", "a.json must be in the zip once, got 2")]


def test_what_is_no_zip(tmp_path):
    path = tmp_path / "submit.zip"
    path.write_text(LINE)
    assert [str(fault) for fault in validate(path, [])] == [
        "submit.zip: error: the submission must be a zip: File is not a zip file"
    ]
    with pytest.raises(FileNotFoundError):
        validate(tmp_path / "none.zip", [])


def test_zip_that_is_damaged():
    stream = zipped({"a.json": LINE, "b.json": LINE})
    data = stream.getvalue()
    place = data.index(b'"label"')
    broken = io.BytesIO(data[:place] + b"?" + data[place + 1 :])
    (fault,) = validate(broken, files("a.json", "b.json"))
    assert (fault.file, fault.kind, fault.severity) == ("a.json", "zip", "error")
    assert "Bad CRC-32" in fault.message
