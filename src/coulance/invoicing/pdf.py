"""Documents as PDF/A-3b: laid out by typst from a frozen snapshot, the calculation attached as JSON.

The snapshot's texts reach typst as data, so no name can inject markup; there are no packages, no system fonts and no
files that a template could read beyond its own. The same snapshot gives the same bytes, anywhere and always.
"""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst

from coulance.invoicing.documents.calculation import calculation_file
from coulance.invoicing.documents.glyphs import plain, safe
from coulance.invoicing.documents.view import UnableToRenderError, view

__all__ = ["UnableToRenderError", "render"]

_TEMPLATE = Path(__file__).parent / "documents" / "document.typ"
_own = threading.local()


def render(snapshot: Mapping[str, Any], *, einvoice: bytes = b"") -> bytes:
    """The PDF/A-3b of a document, from its snapshot (`coulance.document/1`) and nothing else.

    `einvoice` is attached as `factur-x.xml`; that alone makes no Factur-X file: see `einvoice.factur_x`.

    Safe in several threads at once; typst works outside the interpreter's lock. Not after a fork: typst keeps threads
    of its own, and a forked child waits for ones it doesn't have; give worker processes the `spawn` way. Raises
    `UnableToRenderError` when the snapshot is not a document, or when typst can't set it even with its unusual
    characters replaced.
    """
    shown = view(snapshot)
    calculation = json.dumps(calculation_file(snapshot), ensure_ascii=False, indent=1)
    # A lone surrogate is valid in a JSON escape, but in no encoding of text.
    calculation = calculation.encode("utf-8", "replace").decode("utf-8")
    issued = datetime.fromisoformat(shown["date"]).replace(tzinfo=UTC)
    for clean in (safe, plain):
        try:
            return _compile(_cleaned(shown, clean), calculation, issued, einvoice.decode())
        except typst.TypstError as error:
            problem = str(error)
        except BaseException as error:
            # A panic inside typst arrives as pyo3's own BaseException; anything else is not ours to keep.
            if type(error).__name__ != "PanicException":
                raise
            problem = f"typst failed inside: {error}"
            _own.__dict__.clear()
    raise UnableToRenderError(f"document {snapshot.get('number') or '(draft)'}: {problem}")


def _compile(shown: Mapping[str, Any], calculation: str, issued: datetime, einvoice: str) -> bytes:
    made = _compiler().compile(
        format="pdf",
        pdf_standards="a-3b",
        timestamp=int(issued.timestamp()),
        sys_inputs={"data": json.dumps(shown, ensure_ascii=False), "calculation": calculation, "einvoice": einvoice},
    )
    if not isinstance(made, bytes):
        raise TypeError(f"typst gave {type(made).__name__}, expected bytes")
    return made


@cache
def _fonts() -> typst.Fonts:
    """The fonts that typst carries, loaded once and shared: half the time of a document otherwise."""
    return typst.Fonts(include_system_fonts=False)


def _compiler() -> typst.Compiler:
    """This thread's compiler: it holds the inputs of the document under way, so threads can't share one."""
    made: typst.Compiler | None = getattr(_own, "compiler", None)
    if made is None:
        made = _own.compiler = typst.Compiler(
            str(_TEMPLATE), root=str(_TEMPLATE.parent), font_paths=_fonts(), ignore_system_fonts=True
        )
    return made


def _cleaned(value: Any, clean: Any) -> Any:
    """The same value, its texts as the fonts can show them; pictures have seen to theirs."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {k: v if k in ("svg", "pixels") else _cleaned(v, clean) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(v, clean) for v in value]
    return value
