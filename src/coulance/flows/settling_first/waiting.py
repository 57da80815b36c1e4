"""Which invoices wait for their customer, and what is known of one that does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from coulance.invoicing import holding
from coulance.invoicing import queries as documents
from coulance.invoicing.errors import UnableToFindDocumentError
from coulance.invoicing.holding import HeldRow
from coulance_core.catalog.terms import Catalog
from coulance_core.invoicing import DocumentDraft, DocumentKind


@dataclass(frozen=True, slots=True)
class Waiting:
    """An invoice that waits, or waited, and its content; `snapshot` is none once another took its place."""

    row: HeldRow
    snapshot: dict[str, Any] | None
    number: str | None


def waits(catalog: Catalog, draft: DocumentDraft) -> bool:
    """Whether this draft is to wait for its customer's choice."""
    if not catalog.overage.hold_hours or draft.kind is not DocumentKind.OVERAGE_INVOICE:
        return False
    gross = draft.totals.gross
    return any(gross.currency == above.currency and gross.minor > above.minor for above in catalog.overage.hold_above)


def those_that_wait(catalog: Catalog, drafts: Iterable[tuple[int, DocumentDraft]]) -> list[int]:
    """Of these drafts, by id, those that are to wait."""
    return [document for document, draft in drafts if waits(catalog, draft)]


def why(catalog: Catalog) -> str:
    """Why they wait, for the record."""
    above = " or ".join(str(one) for one in catalog.overage.hold_above)
    return f"an overage invoice above {above} waits for its customer's choice"


def one(*, document: int) -> Waiting | None:
    """One that waits or waited, with its content; none when it never did."""
    rows = holding.held(document=document, ended=None)
    return _with_content(rows)[0] if rows else None


def of_account(*, account: int) -> list[Waiting]:
    """What waits for a customer's choice."""
    return _with_content(holding.held(account=account))


def _with_content(rows: Sequence[HeldRow]) -> list[Waiting]:
    out = []
    for row in rows:
        try:
            stored = documents.document_by_id(document=row.document)
        except UnableToFindDocumentError:
            out.append(Waiting(row, None, None))
        else:
            out.append(Waiting(row, stored.snapshot, stored.row.number))
    return out
