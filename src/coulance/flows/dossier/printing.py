"""A dossier as PDF/A-3b: laid out by typst from values, its parts attached. The same dossier gives the same bytes."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from coulance.flows.dossier.gathering import Part
from coulance.platform.typesetting import UnableToTypesetError, typeset

_TEMPLATE = Path(__file__).with_name("dossier.typ")
# A hash is read letter by letter and copied: nothing may be put between its digits.
_COPIED = frozenset(("seal", "code"))


class UnableToPrintDossierError(ValueError):
    """A dossier that can't be set, even with unusual characters replaced."""


def printed(shown: Mapping[str, Any], *, parts: Sequence[Part], about: Mapping[str, str], at: datetime) -> bytes:
    """The PDF. `about`: what each part holds, by the part's own key. Raises `UnableToPrintDossierError`."""
    files = json.dumps(
        [
            {
                "name": one.name,
                "text": one.data.decode(),
                "media_type": one.media_type,
                "relationship": "supplement" if one.name == "check.py" else "data",
                "about": about[one.about],
            }
            for one in parts
        ],
        ensure_ascii=False,
    )
    try:
        return typeset(_TEMPLATE, shown, made=at, beside={"files": files}, verbatim=_COPIED)
    except UnableToTypesetError as fault:
        raise UnableToPrintDossierError(f"the dossier can't be printed: {fault}") from fault
