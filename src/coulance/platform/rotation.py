"""Replacing the secrets that an instance makes itself, while it runs, so that a crash at any point leaves it working.

**Signing key.** The key before is kept in `django_key_before` and still accepted, so that sessions and links survive;
it is written there before the new one is in force. Two are kept: rotate three times, and the first opens nothing.

**Password of the embedded database.** Written to `database_password.next`, given to the server, then renamed into
place. Who connects tries both (`platform.engine`). Stopped between, running it again finishes it; and a server that is
started takes the password of the file, whatever it had.
"""

import secrets
from datetime import datetime

from django.db import connection, transaction
from psycopg import sql

from coulance.platform import audit
from coulance.platform.instance import DATABASE, KEYS_KEPT, Instance
from coulance.platform.secret_store import write
from coulance_core.kernel import require_aware


class UnableToRotateSecretError(RuntimeError):
    """This secret is not ours to replace; the message says who does."""


def rotate_django_key(*, here: Instance, actor: str, at: datetime, reason: str = "") -> None:
    """A new key signs from the next start of a process on; what the one before signed stays good."""
    require_aware(at)
    before = here.secret("django_key")
    if before is None:
        raise UnableToRotateSecretError("there is no signing key yet; coulance up makes one")
    kept = [before, *(key for key in here.django_keys_before() if key != before)][:KEYS_KEPT]
    with transaction.atomic():
        audit.record(actor=actor, act="secret.rotated", subject="secret:django_key", at=at, reason=reason)
        write(here, "django_key_before", "\n".join(kept))
        write(here, "django_key", secrets.token_urlsafe(48))


def rotate_database_password(*, here: Instance, actor: str, at: datetime, reason: str = "") -> None:
    """A new password for the embedded server's role; connections that are open stay open."""
    require_aware(at)
    if not here.embedded:
        raise UnableToRotateSecretError(
            "the database is your own server (DATABASE_URL): change the password there and in DATABASE_URL, "
            "then restart coulance up"
        )
    following = here.secrets_dir / "database_password.next"
    if not following.exists():
        write(here, following.name, secrets.token_urlsafe(48))
    password = here.secret(following.name) or ""
    with transaction.atomic():
        audit.record(actor=actor, act="secret.rotated", subject="secret:database_password", at=at, reason=reason)
        with connection.cursor() as cursor:
            # Sent as a verifier, so that the server's log can't hold the password, whatever it logs.
            hashed = connection.connection.pgconn.encrypt_password(
                password.encode(), DATABASE.encode(), b"scram-sha-256"
            )
            cursor.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(DATABASE), hashed.decode()).as_string(None)
            )
    following.replace(here.secrets_dir / "database_password")
