"""Mandates as people sign them: in the portal by a click on the words shown, or on paper that an operator keeps."""

from datetime import date, datetime

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.rails import by_mandate, wording
from coulance.payments import mandates
from coulance.payments.errors import UnableToCollectError
from coulance.payments.mandates import SignedMandate
from coulance_core.payments import Scheme


def text(*, language: str, b2b: bool = False) -> str:
    """What is signed, in a language. Raises `UnableToCollectError` where this provider collects nothing."""
    whole = catalog.catalog()
    if not whole.payments.creditor_id:
        raise UnableToCollectError("this provider collects nothing: [payments] creditor_id is not given")
    return wording.mandate_text(
        seller=whole.provider,
        creditor_id=whole.payments.creditor_id,
        scheme=Scheme.B2B if b2b else Scheme.CORE,
        notice_days=whole.payments.notice_days,
        language=language,
    )


def offered() -> bool:
    """Whether customers can sign a mandate here."""
    whole = catalog.catalog()
    return bool(whole.payments.creditor_id and whole.provider.iban)


def sign_in_portal(
    *,
    account: int,
    contact: str,
    address: str,
    iban: str,
    holder: str,
    language: str,
    on: date,
    at: datetime,
    invoices: bool = True,
) -> SignedMandate:
    """A contact signs by a click; `address` is the network address they came from. Core alone: B2B wants their bank.

    `invoices`: whether it collects their invoices when due; without, it waits for what they agree to by it. Raises
    `UnableToCollectError`.
    """
    with transaction.atomic():
        made = mandates.sign_mandate(
            account=account,
            iban=iban,
            holder=holder,
            scheme=Scheme.CORE,
            how=mandates.PORTAL,
            text=text(language=language),
            signed_by=f"{contact}, from {address or 'an unknown address'}",
            signed_on=on,
            actor=f"contact:{contact}",
            at=at,
        )
        by_mandate.end_replaced(account=account, on=on, actor=f"contact:{contact}", at=at)
        if not invoices:
            by_mandate.stop_collecting(account=account, language=language, by=f"contact:{contact}", on=on, at=at)
        return made


def sign_on_paper(
    *,
    account: int,
    iban: str,
    holder: str,
    signed_on: date,
    kept: str,
    b2b: bool,
    bic: str,
    actor: str,
    at: datetime,
) -> SignedMandate:
    """An operator keeps a mandate that was signed on paper. Raises `UnableToCollectError`."""
    (owner,) = customers.accounts([account])
    if signed_on > at.astimezone(catalog.catalog().provider.zone_info).date():
        raise UnableToCollectError(f"{signed_on} is still to come: a mandate is kept once it is signed")
    with transaction.atomic():
        made = mandates.sign_mandate(
            account=account,
            iban=iban,
            holder=holder,
            scheme=Scheme.B2B if b2b else Scheme.CORE,
            how=mandates.PAPER,
            text=text(language=owner.language, b2b=b2b),
            signed_by=f"on paper, kept: {kept}" if kept.strip() else "",
            signed_on=signed_on,
            bic=bic,
            actor=actor,
            at=at,
        )
        by_mandate.end_replaced(account=account, on=max(signed_on, at.date()), actor=actor, at=at)
        return made
