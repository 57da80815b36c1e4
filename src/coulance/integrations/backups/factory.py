"""Ways to back up, from what the provider file says of them. Secrets are read when they are needed."""

from collections.abc import Callable
from pathlib import Path

from coulance.arrears.backup_terms import BackupKind, BackupTerms, Verify
from coulance.arrears.ports import BackupError, BackupPort
from coulance.integrations.backups.restic import Restic
from coulance.platform import secret_store
from coulance.platform.instance import InstanceError


def backup_port(terms: BackupTerms) -> BackupPort:
    """What these terms describe. Raises `BackupError` where they can't be followed."""
    if terms.kind is BackupKind.RESTIC:
        return Restic(
            terms.repository,
            password=_secret(terms.secret),
            environment={name: _secret(kept) for name, kept in terms.environment.items()},
            verify="read-data" if terms.verify is Verify.READ_DATA else "restore",
            scratch=Path(terms.scratch) if terms.scratch else None,
            timeout_s=terms.timeout_s,
            name=terms.key,
        )
    from coulance.integrations.backups.vzdump import Vzdump  # httpx takes its time to load

    return Vzdump(
        url=terms.url,
        token=_secret(terms.secret),
        storage=terms.storage,
        verify="test-restore" if terms.verify is Verify.TEST_RESTORE else "verify-state",
        scratch_vmid=terms.scratch_vmid or None,
        scratch_storage=terms.scratch_storage,
        ca_file=terms.ca_file,
        timeout_s=terms.timeout_s,
        name=terms.key,
    )


def _secret(name: str) -> Callable[[], str]:
    def read() -> str:
        try:
            value = secret_store.secret(name)
        except (secret_store.UnableToKeepSecretError, InstanceError) as error:
            raise BackupError(f"the secret {name!r} can't be read: {error}") from error
        if not value:
            raise BackupError(f"the secret {name!r} is not set: coulance secret set {name}")
        return value

    return read
