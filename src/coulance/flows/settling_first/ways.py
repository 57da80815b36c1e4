"""What a customer may choose for an overage invoice before it is issued, each with what it costs and what follows.

A way is offered by a `Source`; more of them come by the setting `SETTLE_FIRST_WAYS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Protocol

from django.conf import settings
from django.utils import translation
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalogs
from coulance.flows import goodwill, retroactive
from coulance.flows.fair_terms import goodwill_policy
from coulance.flows.sending.wording import language_of
from coulance.flows.settling_first.waiting import Waiting
from coulance.invoicing import operations as invoicing
from coulance.invoicing.crediting import as_if_issued
from coulance.invoicing.documents.words import Words
from coulance.overage import ways_out
from coulance.platform import audit
from coulance.services import queries as services
from coulance_core.catalog.terms import Catalog
from coulance_core.invoicing import CreditRequest, CreditType, Issued, credit_note
from coulance_core.kernel import Money
from coulance_core.overage.goodwill import By, Cause, Grant
from coulance_core.overage.retroactive import RetroactiveOffer


class UnableToChooseError(ValueError):
    """What was chosen is not on offer (any more); the text says why, in the reader's language."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to settle, as it is shown. `total` is what is payable then, tax included; none where it isn't known.

    >>> len(Way("pay", "Pay it", ("An invoice is issued.",), "Pay", None).digest)
    64
    """

    key: str
    title: str
    sentences: tuple[str, ...]
    button: str
    total: Money | None

    @property
    def digest(self) -> str:
        """Of all that was shown: what is chosen must be what was read."""
        return sha256("\n".join([self.key, self.title, *self.sentences, str(self.total)]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who chose, when: an actor as the audit log names them."""

    actor: str
    reason: str
    at: datetime


class Source(Protocol):
    """Where ways come from. `take` issues or replaces the draft, in the caller's transaction, and gives numbers."""

    key: str

    def ways(self, of: Waiting, *, at: datetime) -> Sequence[Way]:
        """What it offers for this invoice, in the language in force; nothing where it does not apply."""

    def take(self, of: Waiting, way: str, by: Chosen) -> Sequence[str]:
        """Do it. Raises `UnableToChooseError`."""


def issue(of: Waiting, by: Chosen) -> str:
    """Issue the invoice as it is, dated today; gives its number. What every way but replacing it begins with."""
    catalog = catalogs.catalog()
    today = by.at.astimezone(catalog.provider.zone_info).date()
    return invoicing.issue_held(document=of.row.document, on=today, series=dict(catalog.series), at=by.at)


class Pay:
    """The bill as it is."""

    key = "pay"

    def ways(self, of: Waiting, *, at: datetime) -> Sequence[Way]:  # noqa: ARG002 - the port's
        """Always there."""
        words = Words.of(translation.get_language())
        days = catalogs.catalog().provider.payment_days
        return [
            Way(
                self.key,
                _("Pay it as it is"),
                (
                    _("The invoice is issued now: %(amount)s, payable within %(days)s days.")
                    % {"amount": _money(words, of.row.gross), "days": days},
                ),
                _("Pay it as it is"),
                of.row.gross,
            )
        ]

    def take(self, of: Waiting, way: str, by: Chosen) -> Sequence[str]:  # noqa: ARG002 - the port's
        """Issue it."""
        return [issue(of, by)]


class LargerPlan:
    """The larger plan for this period only, in place of the overage."""

    key = "plan"

    def ways(self, of: Waiting, *, at: datetime) -> Sequence[Way]:  # noqa: ARG002 - the port's
        """The cheapest plan that helps, for each service on it; none where the provider's terms don't allow it."""
        words = Words.of(translation.get_language())
        account, invoice, tax_point = as_if_issued(of.row.document)
        out = []
        for service, offer in _offers(account, invoice):
            day = words.day(offer.reverts_on)
            said = {
                "plan": offer.plan.name,
                "present": offer.present.name,
                "amount": _money(words, offer.difference),
                "overage": _money(words, offer.overage),
                "service": service,
                "day": day,
            }
            catalog = catalogs.catalog()
            total = None
            if _whole(invoice, service):
                total = Money(0, of.row.gross.currency)
                if offer.difference.minor:
                    draft = retroactive.difference_draft(
                        catalog, invoice, offer, issued_on=invoice.issued_on, tax_point=tax_point
                    )
                    total = draft.totals.gross
            sentences = [
                _("%(service)s counts as on %(plan)s for this period only: %(amount)s in place of %(overage)s.") % said,
                _("From %(day)s it is on %(present)s again; you need not do anything for that.") % said,
            ]
            if offer.remains.minor:
                sentences.insert(
                    1,
                    _("That includes %(amount)s of overage on the larger plan.")
                    % {"amount": _money(words, offer.remains)},
                )
            out.append(
                Way(
                    f"{self.key}:{service}:{offer.plan.plan}",
                    _("Take %(plan)s for this period") % said,
                    tuple(sentences),
                    _("Take %(plan)s for this period") % said,
                    total,
                )
            )
        return out

    def take(self, of: Waiting, way: str, by: Chosen) -> Sequence[str]:
        """In place of the draft where the overage is all there is; else credited and billed beside it."""
        account, invoice, tax_point = as_if_issued(of.row.document)
        for service, offer in _offers(account, invoice):
            if way == f"{self.key}:{service}:{offer.plan.plan}":
                break
        else:
            raise UnableToChooseError(_("This plan is not offered any more."))
        if not _whole(invoice, service):
            number = issue(of, by)
            taken = retroactive.accept_plan(
                number=number, service=service, plan=offer.plan.plan, reason=by.reason, actor=by.actor, at=by.at
            )
            return [number, taken.credit_note, *([taken.invoice] if taken.invoice else [])]
        return _instead(of, account, invoice, service, offer, tax_point, by)


def _instead(
    of: Waiting, account: int, invoice: Issued, service: str, offer: RetroactiveOffer, tax_point: object, by: Chosen
) -> Sequence[str]:
    catalog = catalogs.catalog()
    today = by.at.astimezone(catalog.provider.zone_info).date()
    run, purpose = invoicing.replace_held(document=of.row.document)
    number = ""
    if offer.difference.minor:
        draft = retroactive.difference_draft(catalog, invoice, offer, issued_on=today, tax_point=tax_point)  # type: ignore[arg-type]
        (document,) = invoicing.write_drafts(run=run, drafts=[invoicing.NewDocument(account, draft)], purpose=purpose)
        number = invoicing.issue_held(document=document, on=today, series=dict(catalog.series), at=by.at)
    row = services.service(service)
    ways_out.record_plan_for_period(
        service=row.id,
        period_name=invoice.period_name,
        plan=offer.plan.version,
        instead_of=f"draft {of.row.document}",
        credit_note="",
        invoice=number,
        overage=offer.overage,
        difference=offer.difference,
        reason=by.reason,
        actor=by.actor,
        at=by.at,
    )
    audit.record(
        actor=by.actor,
        act="plan.taken_for_period",
        subject=f"service:{service}",
        at=by.at,
        reason=by.reason,
        detail={
            "period": invoice.period_name,
            "plan": offer.plan.version,
            "instead_of": f"document {of.row.document}, which was not issued",
            "overage": str(offer.overage),
            "difference": str(offer.difference),
            "invoice": number,
        },
    )
    return [number] if number else []


def _offers(account: int, invoice: Issued) -> list[tuple[str, RetroactiveOffer]]:
    """The cheapest offer of each service; nothing where the provider has none."""
    try:
        found = retroactive.offers_on(account, invoice)
    except retroactive.UnableToOfferError:
        return []
    return [(one.service, one.offers[0]) for one in found if one.offers]


def _whole(invoice: Issued, service: str) -> bool:
    """Whether the invoice bills this service's overage of the period and nothing else."""
    return all(
        line.service is not None
        and line.service.external_id == service
        and line.kind in retroactive.USAGE
        and line.period.start >= invoice.period.start
        for line in invoice.lines
    )


class ShareTheCost:
    """What the provider's goodwill policy gives for a first time, or for what is far from a habit."""

    key = "share"
    causes = frozenset({Cause.FIRST_TIME, Cause.ONE_OFF, Cause.ATTACK, Cause.MOVING_AWAY})

    def ways(self, of: Waiting, *, at: datetime) -> Sequence[Way]:
        """One, where the policy gives something and `offer` is set in `[goodwill]`."""
        given, invoice = self._given(of, at)
        if not given or invoice is None:
            return []
        note = credit_note(
            invoice,
            lines=[CreditRequest(no, amount) for no, amount, _cause in given],
            credit_type=CreditType.PRICE_REDUCTION,
            reason="-",
            issued_on=invoice.issued_on,
            tax_point=invoice.issued_on,
        )
        words = Words.of(translation.get_language())
        ours = -note.totals.gross
        rest = of.row.gross - ours
        said = {"ours": _money(words, ours), "rest": _money(words, rest), "whole": _money(words, of.row.gross)}
        return [
            Way(
                self.key,
                _("Share the cost with us"),
                (
                    _("This is not what you usually use, so we take a part of it: %(ours)s of %(whole)s.") % said,
                    _("You pay %(rest)s: the invoice is issued now, with a credit note for our part.") % said,
                ),
                _("Share the cost"),
                rest,
            )
        ]

    def take(self, of: Waiting, way: str, by: Chosen) -> Sequence[str]:  # noqa: ARG002 - the port's
        """Issue it, and give our part as goodwill on its lines."""
        given, _invoice = self._given(of, by.at)
        if not given:
            raise UnableToChooseError(_("This is not offered any more."))
        number = issue(of, by)
        policy = replace(goodwill_policy(catalogs.catalog()), budgets={})  # the policy gives, not a person
        made = [number]
        for no, amount, cause in given:
            with translation.override(_language(of)):
                reason = _("We share the cost of what you don't usually use.")
            done = goodwill.grant_goodwill(
                number=number, line=no, grant=Grant(By.AMOUNT, amount), cause=cause, reason=reason,
                actor="policy:settle-first", role="policy", at=by.at, policy=policy,
            )  # fmt: skip
            made.append(done.credit_note)
        return made

    def _given(self, of: Waiting, at: datetime) -> tuple[list[tuple[int, Money, Cause]], Issued | None]:
        catalog: Catalog = catalogs.catalog()
        if not catalog.goodwill.offer:
            return [], None
        account, invoice, _tax_point = as_if_issued(of.row.document)
        try:
            found = goodwill.propose_on(
                account, invoice, at=at, catalog=catalog, policy=replace(goodwill_policy(catalog), budgets={})
            )
        except goodwill.UnableToGrantError:
            return [], invoice
        return [
            (one.line, one.proposal.granted.amount, one.proposal.cause)
            for one in found
            if one.proposal.cause in self.causes and one.proposal.granted and one.proposal.granted.amount.minor > 0
        ], invoice


@cache
def sources() -> tuple[Source, ...]:
    """Every source, in the order they are shown; those of the settings come last."""
    more = [import_string(name)() for name in getattr(settings, "SETTLE_FIRST_WAYS", ())]
    return (Pay(), LargerPlan(), ShareTheCost(), *more)


def ways(of: Waiting, *, at: datetime) -> list[Way]:
    """All that is on offer for an invoice that waits, in the language in force."""
    return [way for source in sources() for way in source.ways(of, at=at)]


def source_of(way: str) -> Source:
    """Whose way it is, by the part of its key before a colon. Raises `UnableToChooseError`."""
    for source in sources():
        if source.key == way.partition(":")[0]:
            return source
    raise UnableToChooseError(_("Choose one of the ways that are shown."))


def _money(words: Words, amount: Money) -> str:
    return words.money(amount.decimal(), amount.currency)


def _language(of: Waiting) -> str:
    return language_of((of.snapshot or {}).get("language", "en"))
