"""What customers read about the fair ways out, neutrally: the facts of each way side by side, none recommended by tone.

All own texts go through gettext (`flows/locale`).
"""

from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from coulance_core.overage.advice import Advice, Verdict
from coulance_core.overage.retroactive import RetroactiveOffer


def difference_line(offer: RetroactiveOffer, *, language: str) -> str:
    """One line for paper: which plan took the place of which overage.

    It stands on the credit note and on the invoice with the difference.
    """
    with translation.override(language):
        return _("%(plan)s instead of overage on %(present)s, for this period only") % {
            "plan": offer.plan.name,
            "present": offer.present.name,
        }


def offer_text(offer: RetroactiveOffer, *, language: str) -> str:
    """Both ways to settle a period's overage, with what each costs and what comes after."""
    with translation.override(language):
        day = date_format(offer.reverts_on, "DATE_FORMAT")
        lines = [
            _("You can settle this period's overage in one of two ways. Amounts are before tax."),
            _("1. Pay the overage: %(amount)s.") % {"amount": offer.overage},
            _("2. Take %(plan)s for this period only: %(amount)s, in place of the overage.")
            % {"plan": offer.plan.name, "amount": offer.difference},
            _("From %(day)s you are on %(present)s again; you need not do anything for that.")
            % {"day": day, "present": offer.present.name},
        ]
        if offer.remains.minor:
            lines.insert(3, _("That includes %(amount)s of overage on the larger plan.") % {"amount": offer.remains})
        return "\n".join(lines)


def advice_text(advice: Advice, *, present: str, language: str) -> str:
    """What to say of a service's plan: another is cheaper by so much, or the present one is the best."""
    with translation.override(language):
        if advice.verdict is Verdict.BEST or advice.plan is None:
            return _("%(present)s is the cheapest plan for what you used.") % {"present": present}
        if advice.verdict is Verdict.CHANGE:
            return _(
                "On %(plan)s you would have paid %(saved)s less over the last %(periods)s periods, before tax;"
                " it was cheaper in %(cheaper)s of them."
            ) % {
                "plan": advice.plan.name,
                "saved": advice.saved,
                "periods": advice.periods,
                "cheaper": advice.cheaper_in,
            }
        return _("We advise no change: %(plan)s would not be reliably cheaper than %(present)s.") % {
            "plan": advice.plan.name,
            "present": present,
        }
