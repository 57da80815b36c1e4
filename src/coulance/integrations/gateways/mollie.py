"""Mollie: payments with pages, recurring ones by mandate, settlements. Its webhook names a payment and proves nothing.

The secret `mollie` is the API key (live_... or test_...). Settlements want an organisation's access token (access_...),
the secret `mollie_settlements`; without one payouts are not read. An event is only ever a reason to fetch.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from coulance.integrations.gateways.units import from_mollie, to_mollie
from coulance.payments.ports import (
    EventSeen,
    GatewayRefusedError,
    Page,
    PayoutLine,
    PayoutSeen,
    Seen,
    SeenDispute,
    SeenRefund,
    SeenState,
    UnableToReachGatewayError,
    UnableToVerifyEventError,
    Wanted,
)
from coulance.platform.secret_store import secret
from coulance_core.kernel import Money

ADDRESS_VARIABLE = "COULANCE_MOLLIE_URL"
_PENDING_DAYS = 14
_ID = re.compile(r"(tr|re|chb|stl)_[A-Za-z0-9]{1,60}")
_STATES = {
    "open": SeenState.OPEN,
    "pending": SeenState.PENDING,
    "authorized": SeenState.PENDING,
    "paid": SeenState.PAID,
    "canceled": SeenState.CANCELLED,
    "expired": SeenState.EXPIRED,
    "failed": SeenState.FAILED,
}
_LOCALES = {"nl": "nl_NL", "en": "en_GB", "de": "de_DE", "fr": "fr_FR"}


class Mollie:
    """Mollie, by payments' port."""

    name = "mollie"

    def _call(
        self, method: str, path: str, *, key: str = "", using: str = "mollie", data: Any = None, **params: Any
    ) -> Any:
        from mollie.api.client import Client
        from mollie.api.error import RequestError, RequestSetupError

        held = secret(using)
        if not held:
            raise GatewayRefusedError(f"there is no key of Mollie: coulance secret set {using}")
        client = Client(api_endpoint=os.environ.get(ADDRESS_VARIABLE, ""), timeout=(5, 20), retry=0)
        try:
            if held.startswith("access_"):
                client.set_access_token(held)
            else:
                client.set_api_key(held)
            answer = client.perform_http_call(method, path, data=data, params=params or None, idempotency_key=key)
        except RequestSetupError as error:
            raise GatewayRefusedError("the key of Mollie is none: it starts with live_, test_ or access_") from error
        except RequestError as error:
            raise UnableToReachGatewayError(str(error)) from error
        if answer.status_code >= 500 or answer.status_code in (409, 429):
            raise UnableToReachGatewayError(f"Mollie can't answer now ({answer.status_code})")
        if answer.status_code == 204:
            return {}
        try:
            found = answer.json()
        except ValueError as error:
            raise UnableToReachGatewayError("Mollie's answer is no JSON") from error
        if answer.status_code >= 400:
            raise GatewayRefusedError(f"Mollie: {found.get('detail') or answer.status_code}")
        return found

    def make_customer(self, *, key: str, name: str, email: str) -> str:
        """A customer (cst_)."""
        made = self._call("POST", "customers", key=key, data={"name": name, "email": email, "metadata": {"key": key}})
        return str(made["id"])

    def create_checkout(self, wanted: Wanted) -> Page:
        """A payment with a page; its first of a sequence where the method is to be kept."""
        data = self._wanted(wanted)
        data["redirectUrl"] = wanted.return_url
        data["sequenceType"] = "first" if wanted.store else "oneoff"
        if wanted.language in _LOCALES:
            data["locale"] = _LOCALES[wanted.language]
        made = self._call("POST", "payments", key=wanted.key, data=data)
        expires = made.get("expiresAt")
        return Page(
            str(made["id"]),
            str(made["_links"]["checkout"]["href"]),
            datetime.fromisoformat(expires) if expires else None,
        )

    def charge_stored(self, wanted: Wanted, *, method_ref: str) -> Seen:
        """A recurring payment by a mandate (mdt_)."""
        data = self._wanted(wanted) | {"sequenceType": "recurring", "mandateId": method_ref}
        return self._seen(self._call("POST", "payments", key=wanted.key, data=data))

    def _wanted(self, wanted: Wanted) -> dict[str, Any]:
        data: dict[str, Any] = {
            "amount": to_mollie(wanted.amount),
            "description": wanted.description[:255],
            "metadata": {"key": wanted.key},
        }
        if wanted.customer_ref:
            data["customerId"] = wanted.customer_ref
        if wanted.webhook_url.startswith("https://"):  # Mollie refuses what it can't reach
            data["webhookUrl"] = wanted.webhook_url
        return data

    def fetch(self, ref: str) -> Seen:
        """A payment with its refunds and chargebacks."""
        return self._seen(self._call("GET", f"payments/{ref}", embed="refunds,chargebacks"))

    def find(self, *, key: str, customer_ref: str) -> Seen | None:
        """Among the customer's payments, by our key."""
        for one in self._pages(f"customers/{customer_ref}/payments", "payments"):
            if (one.get("metadata") or {}).get("key") == key:
                return self.fetch(str(one["id"]))
        return None

    def _seen(self, found: Any) -> Seen:
        state = _STATES.get(found["status"], SeenState.OPEN)
        paid = found.get("paidAt")
        made = datetime.fromisoformat(found["createdAt"]).date()
        within = found.get("_embedded") or {}
        details = found.get("details") or {}
        keeps = found.get("sequenceType") == "first" and state is SeenState.PAID
        return Seen(
            (str(found["id"]),),
            str((found.get("metadata") or {}).get("key", "")),
            state,
            from_mollie(found["amount"]),
            paid_on=datetime.fromisoformat(paid).date() if paid and state is SeenState.PAID else None,
            final_on=made + timedelta(days=_PENDING_DAYS) if state is SeenState.PENDING else None,
            method=_label(str(found.get("method") or ""), details),
            method_ref=str(found.get("mandateId") or "") if keeps else "",
            failure=str(details.get("failureReason") or details.get("bankReasonCode") or ""),
            refunds=tuple(
                SeenRefund(
                    str(one["id"]),
                    from_mollie(one["amount"]),
                    one["status"] in ("failed", "canceled"),
                    str((one.get("metadata") or {}).get("key", "")),
                )
                for one in within.get("refunds", ())
            ),
            disputes=tuple(
                SeenDispute(
                    str(one["id"]),
                    from_mollie(one["amount"]),
                    datetime.fromisoformat(one["createdAt"]).date(),
                    str((one.get("reason") or {}).get("description", "")),
                    won=bool(one.get("reversedAt")),
                )
                for one in within.get("chargebacks", ())
            ),
        )

    def refund(self, *, key: str, ref: str, amount: Money, reason: str) -> SeenRefund:
        """A refund (re_) of a payment."""
        made = self._call(
            "POST",
            f"payments/{ref}/refunds",
            key=key,
            data={"amount": to_mollie(amount), "description": reason[:255], "metadata": {"key": key}},
        )
        return SeenRefund(str(made["id"]), from_mollie(made["amount"]), made["status"] in ("failed", "canceled"), key)

    def forget_method(self, *, customer_ref: str, method_ref: str) -> None:
        """Revoke the mandate there."""
        self._call("DELETE", f"customers/{customer_ref}/mandates/{method_ref}")

    def verify_event(self, *, headers: Mapping[str, str], body: bytes, at: datetime) -> EventSeen:  # noqa: ARG002
        """A payment's name and nothing else: whether it is true, fetching says. One a second is enough of a payment."""
        try:
            named = parse_qs(body.decode("ascii"), strict_parsing=True).get("id", [""])[0]
        except (ValueError, UnicodeDecodeError) as error:
            raise UnableToVerifyEventError("this is no event of Mollie: expected id=tr_...") from error
        if not _ID.fullmatch(named):
            raise UnableToVerifyEventError("this is no event of Mollie: expected id=tr_...")
        return EventSeen(f"{named}@{at:%Y%m%dT%H%M%S}", "changed", (named,), proven=False)

    def payouts(self, *, since: date) -> Sequence[PayoutSeen]:
        """Settlements that were paid out, with their payments, refunds and chargebacks."""
        if not secret("mollie_settlements"):
            return ()
        out: list[PayoutSeen] = []
        for one in self._pages("settlements", "settlements", using="mollie_settlements"):
            if one["status"] != "paidout":
                continue
            arrived = datetime.fromisoformat(one["settledAt"]).date()
            if arrived < since:
                break  # the newest come first
            net = from_mollie(one["amount"])
            lines = [
                PayoutLine(
                    str(line["id"]),
                    kind,
                    from_mollie(line.get("settlementAmount") or line["amount"]),
                    Money(0, net.currency),
                )
                for kind, within in (("payment", "payments"), ("refund", "refunds"), ("chargeback", "chargebacks"))
                for line in self._pages(f"settlements/{one['id']}/{within}", within, using="mollie_settlements")
            ]
            gross = sum((line.gross for line in lines), Money(0, net.currency))
            out.append(PayoutSeen(str(one["id"]), net, gross - net, arrived, str(one["reference"]), tuple(lines)))
        return sorted(out, key=lambda payout: (payout.arrived_on, payout.ref))

    def _pages(self, path: str, within: str, *, using: str = "mollie") -> Iterator[Any]:
        after: dict[str, str] = {}
        while True:
            page = self._call("GET", path, using=using, limit=250, **after)
            yield from page["_embedded"][within]
            following = (page.get("_links") or {}).get("next")
            if not following:
                return
            after = {"from": parse_qs(following["href"].partition("?")[2])["from"][0]}


def _label(method: str, details: Mapping[str, Any]) -> str:
    """How people know a way to pay.

    >>> _label("creditcard", {"cardLabel": "Visa", "cardNumber": "4242"}), _label("ideal", {}), _label("", {})
    ('Visa 4242', 'Ideal', '')
    """
    if details.get("cardNumber"):
        return f"{details.get('cardLabel') or 'Card'} {details['cardNumber']}"
    if method == "directdebit" and details.get("consumerAccount"):
        return f"Direct debit {details['consumerAccount'][-4:]}"
    return method.capitalize()
