"""`relations protocol …`: many trainings, and what they say together."""

from ...compat import Typer
from .folds import folds_cli
from .report import report_cli
from .rows import ablation_cli, depths_cli, seeds_cli, variants_cli
from .search import search_cli

HELP = """Train and score many times: seeds, folds, an ablation, depths, variants, a search.

Each run has a process and a folder of its own. A protocol that was stopped goes on where it was:
finished runs are skipped. All results are in OUTPUT/results.json. Settings of the config can be
changed as with `spacy train`: --training.max_epochs 5. Schedules with `total_steps` end where a
run's training ends.
"""

app = Typer(name="protocol", help=HELP, no_args_is_help=True, rich_markup_mode=None)
OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}

app.command("seeds", context_settings=OVERRIDES)(seeds_cli)
app.command("ablation", context_settings=OVERRIDES)(ablation_cli)
app.command("depths", context_settings=OVERRIDES)(depths_cli)
app.command("variants", context_settings=OVERRIDES)(variants_cli)
app.command("folds", context_settings=OVERRIDES)(folds_cli)
app.command("search", context_settings=OVERRIDES)(search_cli)
app.command("report")(report_cli)
