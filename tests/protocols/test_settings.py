"""Settings that take the place of a config's own."""

import pytest
from thinc.api import Config

from spacy_deeper.protocols.settings import with_settings

TEXT = """
[vars]
depth = 1

[a]
b = ${vars.depth}
none = null

[a.c]
@layers = "one.v1"
d = 2

[a.c.e]
f = 3
"""


@pytest.fixture
def config():
    return Config().from_str(TEXT, interpolate=False)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"vars.depth": 7}, {"b": 7}),
        ({"a.new": "${vars.depth}"}, {"new": 1}),
        ({"a.c": None}, {"c": None}),
        ({"a.c": 0.5}, {"c": 0.5}),
        ({"a.c": {"@layers": "two.v1"}}, {"c": {"@layers": "two.v1"}}),
        ({"a.c.e.f": "4"}, {"c": {"@layers": "one.v1", "d": 2, "e": {"f": "4"}}}),
    ],
)
def test_they_replace_values_and_sections(config, settings, expected):
    """All else stays, variables too."""
    before = config.to_str(interpolate=False)
    changed = with_settings(config, settings)
    assert not changed.is_interpolated
    assert changed.interpolate()["a"] == {**config.interpolate()["a"], **expected}
    assert config.to_str(interpolate=False) == before


def test_a_dollar_is_no_variable(config):
    """As in the name of a folder; spaCy 3.3 can't interpolate it."""
    assert with_settings(config, {"a.none": "a$b"})["a"]["none"] == "a$b"


@pytest.mark.parametrize("key", ["var.depth", "a.x.y", "a.none.x", "a.b.c", "a.c.d.x"])
def test_a_section_that_is_not_there(config, key):
    with pytest.raises(ValueError, match=rf"^\[D322\] .*'{key}'"):
        with_settings(config, {key: 1})
