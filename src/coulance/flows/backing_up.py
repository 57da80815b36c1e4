"""Backing services up, verifying backups, and looking whether they are still there: what arrears may rest on.

The work is done outside any transaction, as it may take hours; what came of it is recorded in one. Killed in between,
nothing is recorded that isn't so: it is asked again, and the store's own record decides. Trouble (a store out of reach)
raises and records nothing; only a store that answers can say that a backup is unsound or gone.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from coulance.arrears import operations, queries
from coulance.arrears.backup_terms import BackupTerms, backup_for, read_backups
from coulance.arrears.ports import BackupError, BackupPort, BackupTarget, Receipt, Verified
from coulance.arrears.queries import BackupRow
from coulance.catalog import queries as catalogs
from coulance.enforcement import queries as enforcement
from coulance.services import queries as services

_log = logging.getLogger(__name__)
Ways = Callable[[BackupTerms], BackupPort]


class UnableToBackUpServiceError(ValueError):
    """No backup can be made, verified or looked for; the message says why. Nothing was concluded."""


@dataclass(frozen=True, slots=True)
class MadeBackup:
    """A backup that was made, and what verifying it said."""

    backup: int
    receipt: Receipt
    verified: Verified


@dataclass(frozen=True, slots=True)
class LookedFor:
    """A backup that was looked for; `trouble` where its store gave no answer."""

    backup: int
    service: str
    there: bool | None
    trouble: str = ""


def back_up_service(
    *, service: str, key: str, by: str, now: Callable[[], datetime], ways: Ways | None = None
) -> MadeBackup:
    """Back a service up (its external id) and verify that; recorded either way, counting only when sound.

    `key` is the same for the same decision. Raises `UnableToBackUpServiceError`.
    """
    row = services.service(service)
    terms = _terms_for(row.id, service, now())
    target = _target(terms, row.id, service)
    with _told(service):
        port = (ways or _ways())(terms)
        receipt = port.back_up(service, target, key=key)
        verified = port.verify(receipt)
    with transaction.atomic():
        at = max(now(), receipt.made_at)  # the store's clock may be ahead of ours by a moment
        backup = operations.record_backup(
            service=row.id,
            made_at=receipt.made_at,
            how=f"{terms.kind} {terms.key}"[:60],
            receipt=receipt.to_json(),
            by=by,
            at=at,
            verified_at=at if verified.sound else None,
            verified_how=verified.how[:200] if verified.sound else "",
        )
    return MadeBackup(backup, receipt, verified)


def verify_service_backup(*, backup: int, by: str, now: Callable[[], datetime], ways: Ways | None = None) -> Verified:
    """Verify a backup that was made before. One that proves unsound counts as lost from now on.

    Raises `UnableToBackUpServiceError`.
    """
    row = _row(backup)
    terms, receipt = _terms_of(row, now()), Receipt.from_json(row.receipt)
    with _told(row.service):
        port = (ways or _ways())(terms)
        found = port.verify(receipt)
        gone = not found.sound and not port.still_there(receipt)
    with transaction.atomic():
        at = max(now(), row.made_at)
        if found.sound and row.verified_at is None and row.lost_at is None:
            operations.verify_backup(backup=backup, how=found.how[:200], by=by, at=at)
        elif not found.sound and (gone or row.verified_at is not None):
            operations.lose_backup(backup=backup, why=found.how, by=by, at=at)
    return found


def look_for_backups(
    *, by: str, now: Callable[[], datetime], service: str = "", ways: Ways | None = None
) -> list[LookedFor]:
    """Look for every backup that isn't lost yet (of a service, or of all); those that are gone are recorded as lost."""
    made: dict[str, BackupPort] = {}
    out = []
    for row in queries.backups([service] if service else None, lost=False):
        try:
            terms = _terms_of(row, now())
            with _told(row.service):
                port = made.get(terms.key) or made.setdefault(terms.key, (ways or _ways())(terms))
                there = port.still_there(Receipt.from_json(row.receipt))
        except UnableToBackUpServiceError as error:
            out.append(LookedFor(row.id, row.service, None, str(error)))
            continue
        if not there:
            with transaction.atomic():
                operations.lose_backup(backup=row.id, why="its store doesn't have it any more", by=by, at=now())
        out.append(LookedFor(row.id, row.service, there))
    return out


def watch_backups(*, by: str, now: Callable[[], datetime], ways: Ways | None = None) -> set[str]:
    """Look for every backup, and verify those that are not yet; the services of which something changed."""
    before = {row.id: row for row in queries.backups(lost=False)}
    look_for_backups(by=by, now=now, ways=ways)
    for row in queries.backups(lost=False):
        if row.verified_at is None:
            try:
                verify_service_backup(backup=row.id, by=by, now=now, ways=ways)
            except UnableToBackUpServiceError as error:
                _log.warning("backup %s: %s", row.id, error)
    after = {row.id: row for row in queries.backups(lost=False)}
    return {row.service for key, row in before.items() if after.get(key) != row}


def terms_of_plans(plans: Collection[str], at: datetime | None = None) -> BackupTerms | None:
    """How services on these plans are backed up, by the provider's file; none: nothing says so."""
    return backup_for(plans, _all_terms(at))


class _told:
    """Say an adapter's trouble as a refusal of ours, with the service's name."""

    def __init__(self, service: str) -> None:
        self.service = service

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, BackupError):
            raise UnableToBackUpServiceError(f"{self.service}: {error}") from error


def _ways() -> Ways:
    found: Ways = import_string(settings.ARREARS_BACKUPS)
    return found


def _all_terms(at: datetime | None) -> dict[str, BackupTerms]:
    given: Mapping[str, Any] = catalogs.table("arrears", at).get("backups", {})
    return read_backups(given)[0]


def _terms_for(service: int, name: str, at: datetime) -> BackupTerms:
    today = at.date()
    rows = services.subscriptions([service]).get(service, ())
    plans = {row.plan for row in rows if row.valid_until is None or row.valid_until > today} or {r.plan for r in rows}
    terms = terms_of_plans(plans, at)
    if terms is None:
        raise UnableToBackUpServiceError(
            f"{name}: nothing says how services on {', '.join(sorted(plans)) or 'no plan'} are backed up: "
            "see [arrears.backups] of the provider file"
        )
    return terms


def _terms_of(row: BackupRow, at: datetime) -> BackupTerms:
    key = str(row.receipt.get("adapter", ""))
    terms = _all_terms(at).get(key)
    if terms is None:
        raise UnableToBackUpServiceError(
            f"backup {row.id} of {row.service} was made by {key or row.how!r}, which [arrears.backups] has no more"
        )
    return terms


def _target(terms: BackupTerms, service: int, name: str) -> BackupTarget:
    if terms.paths:
        if "/" in name or name in (".", ".."):
            raise UnableToBackUpServiceError(f"{name} can't stand in a path: expected an id without /")
        paths = [path.format(service=name) for path in terms.paths]
        return BackupTarget(terms.identity.format(service=name), {"paths": paths, "identity_file": terms.identity_file})
    found = [one for one in enforcement.targets(service) if "vmid" in one.parameters]
    if len(found) != 1:
        raise UnableToBackUpServiceError(
            f"{name} has {len(found) or 'no'} network target{'s' if found else ''} with a vmid: expected one, by which "
            "its guest is known (coulance enforce target)"
        )
    return BackupTarget(found[0].identity, found[0].parameters)


def _row(backup: int) -> BackupRow:
    row = next((one for one in queries.backups() if one.id == backup), None)
    if row is None:
        raise UnableToBackUpServiceError(f"there is no backup {backup}: see coulance service-backup list")
    return row
