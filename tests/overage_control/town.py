"""A provider that controls overage, one sentence at a time: use, warnings, bounces, answers, and what follows."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from coulance.customers import operations as customers
from coulance.enforcement import queries as register
from coulance.flows.overage_control import acting, rounds
from coulance.flows.overage_control.evaluating import Evaluated
from coulance.flows.overage_control.judging import Judged
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.overage import queries as records
from coulance.services import queries as services
from tests.closing.world import World

CONTROL = """
[overage]
control = "{control}"
warn_at = ["50 %", "80 %", "100 %", "80 % of limit"]
{more}
"""


@dataclass
class Town(World):
    """A world whose provider controls overage. Instants are civil times of the account, as `2026-10-05T12:00`."""

    control: str = "enforce"
    used_at: dict[str, int] = field(default_factory=dict)

    def controlled(self, control: str = "enforce", more: str = "") -> "Town":
        """The provider's file."""
        self.provider(extra='email = "hulp@polder.example"\n', more=CONTROL.format(control=control, more=more))
        return self

    def service(self, *args: Any, **given: Any) -> "Town":
        """As a world does."""
        super().service(*args, **given)
        return self

    def customer(self, ref: str = "acme", *, contacts: int = 1, **given: Any) -> "Town":
        """An account with contacts who may incur cost: boss, then desk without that right."""
        self.account(ref, **given)
        people = [("boss", "Ben Baas", "owner", True), ("desk", "Dina Desk", "technical", False)]
        for name, shown, role, pays in people[:contacts]:
            customers.put_contact(
                account=ref, external_id=name, name=shown, email=f"{name}@{ref}.example", roles=[role],
                may_incur_cost=pays, language="en", channels=["email"],
            )  # fmt: skip
        return self

    def at(self, when: str) -> datetime:
        """A civil time of Amsterdam as an instant."""
        return datetime.fromisoformat(when).replace(tzinfo=ZoneInfo("Europe/Amsterdam")).astimezone(UTC)

    def uses(self, ref: str, when: str, gb: int) -> Evaluated:
        """A sample, and the round that follows it a second later."""
        self.use(ref, {when: gb})
        return self.look(when)

    def look(self, when: str) -> Evaluated:
        """A round."""
        return rounds.round_of(at=self.at(when) + timedelta(seconds=1))

    def service_id(self, ref: str) -> int:
        return services.service(ref).id

    def judged(self, ref: str, when: str) -> Judged:
        """Where a service stands."""
        row = services.service(ref)
        return acting.one_of(account=row.account_id, service=row.id, charge="out", at=self.at(when))

    def told(self, ref: str, period: str = "2026-10") -> list[str]:
        """The thresholds that were told of, in order."""
        row = services.service(ref)
        found = records.warnings(account=row.account_id, period_name=period)
        return [one.threshold for one in found if one.meter == f"{ref}/out"]

    def mails(self, account: str = "acme") -> list[Any]:
        """What was queued to an account's contacts, oldest first."""
        number = next(iter(sent_accounts(account)))
        return sent.messages(account=number)[::-1]

    def restricted(self, ref: str) -> list[str]:
        """Open restrictions: source and whether only observed."""
        rows = register.restrictions(services=[self.service_id(ref)])
        return sorted(row.restriction.source.value + (" observed" if row.restriction.observe else "") for row in rows)

    def verify(self, address: str, when: str, account: str = "acme") -> "Town":
        """The address is known to reach somebody."""
        notices.verify_address(
            account=next(iter(sent_accounts(account))), address=address, how="test", actor="test", at=self.at(when)
        )
        return self

    def boss(self, account: str = "acme", *, how: str = "portal", message: str = "") -> acting.Customer:
        """The contact who may incur cost, acting."""
        return acting.customer_of(
            account=next(iter(sent_accounts(account))), contact="boss", how=how, came_from="test", message=message
        )

    def allows(self, ref: str, when: str, amount: str = "", quantity: str = "") -> Any:
        """A limit given in the portal."""
        judged = self.judged(ref, when)
        offered = acting.offer(judged=judged, amount=amount, quantity=quantity, language="en")
        return acting.give(by=self.boss(), judged=judged, offered=offered, at=self.at(when))

    def link(self, mail: int = -1, account: str = "acme") -> str:
        """The path of the link in a mail."""
        text = sent.text_of(message=self.mails(account)[mail].message)
        assert text is not None
        found = re.search(r"https://billing\.example\.nl(/answer/\S+)", text.text)
        assert found is not None, text.text
        return found[1]


def sent_accounts(account: str) -> list[int]:
    from coulance.customers import queries

    return [queries.account(account).id]
