"""The daily round over all contracts: what is due is charged and invoiced, credited, warned of, asked."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from coulance.contracts import operations, queries, tickets
from coulance.flows.contracts import billing, earning, fairness, mailing, penalties, telling
from coulance.platform import alarms

_log = logging.getLogger(__name__)


@dataclass
class Round:
    """What a round did."""

    contracts: int = 0
    invoices: int = 0
    credits: int = 0
    mails: int = 0
    failed: int = 0


def run(*, at: datetime, actor: str = "worker") -> Round:
    """One round; each contract on its own, so that one that can't be done holds up no other. Done twice, once."""
    done = Round()
    for key in [one.key for one in queries.contracts()]:
        done.contracts += 1
        alarm = f"contracts.stuck:{key}"
        try:
            with transaction.atomic():
                _one(key, done, actor, at)
        except Exception as fault:  # the round goes on; a person is told
            _log.exception("contract %s", key)
            done.failed += 1
            alarms.raise_alarm(
                key=alarm, severity="warning", at=at,
                what=f"Contract {key} can't be worked: {fault}. Try: coulance contract run",
            )  # fmt: skip
        else:
            alarms.clear_alarm(key=alarm, at=at)
    mailing.forget(at=at)
    _judge(at)
    return done


def _judge(at: datetime) -> None:
    """Say of each contract whether it is fair, for its customer to read."""
    alarm = "contracts.unjudged"
    try:
        with transaction.atomic():
            fairness.keep_all(at=at)
    except Exception as fault:  # what was said before stands, with its day
        _log.exception("contracts can't be judged")
        alarms.raise_alarm(
            key=alarm, severity="warning", at=at,
            what=f"Customers read an older verdict on their contracts, for these can't be judged: {fault}",
        )  # fmt: skip
    else:
        alarms.clear_alarm(key=alarm, at=at)


def _one(key: str, done: Round, actor: str, at: datetime) -> None:
    contract = operations.locked(key)
    billing.charge_due(contract, actor=actor, at=at)
    done.invoices += billing.invoice_charges(contract, actor=actor, at=at) is not None
    billing.record_lapses(contract, at=at)
    earning.book(contract, actor=actor, at=at)
    posted = penalties.credit_missed(contract, actor=actor, at=at)
    for credit in queries.credits_of([contract.id]):
        if credit.id in {one.id for one in posted}:
            done.credits += 1
            done.mails += telling.credited(contract, credit, at=at)
    waiting = f"contracts.credit_waits:{key}"
    if penalties.unposted(contract):
        alarms.raise_alarm(
            key=waiting, severity="warning", at=at,
            what=f"A credit for missed responses of contract {key} found no fee's invoice to lower: pay it by hand",
        )  # fmt: skip
    else:
        alarms.clear_alarm(key=waiting, at=at)
    if contract.runs_on(contract.day_of(at)):
        done.mails += telling.warn(contract, at=at) + telling.invite_review(contract, at=at)
    since = at - telling.ASKS_FOR - timedelta(days=1)
    for ticket in tickets.tickets(contracts=[contract.id], most=500):
        if ticket.solved_at is not None and ticket.solved_at >= since:
            done.mails += telling.ask_opinion(ticket, at=at)
