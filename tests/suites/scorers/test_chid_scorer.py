"""CHID's accuracy over the tags of the file of answers."""

import pytest

from hf_ext.suites.scorers import chid_accuracy


def test_accuracy():
    answers = {"#idiom000001#": 3, "#idiom000002#": 0, "#idiom000003#": 9}
    found = {"#idiom000002#": 1, "#idiom000009#": 7, "#idiom000003#": 9, "#idiom000001#": 3}
    assert chid_accuracy(found, answers) == {"accuracy": 2 / 3, "total": 3}
    with pytest.raises(ValueError, match="1 are missing: #idiom000001#"):
        chid_accuracy({"#idiom000002#": 1, "#idiom000003#": 9}, answers)
    with pytest.raises(ValueError, match="integers of candidates, got '3' for #idiom000001#"):
        chid_accuracy({**found, "#idiom000001#": "3"}, answers)
    with pytest.raises(ValueError, match="one tag or more"):
        chid_accuracy(found, {})
