"""Text messages: how they leave, by one gateway, with the same states and evidence as mail.

The secret `sms` says by which:

    twilio://SID:TOKEN@?from=%2B31612345678          Twilio's API, or one that speaks it: twilio://...@host:port?...
    file:///var/lib/coulance/texts                    into that directory and to nobody; to try things out

A message that may have been taken is never sent again by itself (`uncertain`). What a gateway took (`accepted`) it is
asked about later: `delivered` by the network is kept as evidence, `undelivered` counts as a bounce.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from django.db import connection, transaction

from coulance.notices import evidence, outcomes
from coulance.notices.addresses import AddressFormError, phone_number
from coulance.notices.errors import UnableToReachServerError, UnableToReadTransportError
from coulance.notices.models import Delivery
from coulance.notices.outcomes import Known
from coulance.notices.sender import Sent, alive, clear_up
from coulance.notices.states import State
from coulance.notices.transport import Answer, Outcome
from coulance.platform.secret_store import secret
from coulance_core.notices import VOIDS_WITHIN, EvidenceKind

SECRET = "sms"  # noqa: S105 - its name
_DEAD = frozenset({21211, 21612, 21614, 30003, 30005, 30006})
"""Twilio's codes for numbers that no text will ever reach."""


_STATES = {"delivered": "delivered", "read": "delivered", "undelivered": "undelivered", "failed": "undelivered"}


class Gateway(Protocol):
    """A way out for text messages."""

    @property
    def shown(self) -> str:
        """In words, without secrets."""
        ...

    def send(self, *, to: str, text: str, ref: str) -> Answer:
        """Hand one over. Raises `UnableToReachServerError` when it certainly was not taken and none can be now."""
        ...

    def status(self, ref: str) -> str:
        """What became of one by the gateway's name for it: `delivered`, `undelivered`, or empty: not known (yet)."""
        ...


@dataclass(frozen=True, slots=True)
class Twilio:
    """Twilio's Messages API, version 2010-04-01."""

    sid: str = field(repr=False)
    token: str = field(repr=False)
    sender: str
    base: str = "https://api.twilio.com"

    @property
    def shown(self) -> str:
        """In words, without secrets."""
        return f"{urlsplit(self.base).hostname} from {self.sender}"

    def send(self, *, to: str, text: str, ref: str) -> Answer:
        """POST a message. A request that was cut off may have been taken."""
        import httpx

        del ref  # Twilio knows no key of ours
        try:
            found = httpx.post(
                f"{self.base}/2010-04-01/Accounts/{self.sid}/Messages.json",
                data={"To": to, "From": self.sender, "Body": text},
                auth=(self.sid, self.token),
                timeout=20.0,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as fault:
            raise UnableToReachServerError(f"{self.shown}: {fault}") from fault
        except httpx.HTTPError as fault:
            return Answer(Outcome.UNCERTAIN, f"{type(fault).__name__} after handing it over", self.shown)
        body = _json(found.text)
        said = f"{found.status_code} {body.get('message') or body.get('status') or ''}".strip()
        if found.status_code in (200, 201):
            return Answer(Outcome.ACCEPTED, said, self.shown, str(body.get("sid") or ""))
        if found.status_code in (401, 403):
            raise UnableToReachServerError(f"{self.shown} doesn't let us in: {said}")
        if found.status_code == 429 or found.status_code >= 500:
            return Answer(Outcome.DEFERRED if found.status_code in (429, 503) else Outcome.UNCERTAIN, said, self.shown)
        return Answer(Outcome.REFUSED, said, self.shown, dead_address=body.get("code") in _DEAD)

    def status(self, ref: str) -> str:
        """GET a message's state."""
        import httpx

        try:
            found = httpx.get(
                f"{self.base}/2010-04-01/Accounts/{self.sid}/Messages/{ref}.json",
                auth=(self.sid, self.token),
                timeout=20.0,
            )
        except httpx.HTTPError:
            return ""
        state = str(_json(found.text).get("status") or "") if found.status_code == 200 else ""
        return _STATES.get(state, "")


@dataclass(frozen=True, slots=True)
class ByFile:
    """Each text as a file in a directory: nobody gets it."""

    path: str

    @property
    def shown(self) -> str:
        """In words."""
        return f"files in {self.path}"

    def send(self, *, to: str, text: str, ref: str) -> Answer:
        """Write it down."""
        name = "".join(c for c in ref if c.isalnum())[:40] or "text"
        folder = Path(self.path)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / f"{name}.txt").write_text(f"To: {to}\n\n{text}\n", encoding="utf-8")
        except OSError as fault:
            raise UnableToReachServerError(f"{self.shown}: {fault}") from fault
        return Answer(Outcome.ACCEPTED, "written to a file", self.shown, name)

    def status(self, ref: str) -> str:
        """Nothing more is ever known."""
        del ref
        return ""


def _json(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def configured() -> Gateway | None:
    """The gateway of the secret `sms`, or none when it was never set. Raises `UnableToReadTransportError`."""
    value = secret(SECRET)
    return None if not value else read_gateway(value)


def read_gateway(url: str) -> Gateway:
    """Read the secret's text. Raises `UnableToReadTransportError`, which says what is wrong without repeating it.

    >>> read_gateway("twilio://AC1:key@?from=%2B31612345678").shown
    'api.twilio.com from +31612345678'
    """

    def wrong(what: str) -> UnableToReadTransportError:
        return UnableToReadTransportError(
            f"the secret `sms`: {what}; expected twilio://SID:TOKEN@?from=%2B31612345678 or file:///a/directory"
        )

    parts = urlsplit(url.strip())
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/") or parts.path == "/":
            raise wrong("a directory is written as file:///var/lib/coulance/texts")
        return ByFile(unquote(parts.path))
    if parts.scheme not in ("twilio", "twilio+http"):
        raise wrong(f"it begins with {parts.scheme or 'nothing'}:")
    options = dict(parse_qsl(parts.query))
    try:
        sender = phone_number(options.get("from", ""))
        port = parts.port
    except (AddressFormError, ValueError) as error:
        raise wrong("`from` must be your number, with its country (its + is written %2B)") from error
    if not parts.username or not parts.password:
        raise wrong("it has no SID and token before the @")
    at = f":{port}" if port else ""
    scheme = "http" if parts.scheme == "twilio+http" else "https"
    base = f"{scheme}://{parts.hostname}{at}" if parts.hostname else "https://api.twilio.com"
    return Twilio(unquote(parts.username), unquote(parts.password), sender, base)


def send_texts_due(*, gateway: Gateway, clock: Callable[[], datetime], lasts: timedelta | None = None) -> Sent:
    """Send the text messages that are due, one after the other. Safe in several processes at once."""
    begun, out = clock(), Sent()
    with alive() as claim:
        clear_up(at=begun)
        while not out.stopped and (ids := _claim(claim, clock())):
            for of in outcomes.known(ids):
                if out.stopped or (lasts is not None and clock() - begun >= lasts):
                    outcomes.move(of, to=State.WAITING, since=[State.CLAIMED], at=clock(), claim=claim)
                    continue
                try:
                    state = _send_one(of, gateway, claim, clock)
                except UnableToReachServerError as fault:
                    out.stopped = str(fault)
                    _give_back(of, claim, clock())
                    continue
                if state is not None:
                    out.states[state] = out.states.get(state, 0) + 1
            if lasts is not None and clock() - begun >= lasts:
                break
    return out


def _claim(claim: int, at: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notices_delivery SET state = 'claimed', claim = %s, changed_at = %s WHERE id IN ("
            " SELECT id FROM notices_delivery WHERE state = 'waiting' AND channel = 'sms' AND next_attempt_at <= %s"
            " ORDER BY next_attempt_at, id LIMIT 50 FOR UPDATE SKIP LOCKED) RETURNING id",
            [claim, at, at],
        )
        return sorted(row[0] for row in cursor.fetchall())


def _send_one(of: Known, gateway: Gateway, claim: int, clock: Callable[[], datetime]) -> State | None:
    text = Delivery.objects.values_list("message__text", flat=True).get(pk=of.delivery)
    if not outcomes.begin_sending(of, claim=claim, at=clock(), fact={"by": gateway.shown, "size": len(text)}):
        return None
    answer = gateway.send(to=of.address, text=text, ref=of.header_id)
    return outcomes.answered(of, answer, claim=claim, at=clock())


def _give_back(of: Known, claim: int, at: datetime) -> None:
    with transaction.atomic():
        if outcomes.move(of, to=State.WAITING, since=[State.SENDING], at=at, claim=claim):
            not_taken = outcomes.piece(of, EvidenceKind.DEFERRED, at=at, said="the gateway took nothing")
            evidence.record([not_taken], at=at)


def ask_after(*, gateway: Gateway, at: datetime, most: int = 200) -> int:
    """Ask what became of texts that were taken in the last three days and of which no more is known; how many are."""
    rows = Delivery.objects.filter(
        channel="sms", state=State.ACCEPTED.value, accepted_at__gt=at - VOIDS_WITHIN, next_attempt_at__lte=at
    ).exclude(provider_ref="")
    known = 0
    for number, ref in list(rows.order_by("next_attempt_at", "id").values_list("id", "provider_ref")[:most]):
        state = gateway.status(ref)
        with transaction.atomic():
            found = outcomes.known([number], lock=True)
            if not found or found[0].state != State.ACCEPTED:
                continue
            of, far = found[0], at + timedelta(days=3650)
            if state == "delivered":
                told = outcomes.piece(
                    of, EvidenceKind.DELIVERED, at=at, fact={"by": gateway.shown}, source=f"sms/{number}/delivered"
                )
                known += evidence.record([told], at=at)
                Delivery.objects.filter(pk=number).update(next_attempt_at=far)
            elif state == "undelivered":
                known += outcomes.came_back(
                    of, why="the network could not deliver it", at=at, now=at, lasting=False, dead=False,
                    source=f"sms/{number}/undelivered", fact={"by": gateway.shown},
                )  # fmt: skip
            else:
                Delivery.objects.filter(pk=number).update(next_attempt_at=at + timedelta(minutes=10))
    return known
