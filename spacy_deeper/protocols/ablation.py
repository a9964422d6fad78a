"""Table 3 of Crone (2020): what the task-specific layers are worth."""

from collections.abc import Mapping
from typing import Any

from ..errors import Errors

DEPTHS = ("vars.shared_depth", "vars.ner_depth", "vars.re_depth")


def ablation_rows(vars: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Take a task's own layers away, and add as many shared ones.

    All layers above the first read and write the same width, so that a layer is as large wherever
    it is and all rows have the same number of parameters.

    vars (Mapping[str, Any]): [vars] of the config, with the depths of the complete model.
    RETURNS (Dict[str, Dict[str, int]]): The settings of each row.
    """
    names = [key.removeprefix("vars.") for key in DEPTHS]
    missing = [name for name in names if not isinstance(vars.get(name), int)]
    if missing:
        raise ValueError(Errors.D303.format(missing=", ".join(missing)))
    shared, ner, re = (vars[name] for name in names)
    if min(shared, ner, re) < 1:
        raise ValueError(Errors.D304.format(shared=shared, ner=ner, re=re))
    rows = {
        "Baseline": (shared, ner, re),
        "No NER-specific BiRNNs": (shared + ner, 0, re),
        "No RE-specific BiRNNs": (shared + re, ner, 0),
        "No task-specific BiRNNs": (shared + ner + re, 0, 0),
    }
    return {row: dict(zip(DEPTHS, depths, strict=True)) for row, depths in rows.items()}
