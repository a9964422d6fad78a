"""`python -m spacy relations …`: spaCy finds it by the entry point `spacy_cli`."""

from spacy.cli._util import app as spacy_app

from ..compat import Typer
from .annotate import annotate_cli
from .check_counts import check_counts_cli
from .convert import convert_cli
from .debug_data import debug_data_cli
from .evaluate import evaluate_cli
from .merge_config import merge_config_cli
from .protocol import app as protocol_app
from .quantize import quantize_cli
from .show import show_cli
from .warm_cache import warm_cache_cli

HELP = "Commands for relation extraction with spacy-deeper."

app = Typer(name="relations", help=HELP, no_args_is_help=True, rich_markup_mode=None)
app.command("annotate")(annotate_cli)
app.command("convert")(convert_cli)
app.command("check-counts")(check_counts_cli)
app.command("debug-data")(debug_data_cli)
app.command("merge-config")(merge_config_cli)
app.command("evaluate")(evaluate_cli)
app.command("quantize")(quantize_cli)
app.command("show")(show_cli)
app.add_typer(protocol_app)
app.command("warm-cache", context_settings={"ignore_unknown_options": True})(warm_cache_cli)

spacy_app.add_typer(app)
