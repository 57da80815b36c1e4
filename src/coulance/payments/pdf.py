"""A statement of account as PDF/A-3b: laid out by typst from values, the same as data attached.

Texts reach typst as data, so no name can inject markup. The same statement gives the same bytes.
"""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst

from coulance.customers.queries import AccountRow
from coulance.invoicing.documents.glyphs import plain, safe
from coulance.payments.documents.view import data_of, view
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.payments import AccountStatement

_TEMPLATE = Path(__file__).parent / "documents" / "statement.typ"
_own = threading.local()


class UnableToPrintError(ValueError):
    """A statement that typst can't set, even with unusual characters replaced."""


def render_statement(
    statement: AccountStatement, *, seller: ProviderTerms, buyer: AccountRow, language: str = ""
) -> bytes:
    """The PDF/A-3b of a statement, in the account's language unless another is asked for.

    Safe in several threads at once. Raises `UnableToPrintError`.
    """
    shown = view(statement, seller=seller, buyer=buyer, language=language)
    attached = json.dumps(data_of(statement, buyer), ensure_ascii=False, indent=1)
    attached = attached.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is in no encoding
    made = int(datetime.fromisoformat(shown["date"]).replace(tzinfo=UTC).timestamp())
    problem = ""
    for clean in (safe, plain):
        try:
            return _compile(_cleaned(shown, clean), attached, made)
        except typst.TypstError as error:
            problem = str(error)
        except BaseException as error:
            # A panic inside typst arrives as pyo3's own BaseException; anything else is not ours to keep.
            if type(error).__name__ != "PanicException":
                raise
            problem = f"typst failed inside: {error}"
            _own.__dict__.clear()
    raise UnableToPrintError(f"statement of {buyer.external_id}: {problem}")


def _compile(shown: Mapping[str, Any], attached: str, made: int) -> bytes:
    done = _compiler().compile(
        format="pdf",
        pdf_standards="a-3b",
        timestamp=made,
        sys_inputs={"data": json.dumps(shown, ensure_ascii=False), "attached": attached},
    )
    if not isinstance(done, bytes):
        raise TypeError(f"typst gave {type(done).__name__}, expected bytes")
    return done


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False)


def _compiler() -> typst.Compiler:
    """This thread's compiler: it holds the inputs of the statement under way, so threads can't share one."""
    made: typst.Compiler | None = getattr(_own, "compiler", None)
    if made is None:
        made = _own.compiler = typst.Compiler(
            str(_TEMPLATE), root=str(_TEMPLATE.parent), font_paths=_fonts(), ignore_system_fonts=True
        )
    return made


def _cleaned(value: Any, clean: Any) -> Any:
    """The same value, its texts as the fonts can show them."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {k: _cleaned(v, clean) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(v, clean) for v in value]
    return value
