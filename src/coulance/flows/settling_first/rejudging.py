"""What waits is judged again by what is known now, before anybody pays it: never more, and less where that is the law.

A warning may come back while its bill waits, an attack be recorded, a sample be corrected. The draft is lowered then by
lines that say so, its period's figures and settlements with it, all in one transaction. Where nothing is left of it,
nothing is issued. More use is found by the next close, as ever.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalogs
from coulance.flows import letters
from coulance.flows.closing.chunk import facts_of
from coulance.flows.closing.corrections import lowerings
from coulance.flows.closing.late import Late, settled_again
from coulance.flows.closing.standing_still import still_days
from coulance.flows.closing.terms import Closing
from coulance.flows.sending.wording import language_of
from coulance.flows.settling_first import waiting
from coulance.invoicing import holding
from coulance.invoicing import operations as invoicing
from coulance.invoicing.crediting import as_if_issued
from coulance.invoicing.documents.words import Words
from coulance.notices import operations as notices
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.platform import audit, webhooks
from coulance.services import queries as services
from coulance_core.invoicing import DocumentKind, lowered
from coulance_core.kernel import Money
from coulance_core.notices import MessageKind

NOTHING = "nothing"
"""How a wait ended of which nothing was left to bill."""


@dataclass(frozen=True, slots=True)
class Rejudged:
    """A draft that came to less: what it was, what it is now (0: it is gone), tax included."""

    was: Money
    now: Money

    @property
    def gone(self) -> bool:
        """Whether nothing is left to bill."""
        return not self.now.minor


def rejudge(*, document: int, at: datetime) -> Rejudged | None:
    """Judge a draft that waits again and lower it; none where it comes to what it says. One transaction.

    Raises `UnableToSettleHeldError` when it does not wait (any more).
    """
    with transaction.atomic():
        row = invoicing.lock_held(document=document)
        of = waiting.one(document=document)
        if of is None or of.snapshot is None:
            return None
        catalog = catalogs.catalog()
        account, draft, tax_point = as_if_issued(document)
        (mine,) = services.accounts_for_close([account])
        zone, day = ZoneInfo(mine.account.zone), mine.account.billing_day
        year, month = (int(part) for part in row.period_name.split("-"))
        run = Closing(year, month, at, catalog, 0)
        period = run.period(day, zone)
        still = still_days([one.id for one in mine.services], through=period, billing_day=day, zone=zone)
        facts = [facts_of(one, (), still.get(one.id, ())) for one in mine.services]
        void = row.period_name in records.warning_voided(accounts=[account], since=row.period_name).get(account, {})
        late = settled_again(run, mine, facts, period=period, zone=zone)
        by = lowerings(run, draft, tax_point, late.decreases)
        if not by:
            return None
        language = language_of(of.snapshot["language"])
        reason = _because(language, void=void)
        due_on = date.fromisoformat(of.snapshot["due_on"])
        less = lowered(
            draft, by, kind=DocumentKind.OVERAGE_INVOICE, due_on=due_on, tax_point=tax_point, reason=reason,
            rule=catalog.provider.rounding,
        )  # fmt: skip
        less = replace(less, notes=(*of.snapshot["notes"], reason))
        _keep(late, at)
        found = Rejudged(row.gross, less.totals.gross if less.totals.gross.minor > 0 else Money(0, less.currency))
        if found.gone:
            invoicing.replace_held(document=document)
            invoicing.end_hold(document=document, way=NOTHING, made=(), actor="worker", reason=reason, at=at)
            _tell_that_nothing_is_due(account, of.snapshot, document, at, void=void)
        else:
            invoicing.lower_held(document=document, account=account, lowered=less)
        audit.record(
            actor="worker", act="overage_invoice.lowered", subject=f"document:{document}", at=at, reason=reason,
            detail={"was": str(found.was), "now": str(found.now)},
        )  # fmt: skip
        webhooks.emit(
            event="overage.lowered",
            data={
                "document": document,
                "account": of.snapshot["buyer"]["external_id"],
                "period": row.period_name,
                "was": {"amount": found.was.decimal(), "currency": found.was.currency},
                "gross": {"amount": found.now.decimal(), "currency": found.now.currency},
            },
            at=at,
        )
        return found


def whose_warning_came_back() -> list[int]:
    """Drafts that wait and rest on a warning that came back since their close."""
    rows = holding.held()
    if not rows:
        return []
    void = records.warning_voided(accounts={row.account for row in rows}, since=min(row.period_name for row in rows))
    return [row.document for row in rows if row.period_name in void.get(row.account, {})]


def _because(language: str, *, void: bool) -> str:
    with translation.override(language):
        if void:
            return _("A warning came back after the close: what was used without one that arrived is not charged.")
        return _("By what is known now, less of this period may be charged than when it was closed.")


def _keep(late: Late, at: datetime) -> None:
    """The period's figures and settlements as they are now: what its paper will say."""
    invoicing.record_figures(run=None, figures=late.figures)
    overage.record_settlements(new=late.overage, at=at)


def _tell_that_nothing_is_due(
    account: int, snapshot: dict[str, Any], document: int, at: datetime, *, void: bool
) -> None:
    for person in letters.recipients(account, MessageKind.DOCUMENT).recipients:
        language = language_of(person.language or snapshot["language"])
        words = Words.of(language)
        with translation.override(language):
            said = {"month": words.month(snapshot["references"]["period"])}
            mail = letters.written(
                letters.Letter(
                    subject=_("Nothing to pay for overage of %(month)s") % said,
                    name=person.name,
                    paragraphs=[
                        _("The overage invoice of %(month)s that waited for your choice is not issued.") % said,
                        _because(language, void=void),
                    ],
                ),
                language=language,
            )
        try:
            with transaction.atomic():
                notices.queue_message(
                    key=f"settle-first/{document}/nothing/{person.ref}", account=account,
                    kind=MessageKind.CONSENT.value, to=[notices.Recipient(person.address, person.name, person.ref)],
                    language=mail.language, subject=mail.subject, text=mail.text, html=mail.html, at=at,
                    about=f"held/{document}",
                )  # fmt: skip
        except notices.UnableToQueueError:
            continue  # nobody of them can be written to, and nothing is asked of them
