"""Whether an account may order more, and what lets it again: asked by everything that sells or enlarges something.

What runs, runs. A smaller plan, a payment, and what settles a debt are no orders: they are never asked about here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from coulance.arrears import queries as records
from coulance.flows import letters
from coulance.payments import queries as payments
from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class Blocked:
    """That nothing new can be ordered: since when, of which bills, and what is to be paid of them to end it.

    `words` is the reason and the way out, as it is told to whoever asked. `link`: where all ways out are.
    """

    account: int
    since: datetime
    numbers: tuple[str, ...]
    to_pay: tuple[Money, ...]
    link: str

    @property
    def words(self) -> str:
        """In the language that is active."""
        amounts = " + ".join(str(money) for money in self.to_pay)
        said = {"amount": amounts, "numbers": ", ".join(self.numbers), "link": self.link}
        return (
            _(
                "This account can order nothing more for now: %(amount)s of %(numbers)s is overdue. It can again as"
                " soon as that is paid, contested, or in a payment plan: %(link)s. What runs keeps running, and a"
                " smaller plan can be taken at any time."
            )
            % said
        )


def blocked(account: int) -> Blocked | None:
    """Why an account can order nothing new; None: it can. Cheap where nothing blocks it: one look."""
    return blocks([account]).get(account)


def blocks(accounts: Iterable[int]) -> dict[int, Blocked]:
    """The same for many; those that may order are left out."""
    acts = records.blocks_of_orders(accounts)
    if not acts:
        return {}
    items = payments.open_items(accounts=acts)
    out = {}
    for account, mine in acts.items():
        refs = {ref for act in mine for ref in act.debts}
        found = [one for one in items.get(account, ()) if one.ref in refs and one.open.minor > 0]
        sums: dict[str, int] = {}
        for one in found:
            sums[one.payable.currency] = sums.get(one.payable.currency, 0) + one.payable.minor
        out[account] = Blocked(
            account,
            min(act.at for act in mine),
            tuple(one.number for one in found),
            tuple(Money(minor, code) for code, minor in sorted(sums.items()) if minor),
            f"{letters.base()}/my/arrears",
        )
    return out
