"""Telling customers in time that what is absorbed for them has an end: pauses then come a little earlier.

What runs past an allowance without being charged is borne by the provider, up to a budget for each customer in 12
months. Nothing becomes chargeable by passing it; a pause keeps a reserve then.
"""

from collections.abc import Collection
from datetime import datetime

from django.utils import translation
from django.utils.html import escape
from django.utils.translation import gettext as _

from coulance.flows.overage_control.telling import contacts_of, people
from coulance.flows.sending.wording import language_of
from coulance.invoicing.documents.words import Words
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.notices.terms import NewMessage, Recipient
from coulance.overage import queries as records
from coulance_core.catalog.terms import Catalog, Control
from coulance_core.kernel import Money
from coulance_core.notices import MessageKind, choose

NEARLY = 80
"""Percent of the budget at which it is said that it will be spent."""


def tell_of_budgets(*, accounts: Collection[int], catalog: Catalog, at: datetime, actor: str) -> int:
    """Tell those whose budget is nearly spent, or is, each once a year; how many messages that were."""
    budget = catalog.overage.budget
    if budget is None or not budget.minor or catalog.overage.control is not Control.ENFORCE:
        return 0
    spent = records.budgets_spent(accounts=accounts, at=at)
    due: dict[int, tuple[int, Money]] = {}
    for account, amount in spent.items():
        if amount.currency == budget.currency and amount.minor * 100 >= budget.minor * NEARLY:
            due[account] = (100 if amount >= budget else NEARLY, amount)
    if not due:
        return 0
    contacts = contacts_of(list(due))
    new: list[NewMessage] = []
    for account, (mark, amount) in sorted(due.items()):
        own = people(contacts.get(account, ()))
        dead = sent.dead_among([person.address for person in own if person.address])
        for person in choose(own, MessageKind.WARNING, dead=list(dead)).recipients:
            language = language_of(person.language)
            subject, text = _words(mark, amount, budget, catalog.provider.name, language)
            new.append(
                NewMessage(
                    key=f"overage-budget/{account}/{at.year}/{mark}/{person.ref}"[:160],
                    account=account,
                    kind=MessageKind.WARNING.value,
                    to=[Recipient(person.address, person.name, person.ref)],
                    language=language,
                    subject=subject,
                    text=text,
                    html="".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n")),
                )
            )
    known = sent.about_keys([message.key for message in new])
    fresh = [message for message in new if message.key not in known]
    if fresh:
        notices.queue_messages(fresh, at=at, actor=actor)
    return len(fresh)


def _words(mark: int, amount: Money, budget: Money, seller: str, language: str) -> tuple[str, str]:
    words = Words.of(language)
    said = {
        "amount": words.money(amount.decimal(), amount.currency),
        "budget": words.money(budget.decimal(), budget.currency),
        "seller": seller,
    }
    with translation.override(language):
        subject = (
            _("From now on pauses come a little earlier")
            if mark >= 100
            else _("Soon pauses will come a little earlier")
        )
        first = (
            _(
                "In the last twelve months %(amount)s of use past your allowances was not charged, since it was not "
                "agreed to or nobody could be reached. We bear such use up to %(budget)s a year."
            )
            % said
        )
        then = (
            _(
                "From now on a network is therefore paused a little before its allowance or limit, by as much as its "
                "line carries until the pause takes effect. Nothing more is charged by it."
            )
            if mark >= 100
            else _(
                "Once that is reached a network is paused a little before its allowance or limit, by as much as its "
                "line carries until the pause takes effect. Nothing more is charged by it."
            )
        )
        ask = _("A limit that you set yourself, and an address at which we reach you, keep it from counting.")
        return subject, "\n\n".join([first, then, ask, f"{_('Kind regards,')}\n{seller}"]).replace("\u00a0", " ") + "\n"
