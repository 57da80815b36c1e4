"""The parts of a dossier: each a file, as text, with what it holds; and the manifest that seals them.

No part is made by hand: each is what its room has recorded, by its own queries. Personal data is what the claim needs:
who owes, the texts of notices about these debts and where they went. Other messages stay salted hashes in the chain;
operators, contacts and bank accounts are left out or named by their kind alone.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from coulance.arrears import queries as arrears
from coulance.catalog import queries as catalogs
from coulance.customers import terms
from coulance.disputes import queries as disputes
from coulance.flows.dossier.claims import Claim
from coulance.flows.einvoicing import UnableToMakeEInvoiceError, einvoice_of
from coulance.flows.sending.documents import about as about_document
from coulance.invoicing import queries as invoicing
from coulance.ledger.extracts import chain_of as ledger_chain
from coulance.notices.extracts import chain_of as evidence_chain
from coulance.notices.extracts import messages_about
from coulance.overage import queries as overage
from coulance.payments import queries as payments
from coulance.payments import statements
from coulance.payments.documents.view import data_of
from coulance.payments.explaining import explained
from coulance.services import queries as services
from coulance_core.catalog.codec import to_json
from coulance_core.kernel import Money, currency, show
from coulance_core.ledger import RECEIVABLE

FORMAT = "coulance.dossier/1"
CHECK = Path(__file__).with_name("check.py")
_TYPES = {".json": "application/json", ".csv": "text/csv", ".xml": "application/xml", ".py": "text/x-python"}


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the dossier. `about`: a key of its description in the dossier's words."""

    name: str
    text: str
    about: str

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.text.encode("utf-8", "replace")

    @property
    def media_type(self) -> str:
        """Of its kind."""
        return _TYPES[Path(self.name).suffix]


@dataclass(frozen=True, slots=True)
class Gathered:
    """All parts but the manifest, and the values that the pages show."""

    claim: Claim
    parts: tuple[Part, ...]
    shown: Mapping[str, Any]


def gather(claim: Claim, *, at: datetime) -> Gathered:
    """Everything that a claim rests on."""
    account = claim.account
    documents = _documents(claim)
    shown: dict[str, Any] = {"documents": documents}
    shown["contract"] = _contract(claim)
    shown["disputes"] = _disputes(claim, at)
    shown["arrears"] = _arrears(claim)
    shown["consents"] = _consents(claim)
    shown["terms"] = terms.chain_of(account=account.id)
    notes = _credits(claim)
    shown["payments"] = _payments(claim, notes)
    keys = {key for act in shown["arrears"]["acts"] for key in act["messages"]}
    keys |= {row["message"] for row in shown["consents"]["warnings"]}
    keys |= {key for case in shown["disputes"]["cases"] for step in case["steps"] for key in step["messages"]}
    about = {about_document(int(one.item.ref.split("/")[1])) for one in claim.debts if _is_document(one.item.ref)}
    messages = messages_about(account=account.id, about=about, keys=keys)
    messages = [{**one, "text": without_keys(one["text"])} for one in messages]
    shown["messages"] = messages
    evidence = evidence_chain(account=account.id, opened={one["key"] for one in messages})
    shown["evidence"] = evidence
    statement = statements.account_statement(
        account=account.id,
        currency=claim.currency,
        start=date(1990, 1, 1),
        end=date.fromordinal(claim.on.toordinal() + 1),
    )
    parts = [
        _json("claim.json", claim_json(claim), "part_claim"),
        _json("contract.json", shown["contract"], "part_contract"),
        *(_json(f"invoice-{_safe(number)}.json", one, "part_invoice") for number, one in documents.items()),
        *(_json(f"credit-{_safe(number)}.json", one, "part_credit") for number, one in notes.items()),
        *_einvoices(documents),
        Part("use.csv", _use(documents), "part_use"),
        _json("messages.json", {"messages": messages}, "part_messages"),
        _json("evidence.json", evidence, "part_evidence"),
        _json("consents.json", shown["consents"], "part_consents"),
        _json("terms.json", shown["terms"], "part_terms"),
        _json("payments.json", shown["payments"], "part_payments"),
        _json("disputes.json", shown["disputes"], "part_disputes"),
        _json("arrears.json", shown["arrears"], "part_arrears"),
        _json("statement.json", data_of(statement, account), "part_statement"),
        _json("ledger.json", ledger_chain(account=account.id), "part_ledger"),
        Part("check.py", CHECK.read_text("utf-8"), "part_check"),
    ]
    return Gathered(claim, tuple(parts), shown)


def manifest_of(gathered: Gathered, *, creditor: str, language: str, at: datetime) -> Part:
    """What the dossier is made of, by hash; `seal` is the hash of the manifest itself without it."""
    held: dict[str, Any] = {
        "schema": FORMAT,
        "creditor": creditor,
        "debtor": gathered.claim.account.pseudonym.hex,
        "made_at": at.isoformat(),
        "language": language,
        "parts": [
            {"name": one.name, "sha256": hashlib.sha256(one.data).hexdigest(), "size": len(one.data)}
            for one in gathered.parts
        ],
    }
    held["seal"] = hashlib.sha256(json.dumps(held, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
    return _json("manifest.json", held, "part_manifest")


def claim_json(claim: Claim) -> dict[str, Any]:
    """The claim as data: what `check.py` recomputes."""
    return {
        "schema": "coulance.claim/1",
        "account": claim.account.external_id,
        "as_of": claim.on.isoformat(),
        "currency": claim.currency,
        "exponent": currency(claim.currency).exponent,
        "receivable": RECEIVABLE,
        "owed": claim.owed.decimal(),
        "law": claim.law.version if claim.law else "",
        "debts": [
            {
                "ref": one.item.ref,
                "number": one.item.number,
                "kind": one.item.kind.value,
                "issued_on": one.item.issued_on.isoformat(),
                "due_on": one.item.due_on.isoformat(),
                "gross": one.item.gross.decimal(),
                "paid_before": one.paid_before.decimal(),
                "open": one.item.open.decimal(),
                "disputed": one.disputed.decimal(),
                "claimed": one.claimed.decimal(),
                "interest": None
                if one.interest is None
                else {
                    "accrued": one.interest.amount.decimal(),
                    "charged": one.charged.decimal(),
                    "claimed": one.interest_claimed.decimal(),
                    "unknown_from": one.interest.unknown_from.isoformat() if one.interest.unknown_from else None,
                    "stretches": [
                        {
                            "from": s.start.isoformat(),
                            "until": s.end.isoformat(),
                            "days": s.days,
                            "percent": show(s.percent),
                            "principal": show(s.principal),
                            "rest": s.rest,
                        }
                        for s in one.interest.stretches
                    ],
                    "explanation": one.interest.explanation.to_json(),
                },
            }
            for one in claim.debts
        ],
        "costs": None
        if claim.costs is None
        else {
            "amount": claim.costs.amount.decimal(),
            "claimed": claim.costs_claimed.decimal(),
            "letter": claim.letter,
            "explanation": claim.costs.explanation.to_json(),
        },
        "totals": {
            "principal": claim.principal.decimal(),
            "interest": claim.interest.decimal(),
            "costs": claim.costs_claimed.decimal(),
            "claim": claim.total.decimal(),
        },
    }


def _is_document(ref: str) -> bool:
    return ref.startswith("document/")


def _documents(claim: Claim) -> dict[str, dict[str, Any]]:
    """The snapshots of what is claimed, by number. What was taken over from another system has none here."""
    out = {}
    for one in claim.debts:
        if _is_document(one.item.ref):
            stored = invoicing.document_by_id(document=int(one.item.ref.split("/")[1]))
            out[stored.row.number or ""] = stored.snapshot
    return out


def _credits(claim: Claim) -> dict[str, dict[str, Any]]:
    """The credit notes on what is claimed, by number."""
    numbers = {one.item.number for one in claim.debts}
    rows = invoicing.documents(account=claim.account.id, kind="credit_note", state="issued", limit=100_000)[::-1]
    return {
        row.number or "": invoicing.document_by_id(document=row.id).snapshot for row in rows if row.invoice in numbers
    }


def _einvoices(documents: Mapping[str, Any]) -> Iterable[Part]:
    for number in documents:
        try:
            xml = einvoice_of(number=number).decode()
        except UnableToMakeEInvoiceError:
            continue  # an address that the format can't say; the JSON has it all
        yield Part(f"ubl-{_safe(number)}.xml", xml, "part_ubl")


def _contract(claim: Claim) -> dict[str, Any]:
    account = claim.account
    (found,) = services.accounts_for_close([account.id])
    catalog = catalogs.catalog()
    plans = {row.plan for service in found.services for row in service.subscriptions}
    return {
        "account": {
            "id": account.external_id,
            "name": account.name,
            "kind": account.kind,
            "address": [*account.address, account.country],
            "vat_id": account.vat_id,
        },
        "services": [
            {
                "id": service.external_id,
                "name": service.name,
                "ended_on": _text(service.ended_on),
                "subscriptions": [
                    {"plan": r.plan, "quantity": r.quantity, "from": _text(r.valid_from), "until": _text(r.valid_until)}
                    for r in service.subscriptions
                ],
            }
            for service in found.services
        ],
        "plans": [to_json(version) for key in sorted(plans) for version in catalog.plans.get(key, ())],
        "law": claim.law.version if claim.law else "",
        "law_as_of": _text(claim.law.as_of) if claim.law else "",
    }


def _disputes(claim: Claim, at: datetime) -> dict[str, Any]:
    found = disputes.cases(at=at, refs=[one.item.ref for one in claim.debts], limit=200)[::-1]
    return {
        "cases": [
            {
                "id": case.id,
                "number": case.number,
                "held": case.gross.decimal(),
                "reason": case.reason,
                "state": case.state.value,
                "opened_at": _text(case.opened_at),
                "closed_at": _text(case.closed_at),
                "lines": [
                    {"line": part.line, "net": part.net.decimal(), "why": part.explanation.to_json()}
                    for part in disputes.parts(case.id)
                ],
                "steps": [
                    {
                        "no": step.no,
                        "kind": step.kind.value,
                        "at": _text(step.at),
                        "by": _kind_of(step.by),
                        "text": step.text,
                        "outcome": step.outcome.value if step.outcome else "",
                        "messages": list(step.messages),
                    }
                    for step in case.steps
                ],
                "files": [{"name": f.name, "size": f.size, "sha256": f.sha256} for f in disputes.files(case.id)],
            }
            for case in found
        ]
    }


def _arrears(claim: Claim) -> dict[str, Any]:
    account = claim.account
    refs = {one.item.ref for one in claim.debts}
    case = arrears.case(account.id)

    def ours(debts: Collection[str]) -> bool:
        return bool(refs & set(debts)) or not debts

    return {
        "policy": case.version if case else "",
        "acts": [
            {
                "step": act.step,
                "route": act.route.value,
                "act": act.act.value,
                "debts": list(act.debts),
                "service": act.service,
                "at": _text(act.at),
                "amount": act.amount.decimal(),
                "messages": list(act.messages),
                "undone_at": _text(act.undone_at),
                "ground": act.ground,
                "observed": act.observed,
                "explanation": act.explanation,
            }
            for act in arrears.acts(account=account.id)
            if ours(act.debts)
        ],
        "held_up": [
            {"step": r.step, "code": r.code, "message": r.message, "since": _text(r.since), "until": _text(r.until)}
            for r in arrears.held_up(accounts=[account.id], closed=True)
            if ours(r.debts)
        ],
        "promises": [
            {"debts": list(p.debts), "pay_by": _text(p.pay_by), "made_at": _text(p.made_at)}
            for p in arrears.promises(accounts=[account.id])
            if ours(p.debts)
        ],
        "plans": [
            {
                "debts": list(p.debts),
                "total": p.total.decimal(),
                "state": p.state,
                "proposed_at": _text(p.proposed_at),
                "agreed_at": _text(p.agreed_at),
                "ended_at": _text(p.ended_at),
                "instalments": [{"due_on": _text(i.due_on), "amount": i.amount.decimal()} for i in p.instalments],
            }
            for p in arrears.plans(accounts=[account.id])
            if ours(p.debts)
        ],
        "stays": [
            {"kind": s.kind.value, "since": _text(s.since), "until": _text(s.ends_at)}
            for s in arrears.stays(accounts=[account.id])
            if ours(s.debts)
        ],
    }


def _consents(claim: Claim) -> dict[str, Any]:
    account = claim.account
    periods = sorted({one.get("references", {}).get("period") or "" for one in _documents(claim).values()} - {""})
    return {
        "consents": [
            {
                "id": one.id,
                "scope": one.scope,
                "period": one.period_name,
                "terms": one.terms,
                "text_shown": one.text_shown,
                "text_hash": one.text_hash,
                "how": one.how,
                "given_at": _text(one.given_at),
                "given_by": _kind_of(one.given_by),
                "ended_at": _text(one.ended_at),
            }
            for one in overage.consents(account=account.id)
        ],
        "warnings": [
            {
                "period": period,
                "meter": row.meter,
                "threshold": row.threshold,
                "used": show(row.used),
                "at": _text(row.at),
                "message": row.message,
            }
            for period in periods
            for row in overage.warnings(account=account.id, period_name=period)
        ],
    }


def _payments(claim: Claim, notes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    account = claim.account
    receipts = payments.receipts(accounts=[account.id], limit=100_000)[::-1]
    why = {one.receipt.id: one for one in explained(account=account.id)}
    steps = {row: step for one in why.values() for row, step in one.steps.items()}
    return {
        "receipts": [
            {
                "id": r.id,
                "amount": r.amount.decimal(),
                "currency": r.amount.currency,
                "received_on": _text(r.received_on),
                "method": r.method.value,
                "reference": r.payer_ref,
                "left": r.left.decimal(),
                "reversed_on": _text(r.reversed_on),
                "explanation": why[r.id].explanation.to_json() if r.id in why else None,
            }
            for r in receipts
        ],
        "allocations": [
            {
                "receipt": a.receipt,
                "ref": a.ref,
                "number": a.number,
                "amount": a.amount.decimal(),
                "effective_on": _text(a.effective_on),
                "reversed_on": _text(a.reversed_on),
                "reversed_why": a.reversed_why,
                "explained_as": steps.get(a.id, ""),
            }
            for a in payments.allocations(accounts=[account.id], undone=True)
        ],
        "credit_notes": [
            {
                "number": number,
                "invoice": one["references"]["invoice"],
                "issued_on": one["issued_on"],
                "gross": one["totals"]["gross"],
            }
            for number, one in notes.items()
        ],
        "refunds": [
            {"receipt": f.receipt, "amount": f.amount.decimal(), "on": _text(f.refunded_on), "reason": f.reason}
            for f in payments.refunds(accounts=[account.id])
        ],
        "terms": to_json(catalogs.payment_terms()),
    }


def _use(documents: Mapping[str, Any]) -> str:
    rows = [
        [number, (item.get("service") or {}).get("name", ""), item.get("meter", ""), str(item.get("used", "")),
         item.get("unit", ""), str(item.get("charged", "")), str(item.get("absorbed") or "")]
        for number, snapshot in documents.items()
        for item in snapshot.get("usage") or ()
    ]  # fmt: skip
    return table(["document", "service", "meter", "used", "unit", "charged", "absorbed"], rows)


def table(head: list[str], rows: Iterable[Iterable[str]]) -> str:
    """CSV that a spreadsheet opens and doesn't execute: what begins like a formula gets a quote before it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(head)
    for row in rows:
        writer.writerow(["'" + one if one[:1] in ("=", "+", "@", "\t", "\r") else one for one in row])
    return text.getvalue()


def _json(name: str, value: object, about: str) -> Part:
    return Part(name, json.dumps(value, ensure_ascii=False, indent=1, default=_plain), about)


def _plain(value: object) -> object:
    if isinstance(value, Money):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    return str(value)


def _text(value: date | datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _kind_of(actor: str) -> str:
    """Who did it by their kind: `contact:boss` is `contact`. Persons stay out."""
    return actor.partition(":")[0]


def _safe(number: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", number)


_KEY = re.compile(r"(https?://[^/\s]+(?:/[a-z-]+)*)/[^\s<>]{16,}")


def without_keys(text: str) -> str:
    """A message without the links that are its reader's own: whoever has one may act as they.

    >>> without_keys("See https://billing.example/contest/WzEsImJvc3MiLDFd-x_9 today.")
    'See https://billing.example/contest/[...] today.'
    """
    return _KEY.sub(r"\1/[...]", text)


def local(at: datetime, zone: str) -> datetime:
    """An instant where the customer is."""
    return at.astimezone(ZoneInfo(zone))
