"""Stripe: Checkout Sessions for pages, Payment Intents for charges, its signature on events, payouts with their lines.

The secret key is the secret `stripe`, the key of webhooks `stripe_webhook`. A payment is known by all of its names:
session (cs_), intent (pi_), charge (ch_). What it says is read anew each time, so the order of events means nothing.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from coulance.integrations.gateways.units import from_stripe, to_stripe
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

ADDRESS_VARIABLE = "COULANCE_STRIPE_URL"
TOLERANCE = timedelta(minutes=5)
"""How old a signed event may be: older ones may be somebody's copy. Stripe signs anew when it tries again."""
_PENDING_DAYS = 14
_STATES = {
    "requires_confirmation": SeenState.OPEN,
    "requires_action": SeenState.OPEN,
    "requires_capture": SeenState.PENDING,
    "processing": SeenState.PENDING,
    "succeeded": SeenState.PAID,
    "canceled": SeenState.CANCELLED,
}


class Stripe:
    """Stripe, by payments' port."""

    name = "stripe"

    def _call(self, method: str, path: str, *, key: str = "", **params: Any) -> Any:
        import stripe

        token = secret("stripe")
        if not token:
            raise GatewayRefusedError("there is no secret key of Stripe: coulance secret set stripe")
        where = os.environ.get(ADDRESS_VARIABLE, "")
        client = stripe.StripeClient(
            token, max_network_retries=0, base_addresses={"api": where} if where else {}, http_client=_http()
        )
        options = {"idempotency_key": key} if key else {}
        try:
            found = client.raw_request(method, path, **params, **options)
        except stripe.CardError as error:
            said: Any = error.json_body or {}
            intent = said.get("error", {}).get("payment_intent")
            if isinstance(intent, dict):
                return {"declined": intent}
            raise GatewayRefusedError(f"Stripe: {error.user_message or error}") from error
        except (stripe.APIConnectionError, stripe.RateLimitError) as error:
            raise UnableToReachGatewayError(f"Stripe gave no answer: {error}") from error
        except stripe.StripeError as error:
            if error.http_status is None or error.http_status >= 500 or error.http_status == 409:
                raise UnableToReachGatewayError(f"Stripe can't answer now: {error}") from error
            raise GatewayRefusedError(f"Stripe: {error.user_message or error}") from error
        return json.loads(found.body)

    def make_customer(self, *, key: str, name: str, email: str) -> str:
        """A customer (cus_)."""
        made = self._call("post", "/v1/customers", key=key, name=name, email=email, metadata={"key": key})
        return str(made["id"])

    def create_checkout(self, wanted: Wanted) -> Page:
        """A Checkout Session in payment mode."""
        intent: dict[str, Any] = {"metadata": {"key": wanted.key}, "description": wanted.description}
        if wanted.store:
            intent["setup_future_usage"] = "off_session"
        made = self._call(
            "post",
            "/v1/checkout/sessions",
            key=wanted.key,
            mode="payment",
            **({"customer": wanted.customer_ref} if wanted.customer_ref else {}),
            client_reference_id=wanted.key,
            metadata={"key": wanted.key},
            success_url=wanted.return_url,
            cancel_url=wanted.return_url,
            locale=wanted.language,
            line_items=[
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": wanted.amount.currency.lower(),
                        "unit_amount": to_stripe(wanted.amount),
                        "product_data": {"name": wanted.description},
                    },
                }
            ],
            payment_intent_data=intent,
        )
        return Page(str(made["id"]), str(made["url"]), datetime.fromtimestamp(made["expires_at"], UTC))

    def charge_stored(self, wanted: Wanted, *, method_ref: str) -> Seen:
        """A Payment Intent, confirmed at once, off session. One that is declined is there, and failed."""
        made = self._call(
            "post",
            "/v1/payment_intents",
            key=wanted.key,
            amount=to_stripe(wanted.amount),
            currency=wanted.amount.currency.lower(),
            customer=wanted.customer_ref,
            payment_method=method_ref,
            off_session=True,
            confirm=True,
            description=wanted.description,
            metadata={"key": wanted.key},
            expand=["latest_charge"],
        )
        if "declined" in made:
            return self._seen(made["declined"], off_session=True)
        return self._seen(made, off_session=True)

    def fetch(self, ref: str) -> Seen:
        """By session, intent or charge."""
        if ref.startswith("cs_"):
            session = self._call("get", f"/v1/checkout/sessions/{ref}")
            intent = session.get("payment_intent")
            if not intent:
                state = SeenState.EXPIRED if session["status"] == "expired" else SeenState.OPEN
                amount = from_stripe(session["amount_total"], session["currency"])
                return Seen((ref,), (session.get("metadata") or {}).get("key", ""), state, amount)
            found = self._seen(self._intent(intent), also=(ref,))
            if found.state is SeenState.OPEN and session["status"] == "expired":
                return Seen(found.refs, found.key, SeenState.EXPIRED, found.amount, failure=found.failure)
            return found
        if ref.startswith(("ch_", "py_")):
            ref = str(self._call("get", f"/v1/charges/{ref}")["payment_intent"])
        return self._seen(self._intent(ref))

    def _intent(self, ref: str) -> Any:
        return self._call("get", f"/v1/payment_intents/{ref}", expand=["latest_charge"])

    def find(self, *, key: str, customer_ref: str) -> Seen | None:
        """Among the customer's intents, by our key."""
        for intent in self._pages("/v1/payment_intents", customer=customer_ref, most=3):
            if (intent.get("metadata") or {}).get("key") == key:
                return self._seen(self._intent(intent["id"]), off_session=True)
        return None

    def _seen(self, intent: Any, *, also: tuple[str, ...] = (), off_session: bool = False) -> Seen:
        code = intent["currency"]
        failed = intent.get("last_payment_error") or {}
        state = _STATES.get(intent["status"], SeenState.OPEN)
        if intent["status"] == "requires_payment_method" and off_session and failed:
            state = SeenState.FAILED
        charge = intent.get("latest_charge")
        charge = charge if isinstance(charge, dict) else {}
        refs = tuple(dict.fromkeys((*also, intent["id"], *((charge["id"],) if charge else ()))))
        made = datetime.fromtimestamp(charge.get("created") or intent["created"], UTC).date()
        refunds: tuple[SeenRefund, ...] = ()
        disputes: tuple[SeenDispute, ...] = ()
        if charge.get("amount_refunded") or charge.get("refunded"):
            refunds = tuple(
                SeenRefund(
                    str(one["id"]),
                    from_stripe(one["amount"], one["currency"]),
                    one["status"] in ("failed", "canceled"),
                    (one.get("metadata") or {}).get("key", ""),
                )
                for one in self._pages("/v1/refunds", payment_intent=intent["id"])
            )
        if charge.get("disputed"):
            disputes = tuple(
                SeenDispute(
                    str(one["id"]),
                    from_stripe(one["amount"], one["currency"]),
                    datetime.fromtimestamp(one["created"], UTC).date(),
                    str(one.get("reason") or ""),
                    won=one["status"] == "won",
                )
                for one in self._pages("/v1/disputes", payment_intent=intent["id"])
                if not str(one["status"]).startswith("warning_")  # an inquiry took nothing
            )
        keeps = bool(intent.get("setup_future_usage")) and state is SeenState.PAID
        return Seen(
            refs,
            (intent.get("metadata") or {}).get("key", ""),
            state,
            from_stripe(intent["amount"], code),
            paid_on=made if state is SeenState.PAID else None,
            final_on=made + timedelta(days=_PENDING_DAYS) if state is SeenState.PENDING else None,
            method=_label(charge.get("payment_method_details") or {}),
            method_ref=str(intent.get("payment_method") or "") if keeps else "",
            failure=str(failed.get("message") or failed.get("code") or ""),
            refunds=refunds,
            disputes=disputes,
        )

    def refund(self, *, key: str, ref: str, amount: Money, reason: str) -> SeenRefund:
        """A refund (re_) of an intent."""
        intent = ref if ref.startswith("pi_") else next(one for one in self.fetch(ref).refs if one.startswith("pi_"))
        made = self._call(
            "post",
            "/v1/refunds",
            key=key,
            payment_intent=intent,
            amount=to_stripe(amount),
            metadata={"key": key, "reason": reason[:400]},
        )
        return SeenRefund(
            str(made["id"]),
            from_stripe(made["amount"], made["currency"]),
            made["status"] in ("failed", "canceled"),
            key,
        )

    def forget_method(self, *, customer_ref: str, method_ref: str) -> None:  # noqa: ARG002 - the port has it
        """Detach the payment method."""
        self._call("post", f"/v1/payment_methods/{method_ref}/detach")

    def verify_event(self, *, headers: Mapping[str, str], body: bytes, at: datetime) -> EventSeen:
        """An event whose Stripe-Signature is right, and not old."""
        import stripe

        signing = secret("stripe_webhook")
        if not signing:
            raise UnableToVerifyEventError("there is no key to check events with: coulance secret set stripe_webhook")
        given = {name.casefold(): value for name, value in headers.items()}.get("stripe-signature", "")
        try:
            stripe.WebhookSignature.verify_header(body, given, signing, None)
            # The first, as the signature is checked by: one that somebody put behind it makes an old event no younger.
            stamp = next(part for part in given.split(",") if part.startswith("t="))
            signed_at = datetime.fromtimestamp(int(stamp.removeprefix("t=")), UTC)
            event = json.loads(body)
            thing = event["data"]["object"]
            kind, name = str(event["type"]), str(event["id"])
        except (stripe.SignatureVerificationError, ValueError, LookupError, TypeError, StopIteration) as error:
            raise UnableToVerifyEventError(f"this is no event that Stripe signed: {error}") from error
        if abs(at - signed_at) > TOLERANCE:
            raise UnableToVerifyEventError(f"the event was signed at {signed_at}, too long ago")
        refs = [thing.get("id"), thing.get("payment_intent"), thing.get("charge")]
        known = ("pi_", "cs_", "ch_", "py_", "po_")
        return EventSeen(name, kind, tuple(str(one) for one in refs if isinstance(one, str) and one.startswith(known)))

    def payouts(self, *, since: date) -> Sequence[PayoutSeen]:
        """Payouts that arrived, with each of their balance transactions."""
        start = int(datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp())
        out = []
        for one in self._pages("/v1/payouts", status="paid", arrival_date={"gte": start}):
            lines, fees = [], 0
            for line in self._pages("/v1/balance_transactions", payout=one["id"]):
                if line["type"] == "payout":
                    continue
                if line["type"] in ("stripe_fee", "stripe_fx_fee"):
                    fees -= line["amount"]
                    continue
                fees += line["fee"]
                lines.append(
                    PayoutLine(
                        str(line["source"]),
                        str(line["type"]),
                        from_stripe(line["amount"], line["currency"]),
                        from_stripe(line["fee"], line["currency"]),
                    )
                )
            arrived = datetime.fromtimestamp(one["arrival_date"], UTC).date()
            code = one["currency"]
            out.append(
                PayoutSeen(
                    str(one["id"]),
                    from_stripe(one["amount"], code),
                    from_stripe(fees, code),
                    arrived,
                    str(one.get("statement_descriptor") or one["id"]),
                    tuple(lines),
                )
            )
        return sorted(out, key=lambda payout: (payout.arrived_on, payout.ref))

    def _pages(self, path: str, *, most: int = 100, **params: Any) -> Iterator[Any]:
        after: dict[str, str] = {}
        for _ in range(most):
            page = self._call("get", path, limit=100, **params, **after)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}


def _http() -> Any:
    import stripe

    return stripe.RequestsClient(timeout=20)


def _label(details: Mapping[str, Any]) -> str:
    """How people know a way to pay.

    >>> _label({"type": "card", "card": {"brand": "visa", "last4": "4242"}}), _label({"type": "ideal", "ideal": {}})
    ('Visa 4242', 'Ideal')
    """
    kind = str(details.get("type") or "")
    inner = details.get(kind) or {}
    name = str(inner.get("brand") or kind).replace("_", " ").capitalize()
    return f"{name} {inner['last4']}" if inner.get("last4") else name
