"""What customers agree to when their mandate pays invoices or fills their balance."""

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows.rails.wording import money_text
from coulance.flows.sending.wording import language_of
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.kernel import Money


def by_debit(iban: str, language: str) -> str:
    """A mandate as a way to pay, in words."""
    with translation.override(language_of(language)):
        return _("your account %(iban)s by direct debit") % {"iban": iban}


def top_up_by_debit(
    *,
    seller: ProviderTerms,
    iban: str,
    days: int,
    below: Money,
    amount: Money,
    most_a_month: Money,
    at_once: bool,
    language: str,
) -> str:
    """What is agreed to when a mandate fills a balance."""
    own = language_of(language)
    with translation.override(own):
        said = {
            "seller": seller.name,
            "iban": iban,
            "days": days,
            "below": money_text(below, own),
            "by": money_text(amount, own),
            "month": money_text(most_a_month, own),
        }
        counts = (
            _("It is on your balance as soon as your bank paid it.")
            if at_once
            else _(
                "It is on your balance once your bank can return it no more, some days after; until then it pays what"
                " is due."
            )
        )
        return " ".join(
            (
                _(
                    "When your balance falls below %(below)s, %(seller)s collects %(by)s from your account %(iban)s,"
                    " tells you %(days)s days ahead, and adds it to your balance; never more than %(month)s in a"
                    " calendar month."
                )
                % said,
                counts,
                _("If it comes back, it is taken off again, with what it paid, and nothing more is collected for it."),
                _("You may stop this at any time."),
            )
        )
