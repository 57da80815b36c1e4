"""A dossier as PDF/A-3b: laid out by typst from values, its parts attached. The same dossier gives the same bytes."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from coulance.flows.dossier.gathering import Part
from coulance.invoicing.documents.glyphs import plain, safe

_TEMPLATE = Path(__file__).with_name("dossier.typ")


class UnableToPrintDossierError(ValueError):
    """A dossier that typst can't set, even with unusual characters replaced."""


def printed(shown: Mapping[str, Any], *, parts: Sequence[Part], about: Mapping[str, str], at: datetime) -> bytes:
    """The PDF. `about`: what each part holds, by the part's own key. Raises `UnableToPrintDossierError`."""
    import typst

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
    problem = ""
    for clean in (safe, plain):
        try:
            made = typst.compile(
                str(_TEMPLATE),
                root=str(_TEMPLATE.parent),
                font_paths=_fonts(),
                ignore_system_fonts=True,
                format="pdf",
                pdf_standards="a-3b",
                timestamp=int(at.timestamp()),
                sys_inputs={"data": json.dumps(_cleaned(shown, clean), ensure_ascii=False), "files": files},
            )
        except typst.TypstError as error:
            problem = str(error)
        except BaseException as error:
            # A panic inside typst arrives as pyo3's own BaseException; anything else is not ours to keep.
            if type(error).__name__ != "PanicException":
                raise
            problem = f"typst failed inside: {error}"
        else:
            if not isinstance(made, bytes):
                raise TypeError(f"typst gave {type(made).__name__}, expected bytes")
            return made
    raise UnableToPrintDossierError(f"the dossier can't be printed: {problem}")


@cache
def _fonts() -> Any:
    import typst

    return typst.Fonts(include_system_fonts=False)


def _cleaned(value: Any, clean: Any) -> Any:
    """The same value, its texts as the fonts can show them."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        # A hash is read letter by letter and copied: nothing may be put between its digits.
        return {k: v if k in ("seal", "code") else _cleaned(v, clean) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(v, clean) for v in value]
    return value
