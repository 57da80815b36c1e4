"""Contacts' own webhooks: registered, verified by a challenge, told of warnings; with mail's states and evidence.

Requests follow Standard Webhooks: signed with a secret that is shown once, the same id at every attempt. They go to
public addresses by https, looked up once and pinned, and never into networks of the provider; those that a provider
allows customers are named by COULANCE_CUSTOMER_WEBHOOK_NETWORKS alone.

That a machine took a message (2xx) is kept as `accepted`. It reached nobody: only a person's answer does.
"""

import base64
import hashlib
import hmac
import ipaddress
import json
import os
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import connection, transaction

from coulance import __version__
from coulance.notices import outcomes
from coulance.notices.errors import NoticesError
from coulance.notices.hook_address import hook_address, number_of
from coulance.notices.models import Delivery, Hook
from coulance.notices.outcomes import Known
from coulance.notices.sender import Sent, alive, clear_up
from coulance.notices.states import State
from coulance.notices.transport import Answer, Outcome
from coulance.platform import audit, webhook_guard
from coulance.platform.at_rest import UnableToUnsealError, seal, unseal
from coulance.platform.webhook_guard import (
    Network,
    RefusedAddressError,
    UnableToAllowNetworksError,
    UnableToSendError,
    fault_of_url,
)
from coulance_core.kernel import require_aware

VARIABLE = "COULANCE_CUSTOMER_WEBHOOK_NETWORKS"
"""Networks that customers' webhooks may be in although they are not public. Empty, as it should be: none."""
AGAIN_AFTER = timedelta(seconds=10)
"""A challenge is sent no more often: nobody shall have us knock at others' doors."""
Post = Callable[..., webhook_guard.Answer]


class UnableToHookError(NoticesError):
    """A webhook that can't be, isn't there, or did not answer its challenge; the text says which."""


@dataclass(frozen=True, slots=True)
class HookRow:
    """A contact's webhook as others may know it. `host` is where it is: its path may hold a secret of theirs."""

    id: int
    account: int
    contact: str
    host: str
    made_at: datetime
    made_by: str
    verified_at: datetime | None

    @property
    def address(self) -> str:
        """As deliveries name it."""
        return hook_address(self.id)


def hooks(*, accounts: Collection[int], verified_only: bool = False) -> list[HookRow]:
    """The webhooks of these accounts that were not ended, by account and contact."""
    rows = Hook.objects.filter(account__in=list(accounts), ended_at__isnull=True).order_by("account", "contact")
    if verified_only:
        rows = rows.filter(verified_at__isnull=False)
    return [_row(row) for row in rows]


def add_hook(*, account: int, contact: str, url: str, actor: str, at: datetime) -> tuple[HookRow, str]:
    """Register a contact's webhook in place of an earlier one; gives it, and its secret (whsec_..., shown this once).

    It counts once `verify_hook` found its challenge answered. Raises `UnableToHookError`.
    """
    require_aware(at)
    if expected := fault_of_url(url, networks=_networks()):
        raise UnableToHookError(f"expected {expected}")
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    with transaction.atomic():
        _end(Hook.objects.filter(account=account, contact=contact), actor, "another took its place", at)
        row = Hook.objects.create(
            account_id=account, contact=contact, url=url, secret_sealed=seal(secret), made_at=at, made_by=actor
        )
        audit.record(
            actor=actor, act="hook.added", subject=f"account:{account}", at=at,
            detail={"contact": contact, "hook": row.pk, "host": _host(url)},
        )  # fmt: skip
    return _row(row), secret


def verify_hook(*, hook: int, account: int, actor: str, at: datetime, send: Post | None = None) -> None:
    """Send a challenge, and take the webhook for verified if its answer shows that it holds the secret.

    It must answer 2xx with JSON `{"answer": "..."}`: the hex HMAC-SHA256 of the challenge under the secret. Raises
    `UnableToHookError`. Not in a transaction: it waits for a stranger.
    """
    from coulance.notices.operations import verify_address

    with transaction.atomic():
        row = Hook.objects.select_for_update().filter(pk=hook, account=account, ended_at__isnull=True).first()
        if row is None:
            raise UnableToHookError("there is no such webhook")
        if row.tried_at is not None and at < row.tried_at + AGAIN_AFTER:
            raise UnableToHookError("a challenge was sent a moment ago: try again in ten seconds")
        row.tried_at = require_aware(at)
        row.save(update_fields=["tried_at"])
    challenge = secrets.token_hex(24)
    body = {"type": "webhook.challenge", "timestamp": at.isoformat(), "data": {"challenge": challenge}}
    try:
        secret = unseal(bytes(row.secret_sealed))
        said = _post(row.url, secret, f"<challenge.{secrets.token_hex(8)}>", json.dumps(body), at, send)
    except (RefusedAddressError, UnableToSendError, UnableToAllowNetworksError, UnableToUnsealError) as fault:
        raise UnableToHookError(f"it could not be asked: {fault}") from fault
    if not 200 <= said.status < 300:
        raise UnableToHookError(f"it answered {said.status}; expected 200 and the answer")
    if not hmac.compare_digest(_answer_in(said.body).encode(), answer_to(challenge, secret).encode()):
        raise UnableToHookError("it did not answer with the hex HMAC-SHA256 of the challenge under its secret")
    with transaction.atomic():
        if Hook.objects.filter(pk=hook, ended_at__isnull=True).update(verified_at=at):
            verify_address(
                account=account, address=hook_address(hook), how="a webhook that answered its challenge", actor=actor,
                at=at,
            )  # fmt: skip


def answer_to(challenge: str, secret: str) -> str:
    """What the holder of a secret answers."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return hmac.new(key, challenge.encode(), hashlib.sha256).hexdigest()


def end_hook(*, hook: int, account: int, actor: str, reason: str, at: datetime) -> None:
    """Tell it nothing any more. Raises `UnableToHookError`."""
    if not reason.strip():
        raise UnableToHookError("say why")
    with transaction.atomic():
        if not _end(Hook.objects.filter(pk=hook, account=account), actor, reason.strip()[:200], at):
            raise UnableToHookError("there is no such webhook")


def _end(rows: object, actor: str, why: str, at: datetime) -> int:
    found = list(rows.select_for_update().filter(ended_at__isnull=True))  # type: ignore[attr-defined]
    for row in found:
        Hook.objects.filter(pk=row.pk).update(ended_at=at, ended_by=actor, ended_why=why)
        audit.record(
            actor=actor, act="hook.ended", subject=f"account:{row.account_id}", at=at, reason=why,
            detail={"contact": row.contact, "hook": row.pk},
        )  # fmt: skip
    return len(found)


def send_hooks_due(*, clock: Callable[[], datetime], lasts: timedelta | None = None, send: Post | None = None) -> Sent:
    """Send what is due to contacts' webhooks, one after the other. Safe in several processes at once."""
    begun, out = clock(), Sent()
    with alive() as claim:
        clear_up(at=begun)
        while ids := _claim(claim, clock()):
            for of in outcomes.known(ids):
                if lasts is not None and clock() - begun >= lasts:
                    outcomes.move(of, to=State.WAITING, since=[State.CLAIMED], at=clock(), claim=claim)
                    continue
                state = _send_one(of, claim, clock, send)
                if state is not None:
                    out.states[state] = out.states.get(state, 0) + 1
            if lasts is not None and clock() - begun >= lasts:
                break
    return out


def due(*, at: datetime) -> int:
    """How many deliveries to webhooks are due."""
    return Delivery.objects.filter(channel="webhook", state=State.WAITING.value, next_attempt_at__lte=at).count()


def _claim(claim: int, at: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notices_delivery SET state = 'claimed', claim = %s, changed_at = %s WHERE id IN ("
            " SELECT id FROM notices_delivery WHERE state = 'waiting' AND channel = 'webhook' AND next_attempt_at <= %s"
            " ORDER BY next_attempt_at, id LIMIT 20 FOR UPDATE SKIP LOCKED) RETURNING id",
            [claim, at, at],
        )
        return sorted(row[0] for row in cursor.fetchall())


def _send_one(of: Known, claim: int, clock: Callable[[], datetime], send: Post | None) -> State | None:
    row = Hook.objects.filter(pk=number_of(of.address), ended_at__isnull=True).first()
    if row is None or row.verified_at is None:
        why = "the webhook was ended, or is not verified"
        return outcomes.answered(of, Answer(Outcome.REFUSED, why), claim=claim, at=clock())
    text = Delivery.objects.values_list("message__text", flat=True).get(pk=of.delivery)
    fact = {"by": _host(row.url), "sha256": hashlib.sha256(text.encode()).hexdigest(), "size": len(text)}
    if not outcomes.begin_sending(of, claim=claim, at=clock(), fact=fact):
        return None
    host = _host(row.url)
    try:
        said = _post(row.url, unseal(bytes(row.secret_sealed)), of.header_id, text, clock(), send)
    except (RefusedAddressError, UnableToAllowNetworksError) as fault:
        answer = Answer(Outcome.REFUSED, str(fault)[:500], host)
    except (UnableToSendError, UnableToUnsealError) as fault:
        # Its id lets the receiver tell a second copy: what may have arrived may be sent again.
        answer = Answer(Outcome.DEFERRED, str(fault)[:500], host)
    else:
        if 200 <= said.status < 300:
            answer = Answer(Outcome.ACCEPTED, f"answered {said.status}", host)
        elif said.status == 410:
            answer = Answer(Outcome.REFUSED, "answered 410: it is gone", host)
        else:
            answer = Answer(Outcome.DEFERRED, f"answered {said.status}", host)
    done = outcomes.answered(of, answer, claim=claim, at=clock())
    if answer.text.endswith("it is gone"):
        with transaction.atomic():
            _end(Hook.objects.filter(pk=row.pk), "worker", "it answered 410: it is gone", clock())
    return done


def _post(url: str, secret: str, key: str, body: str, at: datetime, send: Post | None) -> webhook_guard.Answer:
    from standardwebhooks import Webhook

    headers = {
        "content-type": "application/json; charset=utf-8",
        "user-agent": f"coulance/{__version__}",
        "webhook-id": key.strip("<>"),
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(msg_id=key.strip("<>"), timestamp=at, data=body),
    }
    return (send or webhook_guard.post)(url=url, headers=headers, body=body.encode(), networks=_networks())


def _networks() -> tuple[Network, ...]:
    found: list[Network] = []
    for word in os.environ.get(VARIABLE, "").replace(",", " ").split():
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError as fault:
            raise UnableToAllowNetworksError(f"{VARIABLE}: {fault}; write networks such as 10.20.0.0/16") from fault
    return tuple(found)


def _answer_in(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    said = found.get("answer") if isinstance(found, dict) else None
    return said if isinstance(said, str) and said.isascii() else ""


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _row(row: Hook) -> HookRow:
    return HookRow(row.pk, row.account_id, row.contact, _host(row.url), row.made_at, row.made_by, row.verified_at)
