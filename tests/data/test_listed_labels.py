from hf_ext.data.listed_labels import listed_labels


def test_a_long_list_is_cut_between_labels():
    names = [str(number) for number in range(100, 109)]
    assert listed_labels(names) == "100, 101, 102, 103, 104, 105, 106, 107, ... (9 in all)"
    assert listed_labels(names[:8]) == "100, 101, 102, 103, 104, 105, 106, 107"
    assert listed_labels(("a",)) == "a"
