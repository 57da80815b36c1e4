"""What acts left behind that is kept for itself: a collector's package, an order to delete and what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from coulance.arrears import models
from coulance.arrears.errors import UnableToActError, UnableToFindError
from coulance.platform import audit
from coulance_core.kernel import require_aware


@dataclass(frozen=True, slots=True)
class PackageRow:
    """A package, without its bytes. `names`: the files in it; `seal`: of the dossier in it."""

    act: int
    account: int
    to: str
    made_at: datetime
    by: str
    seal: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeletionRow:
    """An order to delete: see `models.Deletion`. `service` is the external id, `service_id` the row."""

    id: int
    act: int
    account: int
    service: str
    service_id: int
    identity: str
    asked_at: datetime
    state: str
    begun_at: datetime | None
    ended_at: datetime | None
    by: str
    read: str
    proof: str


def keep_package(
    *, act: int, to: str, seal: str, names: Sequence[str], content: bytes, by: str, at: datetime
) -> bool:  # fmt: skip
    """Keep the package of a hand-over; whether it was made now. The second time nothing changes."""
    _, made = models.Package.objects.get_or_create(
        act_id=act,
        defaults={
            "to": to, "made_at": require_aware(at), "by": by, "seal": seal, "names": list(names), "content": content,
        },
    )  # fmt: skip
    if made:
        audit.record(actor=by, act="arrears.packaged", subject=f"arrears-act:{act}", at=at, detail={"seal": seal})
    return made


def packages(*, accounts: Iterable[int] | None = None, act: int | None = None) -> list[PackageRow]:
    """Packages, in the order of their acts."""
    rows = models.Package.objects.all()
    if accounts is not None:
        rows = rows.filter(act__case__account__in=list(accounts))
    if act is not None:
        rows = rows.filter(act=act)
    found = rows.order_by("act_id").values_list(
        "act_id", "act__case__account_id", "to", "made_at", "by", "seal", "names"
    )
    return [PackageRow(*row[:6], tuple(row[6])) for row in found]


def package_content(*, act: int, account: int) -> bytes:
    """The zip. Raises `UnableToFindError` where there is none, or it is another account's."""
    row = models.Package.objects.filter(act=act, act__case__account=account).values_list("content").first()
    if row is None:
        raise UnableToFindError(f"no package was made for act {act}")
    return bytes(row[0])


def order_deletion(*, act: int, service: int, identity: str, at: datetime) -> int:
    """Order that a service's data is deleted, in the transaction that records the act; its id."""
    return models.Deletion.objects.create(
        act_id=act, service_id=service, identity=identity, asked_at=require_aware(at)
    ).pk


def deletions(
    *, accounts: Iterable[int] | None = None, states: Sequence[str] = (), act: int | None = None
) -> list[DeletionRow]:
    """Orders to delete, in the order they were given."""
    rows = models.Deletion.objects.all()
    if accounts is not None:
        rows = rows.filter(act__case__account__in=list(accounts))
    if states:
        rows = rows.filter(state__in=states)
    if act is not None:
        rows = rows.filter(act=act)
    return [
        DeletionRow(*row)
        for row in rows.order_by("id").values_list(
            "id", "act_id", "act__case__account_id", "service__external_id", "service_id", "identity", "asked_at",
            "state", "begun_at", "ended_at", "by", "read", "proof",
        )
    ]  # fmt: skip


def begin_deletion(*, act: int, by: str, at: datetime) -> None:
    """It is handed to a driver, or a person begins: from here on it can't be withdrawn. Begun twice is begun once.

    The database asks again for two people, the proof, and that the act stands. Raises `UnableToActError`.
    """
    mine = models.Deletion.objects.filter(act=act)
    done = mine.filter(state="waiting").update(state="begun", begun_at=at, by=by)
    done = done or mine.filter(state="refused").update(state="begun")
    if not done and not mine.filter(state="begun").exists():
        raise UnableToActError(f"there is no order to delete of act {act} that waits")


def end_deletion(*, act: int, state: str, read: str, proof: str, at: datetime) -> None:
    """What came of it: `done`, or `refused` as somebody else was read back; that can begin again once it is mended.

    Raises `UnableToFindError`.
    """
    row = models.Deletion.objects.filter(act=act, state="begun").first()
    if row is None:
        raise UnableToFindError(f"no deletion of act {act} was begun")
    row.state, row.proof = state, proof[:20_000]
    if state == "done":
        row.read, row.ended_at = read[:200], at
    row.save(update_fields=["state", "read", "proof", "ended_at"])
    detail = {"state": state, "identity": row.identity, "read": read[:200]}
    audit.record(
        actor=row.by, act=f"arrears.deletion_{state}", subject=f"service:{row.service_id}", at=at, detail=detail
    )


def withdraw_deletion(*, act: int, why: str, by: str, at: datetime) -> bool:
    """Its ground is gone before it began: nothing is deleted. Whether it was withdrawn now."""
    mine = models.Deletion.objects.filter(act=act, state__in=["waiting", "refused"])
    done = mine.update(state="withdrawn", proof=why, ended_at=at)
    if done:
        audit.record(actor=by, act="arrears.deletion_withdrawn", subject=f"arrears-act:{act}", at=at, reason=why)
    return bool(done)
