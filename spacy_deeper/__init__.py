from spacy.tokens import Doc

from .compat import mend_spacy, teach_pydantic_unions
from .relations import (
    Relation,
    as_doc,
    from_docs,
    get_relations,
    has_relations,
    install_extension,
    set_relations,
)

__all__ = [
    "Relation",
    "as_doc",
    "from_docs",
    "get_relations",
    "has_relations",
    "install_extension",
    "set_relations",
]

teach_pydantic_unions()
mend_spacy()

# spaCy imports this package whenever it makes an `nlp`, so another package that has the name keeps
# it. Our components, which need it, call `install_extension` themselves and complain.
if not Doc.has_extension("relations"):
    install_extension()
