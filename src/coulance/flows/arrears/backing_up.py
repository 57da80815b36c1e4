"""Having a service backed up before it is suspended, ended or deleted, by the provider's own adapter.

Made, verified, then recorded: killed anywhere, it begins again by the same key, and what was made is found rather than
made anew. A backup that isn't sound is recorded nowhere, and the step waits.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings as django_settings
from django.db import transaction
from django.utils.module_loading import import_string

from coulance.arrears import operations
from coulance.arrears.backup_terms import BackupKind, BackupTerms, backup_for, read_backups
from coulance.arrears.ports import BackupError, BackupPort, BackupTarget
from coulance.catalog import queries as catalogs
from coulance.enforcement import queries as register
from coulance.flows.arrears.looking import look_soon
from coulance.platform import alarms
from coulance.services import queries as services

_log = logging.getLogger(__name__)


def terms_for(service: services.ServiceForClose) -> BackupTerms | None:
    """How the provider's file says that a service is backed up; none: a person does it."""
    table = catalogs.table("arrears").get("backups", {})
    found, _faults = read_backups(table)
    return backup_for([sub.plan for sub in service.subscriptions if sub.valid_until is None], found)


def back_up(*, account: int, service: str, at: datetime) -> int | None:
    """Back a service up and verify it; the backup's id. None where it failed: an alarm says why, and it is retried."""
    (row,) = services.accounts_for_close([account])
    own = next(one for one in row.services if one.external_id == service)
    terms = terms_for(own)
    if terms is None:
        return None
    make: Callable[[BackupTerms], BackupPort] = import_string(django_settings.ARREARS_BACKUPS)
    key = f"arrears-backup:{service}"
    try:
        port = make(terms)
        receipt = port.back_up(service, _target(own, terms), key=f"arrears/{account}/{service}/{at:%Y-%m-%d}")
        verified = port.verify(receipt)
        if not verified.sound:
            raise BackupError(f"it isn't sound: {verified.how}")
    except BackupError as fault:
        _log.warning("backup of %s: %s", service, fault)
        alarms.raise_alarm(key=key, severity="warning", what=f"Backing {service} up failed: {fault}", at=at)
        return None
    with transaction.atomic():
        made = operations.record_backup(
            service=own.id, made_at=receipt.made_at, how=receipt.adapter, receipt=receipt.to_json(), by="worker",
            at=at, verified_at=max(at, receipt.made_at), verified_how=verified.how,
        )  # fmt: skip
        alarms.clear_alarm(key=key, at=at)
        look_soon([account])
    return made


def _target(own: services.ServiceForClose, terms: BackupTerms) -> BackupTarget:
    if terms.kind is BackupKind.VZDUMP:
        for target in register.targets(own.id):
            if target.driver == "proxmox":
                return BackupTarget(target.identity, dict(target.parameters))
        raise BackupError(f"{own.external_id} has no target of driver proxmox: coulance enforce target")
    name = own.external_id
    parameters: dict[str, Any] = {
        "paths": [path.format(service=name) for path in terms.paths],
        "identity_file": terms.identity_file,
    }
    return BackupTarget(terms.identity.format(service=name), parameters)
