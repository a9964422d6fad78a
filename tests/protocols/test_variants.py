"""Rows of settings to compare."""

from pathlib import Path

import pytest
import srsly
from thinc.api import Config

from spacy_deeper.protocols.variants import has, read_variants

CONFIG = Config({"vars": {"depth": 1, "none": None}, "a": {"b": {"c": 1}, "d": {}}})


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("vars.depth", True),
        ("vars.none", True),
        ("a.b", True),
        ("a", True),
        ("a.d", True),
        ("a.b.c", True),
        ("a.b.c.d", False),
        ("a.x", False),
        ("x.b", False),
    ],
)
def test_has(key, found):
    assert has(CONFIG, key) == found


def test_sections_that_are_there_are_left_out_or_replaced(tmp_path: Path):
    path = tmp_path / "rows.json"
    rows = {"Ours": {}, "Less": {"a.b": None, "vars.depth": None}, "Other": {"a.b": 1}}
    srsly.write_json(path, rows)
    assert read_variants(path, CONFIG) == rows
    for wrong in ({"a.x": None}, {"a.b.d": 1}, {"a": 1}):
        srsly.write_json(path, {"Wrong": wrong})
        with pytest.raises(ValueError, match=r"^\[D322\]"):
            read_variants(path, CONFIG)
    srsly.write_json(path, {"Wrong": {"a.b": 1, "a.b.c": 2}})
    with pytest.raises(ValueError, match=r"^\[D347\] .*'Wrong' sets 'a.b.c'"):
        read_variants(path, CONFIG)
