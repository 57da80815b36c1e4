"""Random histories of an account: what customers, banks, mail servers, disks and operators do in two months."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from tests.core.arrears.worlds import D0, SHORT, Host, arrives, at, day, debt, eur, lost

from coulance_core.arrears import (
    Approval,
    Debt,
    DebtKind,
    Decision,
    Evidence,
    Facts,
    Held,
    Impossible,
    InFlight,
    Instalment,
    Intent,
    LawPack,
    Paid,
    Plan,
    Policy,
    Promise,
    Retrieval,
    Service,
    Stay,
    StayKind,
)
from coulance_core.kernel import Money
from coulance_core.notices import Channel

ZONES = ("Europe/Amsterdam", "Pacific/Auckland", "America/Sao_Paulo", "UTC")
DAYS = 50


@dataclass
class History(Host):
    """A provider in a world with chance. `random` decides everything, so that a number is a history."""

    random: Random = None  # type: ignore[assignment]

    @classmethod
    def begin(cls, seed: int, policy: Policy = SHORT, law: LawPack | None = None) -> "History":
        chance = Random(seed)
        zone = ZoneInfo(chance.choice(ZONES))
        debts = tuple(_debt(chance, name) for name in "abc"[: chance.randint(1, 3)])
        known = Facts(
            1,
            zone,
            debts=debts,
            services=(Service("vps"), Service("colo", holds_data=False), Service("mail")),
            holidays=frozenset(day(chance.randrange(DAYS)) for _ in range(chance.randint(0, 4))),
        )
        history = cls(policy, known, law, random=chance)
        history.evidence = history.fate
        history.backs_up = chance.random() < 0.8
        history.approve = chance.random() < 0.7
        return history

    def fate(self, intent: Intent, when: datetime) -> Evidence:
        """What becomes of a message."""
        chance = self.random.random()
        post = intent.channels == (Channel.POST,)
        if chance < 0.72:
            return arrives(when, post=post)
        if chance < 0.82:
            return lost(when)
        if chance < 0.9:
            return arrives(when, post=post, bounced=when + timedelta(hours=self.random.randint(1, 71)))
        return arrives(when, post=post, bounced=when + timedelta(hours=self.random.randint(73, 400)))

    def live(self) -> Iterator[tuple[datetime, Facts, Decision]]:
        """Day by day: something happens, then the account is judged at some hour. Gives each judgement with the facts
        as they were when it was made."""
        for number in range(-2, DAYS):
            for _ in range(self.random.choice((0, 0, 0, 0, 1, 1, 2))):
                self.happens(number)
            hour = self.random.choice((10, 10, 10, 11, 14, 8, 17))
            for minute in (0, 20, 40):
                when = at(day(number), hour, minute, self.facts.zone)
                before = self.facts
                decision = self.run(when)
                yield when, before, decision
                if decision.is_quiet:
                    break

    def happens(self, number: int) -> None:
        chance, known = self.random, self.facts
        one = chance.choice(known.debts)
        when = at(day(number), chance.randint(0, 7), zone=known.zone)
        ref = f"{number}-{len(known.held) + len(known.promises) + len(known.plans) + len(known.in_flight)}"
        match chance.choice(
            [
                "pay",
                "part",
                "back",
                "dispute",
                "decide",
                "promise",
                "plan",
                "instal",
                "fly",
                "fail",
                "credit",
                "stay",
                "lose",
                "impossible",
                "approve",
                "people",
            ]
        ):
            case "pay" if chance.random() < 0.5:
                self.change(one.ref, open=eur(0))
            case "part":
                self.change(one.ref, open=eur(one.open.minor - one.open.minor * chance.randint(1, 9) // 10))
            case "back" if one.open.minor < one.gross.minor:
                self.change(one.ref, open=one.gross, came_back=(*one.came_back, when))
            case "dispute":
                amount = chance.choice((one.open.minor, one.open.minor // 2, one.open.minor * 2))
                asked = chance.choice((None, None, day(number)))
                held = Held(ref, one.ref, eur(amount), when, None, chance.random() < 0.3, asked)
                self.facts = replace(known, held=(*known.held, held))
            case "decide":
                ended = tuple(replace(h, until=h.until or when) for h in known.held)
                self.facts = replace(known, held=ended)
            case "promise":
                new = Promise(ref, frozenset({one.ref}), when, day(number + chance.randint(0, 30)))
                self.facts = replace(known, promises=(*known.promises, new))
            case "plan" if one.open.minor:
                count = chance.randint(1, 4)
                part = eur(one.open.minor // count)
                first = number + chance.randint(1, 5)
                parts = tuple(Instalment(day(first + 6 * n), part) for n in range(count))
                plan = Plan(ref, frozenset({one.ref}), when, parts)
                self.facts = replace(known, plans=(*known.plans, plan))
            case "instal" if known.plans:
                plan = known.plans[-1]
                paid = Paid(day(number), plan.instalments[0].amount)
                self.facts = replace(known, plans=(*known.plans[:-1], replace(plan, paid=(*plan.paid, paid))))
            case "fly":
                flight = InFlight(ref, eur(one.open.minor), when, day(number + chance.randint(1, 5)), one.ref)
                self.facts = replace(known, in_flight=(*known.in_flight, flight))
            case "fail" if known.in_flight:
                failed = replace(known.in_flight[-1], failed_at=known.in_flight[-1].failed_at or when)
                self.facts = replace(known, in_flight=(*known.in_flight[:-1], failed))
            case "credit":
                self.facts = replace(known, credit=(eur(chance.choice((0, 0, 300, 2000, 50_000))),))
            case "stay" if chance.random() < 0.5:
                kind = chance.choice((StayKind.OPERATOR, StayKind.OWN_ERROR))
                stay = Stay(ref, kind, when, when + timedelta(days=chance.randint(1, 6)))
                self.facts = replace(known, stays=(*known.stays, stay))
            case "lose" if known.backups:
                gone = tuple(replace(b, lost_at=b.lost_at or when) for b in known.backups)
                self.facts = replace(known, backups=gone)
            case "impossible":
                told = Impossible("mail", when, "anna", "the disk can't be read")
                offer = Retrieval("mail", when - timedelta(days=chance.choice((0, 29, 31))))
                self.facts = replace(known, impossible=(told,), retrievals=(offer,))
            case "approve":
                step = chance.choice(("terminate", "delete"))
                new_one = Approval(step, chance.choice(("anna", "ben")), when, chance.choice(("vps", "colo", "mail")))
                self.facts = replace(known, approvals=(*known.approvals, new_one))
            case "people":
                self.approve = not self.approve


def _debt(chance: Random, ref: str) -> Debt:
    due = chance.randint(-3, 12)
    kind = chance.choice((DebtKind.BASE,) * 5 + (DebtKind.OVERAGE, DebtKind.OVERAGE, DebtKind.COSTS))
    issued = D0 + timedelta(days=due - 14)
    sent = at(issued, 6)
    bill = chance.choice(
        (
            issued,
            issued,
            issued,
            arrives(sent),
            arrives(sent, bounced=sent + timedelta(hours=30)),
            arrives(sent, bounced=sent + timedelta(days=25)),
            arrives(sent + timedelta(days=8)),
            None,
        )
    )
    return debt(
        ref,
        chance.choice((400, 2000, 5000)),
        due=due,
        kind=kind,
        services=chance.choice((("vps",), ("vps",), ("colo",), ("mail",), ("vps", "mail"))),
        bill=bill,
        expressly=chance.random() < 0.3,
    )


def money(minor: int) -> Money:
    return eur(minor)
