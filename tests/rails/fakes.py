"""Stripe and Mollie, small: real HTTP on a port of their own, with state, and as strict about types and units.

Each keeps idempotency keys, answers a declined card as its original does, sends events only when asked to (late, twice,
in any order), and knows its own balance, fees and payouts: so a reconciliation has something to be judged by.
"""

import hashlib
import hmac
import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

SIGNING = "whsec_fake"
_DECIMALS = {"JPY": 0, "ISK": 0, "EUR": 2, "USD": 2, "KWD": 3}


class Refused(Exception):
    """An answer of 4xx or 5xx."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


@dataclass
class Fake:
    """A server of one gateway. `now` is its clock; `broken`: so many calls that change something give no answer."""

    now: datetime = datetime(2026, 11, 2, 9, tzinfo=UTC)
    broken: int = 0
    calls: list[tuple[str, str]] = field(default_factory=list)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    _answers: dict[str, tuple[str, tuple[int, Any]]] = field(default_factory=dict)
    _ids: Any = field(default_factory=lambda: itertools.count(1))
    _lock: Any = field(default_factory=threading.RLock)

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                parts = urlsplit(self.path)
                with fake._lock:
                    fake.calls.append((self.command, parts.path))
                    status, answer = fake.serve(self.command, parts.path, parts.query, dict(self.headers), body)
                    if fake.broken and self.command == "POST":
                        fake.broken -= 1
                        self.close_connection = True
                        self.connection.close()
                        return
                written = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(written)))
                self.end_headers()
                self.wfile.write(written)

            do_GET = do_POST = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """An answer; the same to the same idempotency key, and a refusal to that key with another request."""
        headers = {name.casefold(): value for name, value in headers.items()}
        key = headers.get("idempotency-key", "") if method == "POST" else ""
        mark = f"{path} {body.decode()}"
        if key and key in self._answers:
            before, kept = self._answers[key]
            if before != mark:
                return 400, self.error("the key was used for another request")
            return kept
        answer: tuple[int, Any]
        try:
            answer = 200, self.answer(method, path, query, headers, body)
        except Refused as refused:
            answer = refused.status, refused.body
        if key and answer[0] < 500:
            self._answers[key] = mark, answer
        return answer

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
        raise NotImplementedError

    def error(self, what: str) -> Any:
        raise NotImplementedError

    def new(self, prefix: str) -> str:
        return f"{prefix}{next(self._ids):08d}"

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.things.values() if one.get("object", one.get("resource")) == kind][::-1]


def _nested(pairs: dict[str, list[str]]) -> dict[str, Any]:
    """Form fields with brackets as a tree: what Stripe reads."""
    out: dict[str, Any] = {}
    for name, values in pairs.items():
        keys = re.findall(r"[^\[\]]+", name)
        into = out
        for key in keys[:-1]:
            into = into.setdefault(key, {})
        into[keys[-1]] = values[0]
    return out


class FakeStripe(Fake):
    """Checkout Sessions, Payment Intents, refunds, disputes, balance transactions, payouts. A fee is 25 + 1.5 %."""

    def error(self, what: str, **more: Any) -> Any:
        return {"error": {"type": "invalid_request_error", "message": what, **more}}

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
        if headers.get("authorization") != "Bearer sk_test_fake":
            raise Refused(401, self.error("no such key"))
        given = _nested(parse_qs(body.decode() if method == "POST" else query, keep_blank_values=True))
        parts = path.strip("/").split("/")[1:]
        match (method, parts):
            case ("POST", ["customers"]):
                return self._put("customer", "cus_", name=given["name"], metadata=given.get("metadata", {}))
            case ("POST", ["checkout", "sessions"]):
                return self._session(given)
            case ("GET", ["checkout", "sessions", name]):
                return self._get(name)
            case ("POST", ["payment_intents"]):
                return self._intent_off_session(given)
            case ("GET", ["payment_intents", name]):
                return self._expanded(self._get(name))
            case ("GET", ["charges", name]):
                return self._get(name)
            case ("POST", ["refunds"]):
                return self._refund(given)
            case ("POST", ["payment_methods", name, "detach"]):
                self._get(name)["customer"] = None
                return self._get(name)
            case ("GET", ["payment_intents" | "refunds" | "disputes" | "payouts" | "balance_transactions" as kind]):
                return self._list(kind, given)
        raise Refused(404, self.error(f"no such address: {method} {path}"))

    def _put(self, kind: str, prefix: str, **values: Any) -> dict[str, Any]:
        name = self.new(prefix)
        self.things[name] = {"id": name, "object": kind, "created": int(self.now.timestamp()), **values}
        return self.things[name]

    def _get(self, name: str) -> dict[str, Any]:
        if name not in self.things:
            raise Refused(404, self.error(f"no such thing: {name}"))
        return self.things[name]

    def _amount(self, text: Any, code: str) -> int:
        if not isinstance(text, str) or not re.fullmatch(r"[0-9]+", text) or int(text) <= 0:
            raise Refused(400, self.error(f"invalid integer: {text!r}"))
        if code.upper() == "ISK" and int(text) % 100:
            raise Refused(400, self.error("ISK has no hundredths"))
        if code != code.lower():
            raise Refused(400, self.error(f"a currency is in small letters: {code!r}"))
        return int(text)

    def _session(self, given: dict[str, Any]) -> Any:
        line = given["line_items"]["0"]
        price = line["price_data"]
        amount = self._amount(price["unit_amount"], price["currency"])
        if given["mode"] != "payment" or not given["success_url"].startswith("http"):
            raise Refused(400, self.error("a session has a mode and addresses"))
        made = self._put(
            "checkout.session",
            "cs_test_",
            status="open",
            payment_intent=None,
            amount_total=amount * int(line["quantity"]),
            currency=price["currency"],
            customer=given.get("customer"),
            metadata=given.get("metadata", {}),
            intent=given.get("payment_intent_data", {}),
            expires_at=int(self.now.timestamp()) + 86400,
        )
        return made | {"url": f"{self.address}/pay/{made['id']}"}

    def pay(self, session: str, *, slowly: bool = False, card: str = "4242") -> dict[str, Any]:
        """The payer pays on the page; slowly: it is being processed."""
        page = self._get(session)
        method = self._put("payment_method", "pm_", customer=page["customer"], card=card)
        intent = self._put(
            "payment_intent",
            "pi_",
            amount=page["amount_total"],
            currency=page["currency"],
            customer=page["customer"],
            payment_method=method["id"],
            status="processing" if slowly else "succeeded",
            metadata=page["intent"].get("metadata", {}),
            setup_future_usage=page["intent"].get("setup_future_usage"),
            latest_charge=None,
            last_payment_error=None,
        )
        page["status"], page["payment_intent"] = "complete", intent["id"]
        if not slowly:
            self._charge(intent, card)
        return intent

    def expire(self, session: str) -> None:
        self._get(session)["status"] = "expired"

    def settle(self, intent: str, *, fails: str = "") -> None:
        """What was being processed comes, or fails."""
        found = self._get(intent)
        if fails:
            found["status"], found["last_payment_error"] = "canceled", {"code": fails, "message": fails}
        else:
            found["status"] = "succeeded"
            self._charge(found, "4242")

    def _charge(self, intent: dict[str, Any], card: str) -> dict[str, Any]:
        charge = self._put(
            "charge",
            "ch_",
            payment_intent=intent["id"],
            amount=intent["amount"],
            currency=intent["currency"],
            amount_refunded=0,
            refunded=False,
            disputed=False,
            payment_method_details={"type": "card", "card": {"brand": "visa", "last4": card}},
        )
        intent["latest_charge"] = charge["id"]
        fee = 25 + intent["amount"] * 15 // 1000
        self._book("charge", charge["id"], intent["amount"], fee, intent["currency"])
        return charge

    def _book(self, kind: str, source: str, amount: int, fee: int, code: str) -> None:
        self._put(
            "balance_transaction", "txn_", type=kind, source=source, amount=amount, fee=fee, currency=code, payout=None
        )

    def _intent_off_session(self, given: dict[str, Any]) -> Any:
        amount = self._amount(given["amount"], given["currency"])
        if given.get("off_session") != "true" or given.get("confirm") != "true":
            raise Refused(400, self.error("off session means confirmed at once"))
        method = self._get(given["payment_method"])
        if method.get("customer") != given["customer"]:
            raise Refused(400, self.error("the method is not this customer's"))
        intent = self._put(
            "payment_intent",
            "pi_",
            amount=amount,
            currency=given["currency"],
            customer=given["customer"],
            payment_method=method["id"],
            status="succeeded",
            metadata=given.get("metadata", {}),
            setup_future_usage=None,
            latest_charge=None,
            last_payment_error=None,
        )
        if method["card"] == "0002":
            intent["status"] = "requires_payment_method"
            intent["last_payment_error"] = {"code": "card_declined", "message": "Your card was declined."}
            shown = self.error(
                "Your card was declined.", type="card_error", code="card_declined", payment_intent=intent
            )
            shown["error"]["type"] = "card_error"
            raise Refused(402, shown)
        self._charge(intent, method["card"])
        return self._expanded(intent)

    def _expanded(self, intent: dict[str, Any]) -> dict[str, Any]:
        name = intent["latest_charge"]
        return intent | {"latest_charge": self.things[name] if name else None}

    def _refund(self, given: dict[str, Any]) -> Any:
        intent = self._get(given["payment_intent"])
        amount = self._amount(given["amount"], intent["currency"])
        return self.refund(intent["id"], amount, metadata=given.get("metadata", {}))

    def refund(self, intent: str, amount: int, metadata: Any = None) -> dict[str, Any]:
        found = self._get(intent)
        charge = self._get(found["latest_charge"])
        if charge["amount_refunded"] + amount > charge["amount"]:
            raise Refused(400, self.error("more than there is"))
        charge["amount_refunded"] += amount
        made = self._put(
            "refund", "re_", payment_intent=intent, amount=amount, currency=found["currency"], status="succeeded",
            metadata=metadata or {},
        )  # fmt: skip
        self._book("refund", made["id"], -amount, 0, found["currency"])
        return made

    def dispute(self, intent: str, amount: int | None = None) -> dict[str, Any]:
        """The payer's bank takes it back, for a fee of 15.00."""
        found = self._get(intent)
        self._get(found["latest_charge"])["disputed"] = True
        made = self._put(
            "dispute", "du_", payment_intent=intent, charge=found["latest_charge"], currency=found["currency"],
            amount=amount or found["amount"], reason="fraudulent", status="needs_response",
        )  # fmt: skip
        self._book("adjustment", made["id"], -made["amount"], 1500, found["currency"])
        return made

    def win(self, dispute: str) -> None:
        found = self._get(dispute)
        found["status"] = "won"
        self._book("adjustment", dispute, found["amount"], 0, found["currency"])

    def payout(self, on: date) -> dict[str, Any] | None:
        """Everything that was not paid out yet, to the bank."""
        waiting = [one for one in self.all("balance_transaction") if one["payout"] is None and one["type"] != "payout"]
        total = sum(one["amount"] - one["fee"] for one in waiting)
        if total <= 0:
            return None
        arrives = int(datetime(on.year, on.month, on.day, tzinfo=UTC).timestamp())
        made = self._put(
            "payout",
            "po_",
            amount=total,
            currency="eur",
            arrival_date=arrives,
            status="paid",
            statement_descriptor=None,
        )  # fmt: skip
        for one in waiting:
            one["payout"] = made["id"]
        self._put("balance_transaction", "txn_", type="payout", source=made["id"], amount=-total, fee=0, currency="eur",
                  payout=made["id"])  # fmt: skip
        return made

    @property
    def held(self) -> int:
        """What Stripe holds for us, fees not yet kept of it: our account of it."""
        return sum(one["amount"] for one in self.all("balance_transaction") if one["payout"] is None)

    def _list(self, kind: str, given: dict[str, Any]) -> Any:
        found = self.all({"balance_transactions": "balance_transaction"}.get(kind, kind.removesuffix("s")))
        for name in ("payment_intent", "customer", "payout", "status"):
            if name in given:
                found = [one for one in found if one.get(name) == given[name]]
        if "arrival_date" in given:
            found = [one for one in found if one["arrival_date"] >= int(given["arrival_date"]["gte"])]
        start = 0
        if "starting_after" in given:
            start = next(n for n, one in enumerate(found) if one["id"] == given["starting_after"]) + 1
        page = found[start : start + min(int(given["limit"]), 3)]  # small pages, so that turning them is tried
        return {"object": "list", "data": page, "has_more": start + len(page) < len(found)}

    def event(self, kind: str, thing: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        """An event as Stripe sends it, signed at `now`."""
        body = json.dumps({"id": self.new("evt_"), "type": kind, "data": {"object": thing}}).encode()
        return {"Stripe-Signature": self.sign(body)}, body

    def sign(self, body: bytes, at: datetime | None = None, key: str = SIGNING) -> str:
        stamp = int((at or self.now).timestamp())
        mac = hmac.new(key.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return f"t={stamp},v1={mac}"


class FakeMollie(Fake):
    """Payments, customers with mandates, refunds, chargebacks, settlements. A fee is 0.29 a payment."""

    def error(self, what: str, status: int = 422) -> Any:
        return {"status": status, "title": "no", "detail": what}

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
        settlements = "/settlements" in path
        if headers.get("authorization") != ("Bearer access_fake" if settlements else "Bearer test_fake"):
            raise Refused(401, self.error("no such key", 401))
        given = json.loads(body) if body else {}
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        parts = path.strip("/").split("/")[1:]
        match (method, parts):
            case ("POST", ["customers"]):
                return self._put("customer", "cst_", name=given["name"], metadata=given["metadata"])
            case ("POST", ["payments"]):
                return self._payment(given)
            case ("GET", ["payments", name]):
                return self._shown(self._get(name))
            case ("POST", ["payments", name, "refunds"]):
                return self.refund(name, given["amount"], given.get("metadata"))
            case ("DELETE", ["customers", _, "mandates", name]):
                self.things.pop(name)
                return {}
            case ("GET", ["customers", name, "payments"]):
                return self._list("payments", [p for p in self.all("payment") if p.get("customerId") == name], asked)
            case ("GET", ["settlements"]):
                return self._list("settlements", self.all("settlement"), asked)
            case ("GET", ["settlements", name, kind]):
                single = kind.removesuffix("s")
                return self._list(kind, [one for one in self.all(single) if one.get("settlementId") == name], asked)
        raise Refused(404, self.error(f"no such address: {method} {path}", 404))

    def _put(self, kind: str, prefix: str, **values: Any) -> dict[str, Any]:
        name = self.new(prefix)
        self.things[name] = {"id": name, "resource": kind, "createdAt": self.now.isoformat(), **values}
        return self.things[name]

    def _get(self, name: str) -> dict[str, Any]:
        if name not in self.things:
            raise Refused(404, self.error(f"no payment {name}", 404))
        return self.things[name]

    def _amount(self, given: Any) -> dict[str, str]:
        value, code = given["value"], given["currency"]
        decimals = _DECIMALS[code]
        shape = rf"[0-9]+\.[0-9]{{{decimals}}}" if decimals else r"[0-9]+"
        if not isinstance(value, str) or not re.fullmatch(shape, value) or float(value) <= 0:
            raise Refused(422, self.error(f"an amount in {code} has {decimals} decimals, as a text: {value!r}"))
        return {"value": value, "currency": code}

    def _payment(self, given: dict[str, Any]) -> Any:
        amount = self._amount(given["amount"])
        kind = given.get("sequenceType", "oneoff")
        if given.get("webhookUrl", "https://").startswith("http://"):
            raise Refused(422, self.error("the webhook can't be reached"))
        made = self._put(
            "payment", "tr_", amount=amount, description=given["description"], metadata=given["metadata"],
            sequenceType=kind, customerId=given.get("customerId"), status="open", method=None, details={},
            settlementId=None,
        )  # fmt: skip
        if kind == "recurring":
            mandate = self.things.get(given["mandateId"])
            if mandate is None or mandate["customer"] != given["customerId"]:
                raise Refused(422, self.error("the mandate is not valid"))
            made["method"], made["mandateId"] = "directdebit", mandate["id"]
            made["status"] = "pending"
            return self._shown(made)
        if "redirectUrl" not in given:
            raise Refused(422, self.error("where does the payer go afterwards?"))
        made["_links"] = {"checkout": {"href": f"{self.address}/pay/{made['id']}"}}
        return self._shown(made)

    def _shown(self, payment: dict[str, Any]) -> dict[str, Any]:
        name = payment["id"]
        within = {
            kind: [one for one in self.all(kind.removesuffix("s")) if one["paymentId"] == name]
            for kind in ("refunds", "chargebacks")
        }
        return payment | {"_embedded": within}

    def pay(self, name: str) -> dict[str, Any]:
        """The payer pays; or what is pending comes."""
        found = self._get(name)
        found |= {"status": "paid", "paidAt": self.now.isoformat(), "method": found["method"] or "ideal"}
        if found["sequenceType"] == "first":
            found["mandateId"] = self._put("mandate", "mdt_", customer=found["customerId"])["id"]
        return found

    def fail(self, name: str, status: str = "failed") -> None:
        self._get(name).update(status=status, details={"failureReason": "insufficient_funds"})

    def refund(self, name: str, amount: Any, metadata: Any = None) -> dict[str, Any]:
        found = self._get(name)
        asked = self._amount(amount)
        there = sum(float(one["amount"]["value"]) for one in self.all("refund") if one["paymentId"] == name)
        if there + float(asked["value"]) > float(found["amount"]["value"]) + 0.001:
            raise Refused(422, self.error("more than there is"))
        return self._put("refund", "re_", paymentId=name, amount=asked, status="refunded", metadata=metadata or {},
                         settlementAmount=_minus(asked), settlementId=None)  # fmt: skip

    def chargeback(self, name: str) -> dict[str, Any]:
        amount = self._get(name)["amount"]
        return self._put("chargeback", "chb_", paymentId=name, amount=amount, reason={"description": "not agreed"},
                         settlementAmount=_minus(amount), settlementId=None, reversedAt=None)  # fmt: skip

    def settle(self) -> dict[str, Any] | None:
        """Everything that was not settled yet, to the bank."""
        waiting = [p for p in self.all("payment") if p["status"] == "paid" and not p["settlementId"]]
        taken = [one for kind in ("refund", "chargeback") for one in self.all(kind) if not one["settlementId"]]
        cents = sum(_cents(one["amount"]) for one in waiting) + sum(_cents(one["settlementAmount"]) for one in taken)
        net = cents - 29 * len(waiting)
        if net <= 0:
            return None
        made = self._put("settlement", "stl_", status="paidout", settledAt=self.now.isoformat(),
                         amount={"value": f"{net / 100:.2f}", "currency": "EUR"},
                         reference=f"1234567.{len(self.all('settlement')) + 1:04d}.01")  # fmt: skip
        for one in (*waiting, *taken):
            one["settlementId"] = made["id"]
        return made

    @property
    def held(self) -> int:
        """What Mollie holds for us."""
        waiting = [p for p in self.all("payment") if p["status"] == "paid" and not p["settlementId"]]
        taken = [one for kind in ("refund", "chargeback") for one in self.all(kind) if not one["settlementId"]]
        return sum(_cents(one["amount"]) for one in waiting) + sum(_cents(one["settlementAmount"]) for one in taken)

    def _list(self, kind: str, found: list[dict[str, Any]], asked: dict[str, str]) -> Any:
        start = next((n for n, one in enumerate(found) if one["id"] == asked.get("from")), 0)
        page = found[start : start + 3]
        more = found[start + 3 : start + 4]
        links = {"next": {"href": f"{self.address}/v2/x?from={more[0]['id']}&limit=3"}} if more else {}
        return {"_embedded": {kind: page}, "_links": links}


def _cents(amount: dict[str, str]) -> int:
    return round(float(amount["value"]) * 100)


def _minus(amount: dict[str, str]) -> dict[str, str]:
    return {"value": "-" + amount["value"], "currency": amount["currency"]}


Event = Callable[[str], None]
