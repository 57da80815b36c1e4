"""Handing a claim over: the collector's package is made and kept with the act, and a person can take it back.

The act freezes what this side still claims (core's `handed_over`). The package is a job: a dossier takes a second or
more, and nothing of it decides anything. It is made once, of the debts that the act names.
"""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from procrastinate.contrib.django import app

from coulance.arrears import effects, operations
from coulance.arrears import queries as records
from coulance.arrears.errors import UnableToActError, UnableToFindError
from coulance.arrears.queries import ActRow
from coulance.customers import queries as customers
from coulance.flows.arrears.looking import look_soon
from coulance.flows.dossier.handing_over import To, package
from coulance.flows.dossier.making import UnableToMakeDossierError
from coulance.payments import queries as payments
from coulance.platform import alarms, audit, webhooks
from coulance_core.arrears import Act, Ground


def ask(*, act: int) -> None:
    """Have the package of an act made, once its transaction is committed."""
    app.configure_task("coulance.flows.tasks.arrears.package", lock=f"arrears-package:{act}").defer(act=act)


def make(*, act: int, now: Callable[[], datetime], actor: str = "worker") -> bool:
    """Make the package of a hand-over that stands, and keep it; whether it was made now. Where it can't be, an alarm
    says why, and the next look tries again."""
    row = records.act(act)
    if row.act is not Act.HAND_OVER or row.undone_at is not None or row.observed or effects.packages(act=act):
        return False
    [account] = customers.accounts([row.account])
    at, key = now(), f"arrears-package:{act}"
    items = payments.open_items(accounts=[row.account]).get(row.account, ())
    numbers = [item.number for item in items if item.ref in row.debts and item.open.minor > 0]
    to = To(row.effect.get("to", To.COLLECTION.value))
    try:
        if not numbers:
            raise UnableToMakeDossierError("nothing of it is open any more")
        made = package(account=account.external_id, to=to, numbers=numbers, actor=actor, reason=f"arrears/{act}", at=at)
    except UnableToMakeDossierError as fault:
        what = f"The package for {account.external_id} (act {act}) can't be made: {fault}"
        alarms.raise_alarm(key=key, severity="warning", what=what[:500], at=at)
        return False
    with transaction.atomic():
        kept = effects.keep_package(
            act=act, to=to.value, seal=made.dossier.seal, names=made.names, content=made.content, by=actor, at=at
        )
        alarms.clear_alarm(key=key, at=at)
    return kept


def make_missing(*, now: Callable[[], datetime]) -> int:
    """Packages of hand-overs that stand and have none; how many were made."""
    return sum(make(act=row.id, now=now) for row in records.hand_overs())


def fetch(*, account: int, act: int, actor: str, reason: str, at: datetime) -> bytes:
    """The package of an act, for whoever sends it on: written down. Raises `UnableToFindError`, `UnableToActError`."""
    if not reason.strip():
        raise UnableToActError("say whom it is for: it holds a person's debts and what was written to them")
    with transaction.atomic():
        content = effects.package_content(act=act, account=account)
        audit.record(actor=actor, act="arrears.package_read", subject=f"arrears-act:{act}", at=at, reason=reason)
    return content


def recall(*, account: int, act: int, actor: str, reason: str, at: datetime) -> ActRow:
    """A person takes a hand-over back. The route goes on here, and doesn't hand it over again by itself.

    Raises `UnableToFindError` for another account's, `UnableToActError` for one that doesn't stand or without a reason.
    """
    if not reason.strip():
        raise UnableToActError("taking a claim back needs a reason: the collector will ask")
    with transaction.atomic():
        operations.lock_account(account)
        row = records.act(act)
        if row.account != account or row.act is not Act.HAND_OVER:
            raise UnableToFindError(f"act {act} is no hand-over of this account")
        done = operations.undo_act(act=act, ground=Ground.RECALLED.value, wrongful_since=None, at=at, actor=actor)
        if not done or row.observed:
            raise UnableToActError(f"act {act} doesn't stand: nothing is there to take back")
        audit.record(actor=actor, act="arrears.recalled", subject=f"arrears-act:{act}", at=at, reason=reason)
        [owner] = customers.accounts([account])
        operations.add_task(
            case=row.case, act=act, kind="recall", ref="", at=at,
            what=f"Tell whom the claim on {owner.external_id} was handed to that it is taken back: {reason}",
        )  # fmt: skip
        data = {
            "account": owner.external_id, "act": act, "step": row.step, "what": row.act.value, "service": "",
            "ground": Ground.RECALLED.value, "wrongful": False,
        }  # fmt: skip
        webhooks.emit(event="arrears.undone", data=data, at=at)
        look_soon([account])
    return records.act(act)
