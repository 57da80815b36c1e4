"""What customers read of a collection that the bank refused or took back: owed as before, why, what follows."""

from datetime import date

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows.rails.wording import money_text, written
from coulance.flows.sending.wording import Written, language_of
from coulance.invoicing.documents.words import Words
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.kernel import Money


def plain(code: str, language: str) -> str:
    """Why a bank did not go on with a collection, in words for its payer."""
    with translation.override(language_of(language)):
        said = {
            "AC01": _("your bank does not know this account number"),
            "AC02": _("your bank does not know this account number"),
            "AC04": _("the account is closed"),
            "AC05": _("the account is closed"),
            "AC06": _("the account is blocked"),
            "AC13": _("the account is a consumer's, and the mandate is for businesses"),
            "AG01": _("your bank allows no direct debit on this account"),
            "AM04": _("there was not enough money on the account"),
            "MD01": _("your bank knows no valid mandate for it"),
            "MD06": _("you asked for it back"),
            "MD07": _("your bank carries it out no more"),
            "MS02": _("it was refused on your side"),
            "MS03": _("your bank gave no reason"),
            "SL01": _("you told your bank not to let it through"),
            "TM01": _("it came to the bank too late"),
        }
        return said.get(code) or _("the bank's reason is %(code)s") % {"code": code}


def came_back(
    *,
    amount: Money,
    on: date,
    code: str,
    refused: bool,
    ours: bool,
    again: date | None,
    ended: bool,
    top_up: bool,
    seller: ProviderTerms,
    language: str,
    name: str,
) -> Written:
    """A collection that was `refused` before its day, or came back after it.

    `on` is the day of the collection, or of its return. `ours`: the bank refused our whole file. `top_up`: it was for
    their balance, for no debt.
    """
    own = language_of(language)
    with translation.override(own):
        said = {
            "name": name,
            "seller": seller.name,
            "amount": money_text(amount, own),
            "day": Words.of(own).day(on),
            "again": Words.of(own).day(again),
            "why": plain(code, own),
            "code": code,
        }
        if top_up:
            subject = _("Your top-up of %(amount)s at %(seller)s failed") % said
            what = (
                _(
                    "The top-up of your balance by %(amount)s did not come through: %(why)s (%(code)s). It is not on"
                    " your balance, and what it had paid is open again. Nothing more is collected for your balance"
                    " until you agree to it anew."
                )
                % said
            )
        elif refused and ours:
            subject = _("%(seller)s does not collect %(amount)s on %(day)s") % said
            what = (
                _(
                    "Our collection of %(amount)s that we announced for %(day)s does not take place. That is not your"
                    " doing. Nothing is taken, and you owe what you owed. We tell you before we collect it another day."
                )
                % said
            )
        elif refused:
            subject = _("%(seller)s could not collect %(amount)s") % said
            what = (
                _(
                    "Your bank did not carry out our collection of %(amount)s for %(day)s: %(why)s (%(code)s). Nothing"
                    " was taken, and you owe what you owed."
                )
                % said
            )
        else:
            subject = _("Your payment of %(amount)s to %(seller)s came back") % said
            what = (
                _("On %(day)s your bank returned our collection of %(amount)s: %(why)s (%(code)s). It is open again.")
                % said
            )
        return written(
            own,
            subject,
            [
                _("Hello %(name)s,") % said if name else "",
                what,
                _("We try once more on %(again)s, and will tell you ahead.") % said if again else "",
                _("Your mandate has ended: please pay by transfer, or sign a new one.") if ended else "",
                _("You can pay it at once in the portal.") if not again and not ours and not top_up else "",
                seller.name,
            ],
        )
