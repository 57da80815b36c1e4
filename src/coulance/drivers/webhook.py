"""A program of the provider's own, asked by signed HTTP: what should hold is posted, what holds is asked for.

Both are POSTs of JSON, signed by Standard Webhooks. To `url` goes `{"service", "identity", "parameters", "desired",
"key"}`; any answer of 2xx takes it. To `read_url` goes the same without `desired` and `key`; its answer is
`{"identity", "state"}`. `desired` and `state` are `{"paused", "rate_bps", "blackholed"}`. What was taken counts once it
is read back.

`webhook-id` is the same for the same decision, so a receiver may know what it has done already. Requests go to public
addresses and to the networks that the driver names, pinned after the look-up; redirects are not followed.
"""

import hashlib
import json
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from ipaddress import ip_network
from typing import Any

from standardwebhooks import Webhook as Signer

from coulance.enforcement.ports import DriverError, Observed, TargetRow
from coulance.platform.webhook_guard import Answer, RefusedAddressError, UnableToSendError, post
from coulance_core.enforcement.restrictions import Desired, RestrictionError

Post = Callable[..., Answer]


class WebhookDriver:
    """One receiver. `secret` gives its signing key (whsec_...) whenever it is needed; `now` is the clock."""

    def __init__(
        self,
        *,
        url: str,
        read_url: str,
        secret: Callable[[], str],
        now: Callable[[], datetime],
        networks: Sequence[str] = (),
        ca_file: str = "",
        timeout_s: float = 5.0,
        send: Post = post,
    ) -> None:
        self._url, self._read_url, self._secret, self._now, self._send = url, read_url, secret, now, send
        self._networks = tuple(ip_network(text) for text in networks)
        self._timeout = timeout_s
        try:
            self._context = ssl.create_default_context(cafile=ca_file) if ca_file else None
        except (OSError, ssl.SSLError) as error:
            raise DriverError(f"ca_file {ca_file!r} can't be read: {error}") from error

    def nearest(self, desired: Desired) -> Desired:
        """Whatever is asked: the receiver says in its state what it can hold."""
        return desired

    def read(self, target: TargetRow) -> Observed:
        """What the receiver says holds, and for whom."""
        answer = self._ask(self._read_url, _asked(target), "read")
        return observed(answer.body, "the webhook")

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:
        """Post what should hold."""
        answer = self._ask(self._url, {**_asked(target), "desired": desired.to_json(), "key": key}, "write")
        return f"{key}: status {answer.status}: {answer.body[:500].decode(errors='replace')}"

    def _ask(self, url: str, held: dict[str, Any], what: str) -> Answer:
        body = json.dumps(held, sort_keys=True)
        at = self._now()
        name = hashlib.sha256(f"{what}/{body}".encode()).hexdigest()[:24]
        if what == "read":
            name = f"{name}_{at.timestamp():.6f}"  # each look is another one
        secret = self._secret()
        try:
            if not secret.removeprefix("whsec_"):
                raise ValueError("it is empty")
            signature = Signer(secret).sign(msg_id=f"enf_{name}", timestamp=at, data=body)
        except (ValueError, RuntimeError) as error:
            raise DriverError("the secret is no signing key: expected whsec_ and base64") from error
        headers = {
            "content-type": "application/json; charset=utf-8",
            "webhook-id": f"enf_{name}",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }
        try:
            answer = self._send(
                url=url,
                headers=headers,
                body=body.encode(),
                whole_s=self._timeout,
                networks=self._networks,
                context=self._context,
            )
        except (RefusedAddressError, UnableToSendError) as error:
            raise DriverError(f"the webhook can't be asked: {error}") from error
        if not 200 <= answer.status < 300:
            raise DriverError(f"the webhook answered {answer.status}: {answer.body[:200].decode(errors='replace')}")
        return answer


def _asked(target: TargetRow) -> dict[str, Any]:
    return {"service": target.service, "identity": target.identity, "parameters": dict(target.parameters)}


def observed(body: bytes, who: str) -> Observed:
    """What a program of the provider's own answered to a look. Raises `DriverError` for anything else."""
    try:
        found = json.loads(body)
        identity, state = found["identity"], Desired.from_json(found["state"])
    except (ValueError, KeyError, TypeError, RestrictionError) as error:
        raise DriverError(f"{who} answered no identity and state: {body[:200]!r}") from error
    if not isinstance(identity, str):
        raise DriverError(f"{who} answered an identity that is no text: {identity!r}")
    return Observed(identity, state, body[:2000].decode(errors="replace"))
