"""What customers read of rails: what is collected or charged when, what came back, and what they agree to."""

from collections.abc import Sequence
from datetime import date

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows.sending.wording import Written, language_of
from coulance.invoicing.documents.words import Words
from coulance.payments.mandates import SignedMandate
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.kernel import Money
from coulance_core.payments import Scheme


def money_text(amount: Money, language: str) -> str:
    """An amount as a language writes it."""
    return Words.of(language).money(amount.decimal(), amount.currency)


def written(language: str, subject: str, parts: Sequence[str]) -> Written:
    """A mail of these paragraphs; empty ones are left out."""
    return Written(language, subject, "\n\n".join(part for part in parts if part) + "\n", "")


def mandate_text(*, seller: ProviderTerms, creditor_id: str, scheme: Scheme, notice_days: int, language: str) -> str:
    """What a customer signs: the leave itself, word for word, with the notice they agree to."""
    own = language_of(language)
    said = {"seller": seller.name, "id": creditor_id, "days": notice_days}
    with translation.override(own):
        if scheme is Scheme.B2B:
            leave = _(
                "By signing this mandate you allow %(seller)s (creditor identifier %(id)s) to send instructions to your"
                " bank to debit your account, and your bank to debit it by those instructions. This mandate is for"
                " transactions between businesses only. You are not entitled to a refund once your account was debited,"
                " but you may ask your bank not to debit it up to the day on which the payment is due. Your bank must"
                " know this mandate before the first collection."
            )
        else:
            leave = _(
                "By signing this mandate you allow %(seller)s (creditor identifier %(id)s) to send instructions to your"
                " bank to debit your account, and your bank to debit it by those instructions. You are entitled to a"
                " refund from your bank by the terms of your agreement with it; a refund must be asked for within eight"
                " weeks from the day on which your account was debited."
            )
        told = _(
            "We tell you amount and day of each collection at least %(days)s days ahead. You may end this mandate at"
            " any time."
        )
        return f"{leave % said} {told % said}"


def announcement(
    *,
    mandate: SignedMandate,
    items: Sequence[tuple[str, Money]],
    on: date,
    seller: ProviderTerms,
    creditor_id: str,
    language: str,
    name: str,
    again: bool,
    link: str,
) -> Written:
    """A collection announced: how much, when, from which account, for what, and how to stop it."""
    own = language_of(language)
    total = sum((amount for _, amount in items), Money(0, "EUR"))
    with translation.override(own):
        said = {
            "name": name,
            "seller": seller.name,
            "amount": money_text(total, own),
            "day": Words.of(own).day(on),
            "iban": mandate.shown_iban,
            "mandate": mandate.reference,
            "id": creditor_id,
            "link": link,
        }
        for_balance = _("Top-up of your balance")
        lines = "\n".join(f"  {number or for_balance}  {money_text(amount, own)}" for number, amount in items)
        return written(
            own,
            _("%(seller)s collects %(amount)s on %(day)s") % said,
            [
                _("Hello %(name)s,") % said if name else "",
                _("An earlier collection came back, so we try again.") if again else "",
                _("On %(day)s we collect %(amount)s from your account %(iban)s:") % said,
                lines,
                _("By your mandate %(mandate)s, creditor identifier %(id)s. You need do nothing.") % said,
                _("Is something wrong? Tell us, or contest a line, before that day; or end the mandate: %(link)s")
                % said,
                _("Your bank pays it back if you ask within eight weeks.") if mandate.scheme is Scheme.CORE else "",
                seller.name,
            ],
        )


def charge_ahead(
    *,
    label: str,
    items: Sequence[tuple[str, Money]],
    on: date,
    seller: ProviderTerms,
    language: str,
    name: str,
    link: str,
) -> Written:
    """A charge by agreement announced."""
    own = language_of(language)
    total = sum((amount for _, amount in items), Money(0, items[0][1].currency))
    with translation.override(own):
        said = {
            "name": name,
            "seller": seller.name,
            "amount": money_text(total, own),
            "day": Words.of(own).day(on),
            "method": label,
            "link": link,
        }
        return written(
            own,
            _("%(seller)s charges %(amount)s on %(day)s") % said,
            [
                _("Hello %(name)s,") % said if name else "",
                _("As you agreed, we charge %(amount)s to %(method)s on %(day)s:") % said,
                "\n".join(f"  {number}  {money_text(amount, own)}" for number, amount in items),
                _("You can stop this at any time before: %(link)s") % said,
                seller.name,
            ],
        )


def charge_failed(
    *, amount: Money, label: str, why: str, seller: ProviderTerms, language: str, name: str, link: str
) -> Written:
    """A charge that failed: nothing was taken, and how to pay."""
    own = language_of(language)
    with translation.override(own):
        said = {
            "name": name,
            "seller": seller.name,
            "amount": money_text(amount, own),
            "method": label,
            "why": why,
            "link": link,
        }
        return written(
            own,
            _("We could not charge %(amount)s") % said,
            [
                _("Hello %(name)s,") % said if name else "",
                _("%(amount)s could not be charged to %(method)s (%(why)s). Nothing was taken.") % said,
                _("You can pay in another way here: %(link)s") % said,
                seller.name,
            ],
        )


def keep_text(*, seller: ProviderTerms, language: str) -> str:
    """What a payer agrees to when a way to pay is kept."""
    with translation.override(language_of(language)):
        return _(
            "You allow %(seller)s to keep this way to pay, and to charge it later: only what you agree to pay by"
            " itself, announced ahead, or what you ask for. You may take it back at any time."
        ) % {"seller": seller.name}


def auto_pay_text(
    *, seller: ProviderTerms, label: str, days: int, most_each: Money | None, most_a_month: Money | None, language: str
) -> str:
    """What a customer agrees to when invoices are charged when due."""
    own = language_of(language)
    with translation.override(own):
        said = {"seller": seller.name, "method": label, "days": days}
        parts = [
            _("%(seller)s charges each invoice to %(method)s when it is due, and tells you %(days)s days ahead.") % said
        ]
        if most_each is not None:
            parts.append(_("Never more than %(amount)s at once.") % {"amount": money_text(most_each, own)})
        if most_a_month is not None:
            parts.append(
                _("Never more than %(amount)s in a calendar month.") % {"amount": money_text(most_a_month, own)}
            )
        parts.append(_("You may stop this at any time."))
        return " ".join(parts)


def top_up_text(
    *, seller: ProviderTerms, label: str, below: Money, amount: Money, most_a_month: Money, language: str
) -> str:
    """What a customer agrees to when their balance is topped up by itself."""
    own = language_of(language)
    with translation.override(own):
        said = {
            "seller": seller.name,
            "method": label,
            "below": money_text(below, own),
            "by": money_text(amount, own),
            "month": money_text(most_a_month, own),
        }
        return (
            _(
                "When your balance falls below %(below)s, %(seller)s charges %(by)s to %(method)s and adds it to your"
                " balance; never more than %(month)s in a calendar month. You may stop this at any time."
            )
            % said
        )
