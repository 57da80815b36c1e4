"""Documents as PDF/A-3b: laid out from a frozen snapshot, the calculation attached as JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coulance.invoicing.documents.calculation import calculation_file
from coulance.invoicing.documents.view import UnableToRenderError, view
from coulance.platform.typesetting import UnableToTypesetError, json_beside, typeset

__all__ = ["UnableToRenderError", "render"]

_TEMPLATE = Path(__file__).parent / "documents" / "document.typ"
_PICTURES = frozenset(("svg", "pixels"))  # they have seen to their own texts


def render(snapshot: Mapping[str, Any], *, einvoice: bytes = b"") -> bytes:
    """The PDF/A-3b of a document, from its snapshot (`coulance.document/1`) and nothing else.

    `einvoice` is attached as `factur-x.xml`; that alone makes no Factur-X file: see `einvoice.factur_x`. What holds for
    threads and processes is said at `typeset`. Raises `UnableToRenderError` when the snapshot is not a document, or
    can't be set even with its unusual characters replaced.
    """
    shown = view(snapshot)
    issued = datetime.fromisoformat(shown["date"]).replace(tzinfo=UTC)
    beside = {"calculation": json_beside(calculation_file(snapshot)), "einvoice": einvoice.decode()}
    try:
        return typeset(_TEMPLATE, shown, made=issued, beside=beside, verbatim=_PICTURES)
    except UnableToTypesetError as fault:
        raise UnableToRenderError(f"document {snapshot.get('number') or '(draft)'}: {fault}") from fault
