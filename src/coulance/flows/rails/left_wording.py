"""What customers read of money of theirs that is left over, and of money that goes back to them."""

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows.rails.wording import money_text, written
from coulance.flows.sending.wording import Written, language_of
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.kernel import Money


def left_over(*, left: Money, received: Money, seller: ProviderTerms, language: str, name: str, link: str) -> Written:
    """Money came in for which nothing is open: that it is kept, pays what comes, or goes back if they ask."""
    own = language_of(language)
    with translation.override(own):
        said = {
            "name": name,
            "seller": seller.name,
            "left": money_text(left, own),
            "received": money_text(received, own),
            "link": link,
        }
        return written(
            own,
            _("You paid %(seller)s %(left)s more than was open") % said,
            [
                _("Hello %(name)s,") % said if name else "",
                _("Of your payment of %(received)s, %(left)s is left over: nothing was open for it.") % said,
                _("We keep it for you. It pays your next invoice, or what of it can be paid."),
                _("Would you rather have it back? Ask for it here: %(link)s") % said,
                seller.name,
            ],
        )


def payback(*, amount: Money, to: str, failed: bool, seller: ProviderTerms, language: str, name: str) -> Written:
    """Money that is on its way back, or that could not be paid there."""
    own = language_of(language)
    with translation.override(own):
        said = {"name": name, "seller": seller.name, "amount": money_text(amount, own), "to": to}
        if failed:
            subject = _("We could not pay %(amount)s back to you") % said
            what = (
                _("%(amount)s could not be paid to %(to)s. We keep it for you: please tell us which account is right.")
                % said
            )
        else:
            subject = _("%(seller)s pays %(amount)s back to you") % said
            what = _("We have told our bank to pay %(amount)s to %(to)s. It is there in a few days.") % said
        return written(own, subject, [_("Hello %(name)s,") % said if name else "", what, seller.name])
