"""A document as it reads: every text in its place and language, from the frozen snapshot and nothing else.

`view(snapshot)` gives plain values (texts, lists, mappings) that the PDF's template and the console's page both lay
out. Whatever a customer typed stays text: neither side evaluates it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from coulance.invoicing.documents import paying
from coulance.invoicing.documents.calculation import CALCULATION_FILE, View, explained
from coulance.invoicing.documents.usage_items import item_of, pool_totals, positive, texts
from coulance.invoicing.documents.usage_view import UsageView
from coulance.invoicing.documents.words import NBSP, Words
from coulance_core.kernel import exact

SCHEMA = "coulance.document/1"
KINDS = (
    "base_invoice",
    "overage_invoice",
    "credit_note",
    "debit_note",
    "fee_invoice",
    "interest_invoice",
    "usage_statement",
)
MOST_REASONS = 3
"""Services named in the opening sentence; the others are counted there and stand in the lines."""


class UnableToRenderError(ValueError):
    """The snapshot is not one we can show: says which field, and what was expected there."""


def view(snapshot: Mapping[str, Any], *, pictures: bool = True) -> View:
    """The document's texts, from its snapshot. Raises `UnableToRenderError` for one that is not a document."""
    _check(snapshot)
    return _Document(snapshot).view(pictures)


def _check(snapshot: Mapping[str, Any]) -> None:
    if snapshot.get("schema") != SCHEMA:
        raise UnableToRenderError(f"schema: expected {SCHEMA!r}, got {snapshot.get('schema')!r}")
    if snapshot.get("kind") not in KINDS:
        raise UnableToRenderError(f"kind: expected one of {', '.join(KINDS)}, got {snapshot.get('kind')!r}")
    for field, kind in (("seller", Mapping), ("buyer", Mapping), ("totals", Mapping), ("lines", Sequence)):
        if not isinstance(snapshot.get(field), kind):
            raise UnableToRenderError(f"{field}: expected a JSON {'list' if kind is Sequence else 'object'}")
    for field in ("net", "tax", "gross"):
        try:
            exact(str(snapshot["totals"][field]))
        except (KeyError, ValueError):
            raise UnableToRenderError(f'totals.{field}: expected an amount such as "12.34"') from None
    if not isinstance(snapshot.get("currency"), str):
        raise UnableToRenderError("currency: expected a code such as EUR")


@dataclass(frozen=True)
class _Document:
    snapshot: Mapping[str, Any]

    @property
    def words(self) -> Words:
        return Words.of(self.snapshot.get("language"))

    @property
    def zone(self) -> ZoneInfo:
        period, buyer = self.snapshot.get("period") or {}, self.snapshot["buyer"]
        for name in (period.get("zone"), buyer.get("zone")):
            try:
                if name:
                    return ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError):
                continue
        return ZoneInfo("UTC")

    def view(self, pictures: bool) -> View:
        s, w = self.snapshot, self.words
        usage = self._usage()
        shown = UsageView(s, w, self.zone)
        draft = not s.get("number")
        return {
            "lang": w.language,
            "kind": s["kind"],
            "title": w(s["kind"]),
            "number": s.get("number") or "",
            "draft": w("draft") if draft else "",
            "draft_note": w("draft_note") if draft else "",
            "date": (s.get("issued_on") or str((s.get("period") or {}).get("end") or "1970-01-01"))[:10],
            "seller": self._seller(),
            "buyer": self._buyer(),
            "meta": self._meta(),
            "callout": self._callout(draft, pictures),
            "why": self._why(usage),
            "lines": self._lines(),
            "totals": self._totals(),
            "notes": self._notes(),
            "pictures": shown.pictures(usage) if pictures else [],
            "use": shown.rows(usage),
            "calculation": self._calculation(),
            "conventions": [str(c) for c in s.get("conventions") or ()],
            "disagree": self._disagree(),
            "words": {
                key: w(key)
                for key in (
                    "no description quantity unit_price tax amount pictures use_table service used included over"
                    " coverage conventions flags calculation disagree"
                ).split()
            }
            | {
                "calculation_intro": w("calculation_intro", file=CALCULATION_FILE),
                "page": w("page", page="{p}", pages="{n}"),
            },
        }

    def _usage(self) -> list[Mapping[str, Any]]:
        return [u for u in self.snapshot.get("usage") or () if isinstance(u, Mapping)]

    def money(self, amount: object) -> str:
        """An amount in the document's currency."""
        return self.words.money(amount, self.snapshot["currency"])

    def _seller(self) -> View:
        seller, w = self.snapshot["seller"], self.words
        ids = []
        if seller.get("vat_id"):
            ids.append(w("vat_id", id=seller["vat_id"]))
        if seller.get("registration"):
            # A register's own name before the number ("KvK 24123456") says it better than our word would.
            known = str(seller["registration"])[:1].isalpha()
            ids.append(seller["registration"] if known else w("registration", id=seller["registration"]))
        return {
            "name": str(seller.get("name") or ""),
            "address": texts([*(seller.get("address") or ()), self._abroad(seller)]),
            "contact": texts([seller.get("email"), seller.get("phone"), _bare(seller.get("website"))]),
            "ids": ids,
            "bank": texts([_groups(seller.get("iban")), seller.get("bic")]),
        }

    def _buyer(self) -> list[str]:
        buyer = self.snapshot["buyer"]
        return texts([buyer.get("name"), *(buyer.get("address") or ()), self._abroad(buyer)])

    def _abroad(self, party: Mapping[str, Any]) -> str:
        """A party's country where the other's is another; between neighbours an address has none."""
        countries = {self.snapshot["seller"].get("country"), self.snapshot["buyer"].get("country")}
        return str(party.get("country") or "") if len(countries) > 1 else ""

    def _meta(self) -> list[list[str]]:
        s, w = self.snapshot, self.words
        references = s.get("references") or {}
        rows = []
        if s.get("issued_on"):
            rows.append([w("issued"), w.day(s["issued_on"])])
        span = w.span(s.get("period"), self.zone)
        if span:
            rows.append([w("period"), span])
        if s.get("tax_point") and s["kind"] != "usage_statement":
            rows.append([w("tax_point"), w.day(s["tax_point"])])
        about = references.get("credit_note") or references.get("invoice")
        if about:
            rows.append([w("corrects"), str(about)])
        rows.append([w("customer"), str(s["buyer"].get("external_id") or "")])
        if s["buyer"].get("vat_id"):
            rows.append([w("buyer_vat"), s["buyer"]["vat_id"]])
        return rows

    def _callout(self, draft: bool, pictures: bool) -> View:
        """The box at the top right: how much, by when, how."""
        s, w = self.snapshot, self.words
        due = s["totals"].get("due", s["totals"]["gross"])
        gross = exact(str(due))
        credit = s["kind"] == "credit_note" or gross < 0
        shown = str(due).lstrip("-") if credit else due
        if s["kind"] == "usage_statement":
            return {"tone": "calm", "label": w("nothing_to_pay"), "amount": "", "by": w("statement_only"), "how": []}
        if gross == 0:
            return {
                "tone": "calm",
                "label": w("nothing_to_pay"),
                "amount": self.money(shown),
                "by": w("no_action"),
                "how": [],
            }
        if credit:
            return {
                "tone": "calm",
                "label": w("in_your_favour"),
                "amount": self.money(shown),
                "by": w("no_action"),
                "how": [["", w("set_off")]],
            }
        seller = s["seller"]
        how = [
            [w("pay_to"), _groups(seller.get("iban"))],
            [w("bic"), seller.get("bic")],
            [w("account_holder"), seller.get("name")],
            [w("reference"), "" if draft else paying.reference_of(s["number"])],
        ]
        by = w("draft_note") if draft else w("pay_by", date=w.day(s["due_on"])) if s.get("due_on") else ""
        how_known = [] if draft else [[label, str(value)] for label, value in how if value]
        said = {"tone": "due", "label": w("amount_due"), "amount": self.money(shown), "by": by, "how": how_known}
        return said | ({} if draft or not pictures else self._square(str(due)))

    def _square(self, due: str) -> View:
        """The payment as a square to scan, where a bank could carry it out as it stands."""
        s = self.snapshot
        text = paying.transfer_text(s["seller"], amount=due, currency=s["currency"], number=s["number"])
        drawn = paying.square(text) if text else None
        return {"scan": drawn | {"label": self.words("scan")}} if drawn else {}

    # --- why ---

    def _why(self, usage: Sequence[Mapping[str, Any]]) -> View:
        """What this is, and the sentence that says why it costs what it costs."""
        s, w = self.snapshot, self.words
        invoice = (s.get("references") or {}).get("invoice") or "–"
        period = w.month(str((s.get("references") or {}).get("period") or "")) or w.span(s.get("period"), self.zone)
        reasons: list[str] = []
        match s["kind"]:
            case "base_invoice":
                about = w("why_base")
            case "credit_note":
                kind = f"why_{s.get('type')}"
                about = w(kind, invoice=invoice) if s.get("type") and w.has(kind) else w("why_credit")
            case "debit_note":
                about = w("why_debit", note=(s.get("references") or {}).get("credit_note") or "–", invoice=invoice)
            case "fee_invoice" | "interest_invoice":
                about = w(f"why_{s['kind']}")
            case "usage_statement":
                over = any(positive(u.get("charged", u.get("overage"))) for u in usage)
                about = (
                    f"{w('why_statement', period=period)} {w('why_statement_over' if over else 'why_statement_zero')}"
                )
            case _:
                about = w("why_overage")
                reasons = self._reasons(usage)
        return {"about": about, "reasons": reasons}

    def _reasons(self, usage: Sequence[Mapping[str, Any]]) -> list[str]:
        s, w = self.snapshot, self.words
        lines = [line for line in s["lines"] if positive(line.get("net"))]
        lines.sort(key=lambda line: -exact(str(line["net"])))
        said = [self._reason(line, usage) for line in lines[:MOST_REASONS]]
        if len(lines) > MOST_REASONS:
            said.append(w("and_more", count=len(lines) - MOST_REASONS))
        totals = s["totals"]
        if said and exact(str(totals["tax"])) != 0:
            said.append(w("plus_tax", tax=self.money(totals["tax"]), gross=self.money(totals["gross"])))
        return said

    def _reason(self, line: Mapping[str, Any], usage: Sequence[Mapping[str, Any]]) -> str:
        """One line as a sentence: who used what of what, how much over, at what price, makes what."""
        w = self.words
        unit = str(line.get("unit") or "")
        item = item_of(line, usage)
        pool = str(item["pool"]) if line.get("pool") and item else line.get("pool")
        who = str(pool or (line.get("service") or {}).get("name") or line.get("description") or w("account_lines"))
        over = w.amount_of(line.get("quantity"), unit)
        if line.get("kind") not in ("overage", "commit", None) or (item is None and not pool):
            start = f"{line.get('description') or who}" + (f": {over}" if line.get("quantity") else "")
        elif pool:
            members = [u for u in usage if u.get("pool") == pool]
            used, allowance = pool_totals(members)
            start = w(
                "over_pool", who=pool, used=w.amount_of(used, unit), allowance=w.amount_of(allowance, unit), over=over
            )
        elif item is not None and item.get("used") is not None and item.get("unit") == unit:
            limit = item.get("commit") or item.get("allowance")
            key = "over_percentile" if item.get("percentile") else "over_commit" if item.get("commit") else "over_sum"
            none = "over_percentile_none" if item.get("percentile") else "over_none"
            said = {"who": who, "used": w.amount_of(item["used"], unit), "over": over}
            start = w(key, allowance=w.amount_of(limit, unit), **said) if limit else w(none, who=who, over=over)
        else:
            start = f"{who}: {over}"
        price = line.get("unit_price")
        at = (
            f" {w('at_price', price=w.price(price, self.snapshot['currency']), unit=w.unit(unit, one=True) or unit)}"
            if price
            else ""
        )
        return f"{start}{at} ={NBSP}{self.money(line['net'])}."

    # --- lines and totals ---

    def _lines(self) -> list[View]:
        """Lines in their order, under the service or pool they are for; a line's period is said where it differs."""
        w = self.words
        groups: list[dict[str, Any]] = []
        whole = w.span(self.snapshot.get("period"), self.zone)
        usage = self._usage()
        last: object = object()
        for line in self.snapshot["lines"]:
            service, pool = line.get("service") or {}, line.get("pool")
            if pool:
                pool = (item_of(line, usage) or line)["pool"]
            key = ("pool", pool) if pool else ("service", service.get("id"), service.get("name"))
            if key != last:
                name = w("pool", name=pool) if pool else service.get("name") or w("account_lines")
                identity = (
                    "" if pool or not service.get("id") or service.get("id") == service.get("name") else service["id"]
                )
                groups.append({"name": str(name), "id": str(identity), "rows": []})
                last = key
            kind = f"kind_{line.get('kind')}"
            own = w.span(line.get("period"), self.zone)
            detail: list[str] = [own if own != whole else ""]
            if line.get("kind") not in ("base", "overage") and w.has(kind):
                detail.append(w(kind))
            unit = str(line.get("unit") or "")
            price = line.get("unit_price")
            rate = line.get("tax_rate")
            groups[-1]["rows"].append(
                {
                    "no": str(line.get("no") or ""),
                    "description": str(line.get("description") or line.get("charge") or ""),
                    "detail": " · ".join(texts(detail)),
                    "quantity": w.amount_of(line.get("quantity") or "", unit, 3),
                    "price": w.price(price, self.snapshot["currency"]) if price not in (None, "") else "",
                    "tax": f"{w.number(rate)} %" if rate not in (None, "") else "–",
                    "net": self.money(line.get("net") or "0"),
                }
            )
        return groups

    def _totals(self) -> list[View]:
        s, w = self.snapshot, self.words
        if s["kind"] == "usage_statement" and not s["lines"]:
            return []
        rows: list[View] = [{"label": w("net_total"), "amount": self.money(s["totals"]["net"]), "strong": False}]
        for tax in s.get("tax") or ():
            rate = tax.get("rate")
            values = {"code": str(tax.get("code") or ""), "base": self.money(tax.get("base") or "0")}
            label = (
                w("tax_total", rate=w.number(rate), **values) if rate not in (None, "") else w("tax_named", **values)
            )
            rows.append({"label": label, "amount": self.money(tax.get("tax") or "0"), "strong": False})
        rows.append({"label": w("gross_total"), "amount": self.money(s["totals"]["gross"]), "strong": True})
        return rows

    def _notes(self) -> list[str]:
        """What must be said beside the amounts: tax reasons, tax in national currency, the document's own notes."""
        s, w = self.snapshot, self.words
        notes = []
        for tax in s.get("tax") or ():
            if tax.get("reason"):
                reason = str(tax["reason"])
                notes.append(w(reason) if w.has(reason) else reason)
        national = s.get("national")
        if national:
            notes.append(
                w(
                    "in_national",
                    currency=national.get("currency", ""),
                    tax=w.money(national.get("tax") or "0", str(national.get("currency") or "")),
                    own=s["currency"],
                    rate=w.number(national.get("rate"), 8),
                    date=w.day(national.get("date")),
                )
            )
        return list(dict.fromkeys([*notes, *(str(n) for n in s.get("notes") or ())]))

    # --- calculation ---

    def _calculation(self) -> list[View]:
        """Each line's explanation, flattened to rows of (name, how, result); lines with the same one share it."""
        w = self.words
        shared: dict[str, list[Mapping[str, Any]]] = {}
        for line in self.snapshot["lines"]:
            if line.get("explanation"):
                key = json.dumps([line["explanation"], line.get("net")], sort_keys=True)
                shared.setdefault(key, []).append(line)
        parts = []
        for lines in shared.values():
            line = lines[0]
            if len(lines) == 1:
                who = (line.get("service") or {}).get("name") or line.get("pool")
                title = [w("line", no=line.get("no")), who, line.get("description")]
            else:
                title = [w("lines", numbers=_spans([int(each.get("no") or 0) for each in lines]))]
            amount = self.money(line.get("net") or "0")
            parts.append({"title": " – ".join(texts(title)), "amount": amount} | explained(line["explanation"], w))
        return parts

    def _disagree(self) -> str:
        s, w = self.snapshot, self.words
        seller = s["seller"]
        contact = w("by_mail", email=seller["email"]) if seller.get("email") else ""
        if seller.get("phone"):
            contact += w("by_phone", phone=seller["phone"])
        if s["kind"] == "usage_statement":
            return w("disagree_statement", contact=contact)
        if not s.get("number"):
            return w("disagree_draft", contact=contact)
        key = "disagree_credit" if s["kind"] == "credit_note" else "disagree_text"
        return w(key, contact=contact, number=s["number"])


def _spans(numbers: Sequence[int]) -> str:
    """Numbers in order, runs of three and more shortened.

    >>> _spans([1, 2, 3, 4, 7, 9, 10])
    '1–4, 7, 9, 10'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{r[0]}–{r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs)


def _bare(address: object) -> str:
    """A web address as people write it."""
    return str(address or "").removeprefix("https://").removeprefix("http://").rstrip("/")


def _groups(iban: object) -> str:
    """An IBAN in groups of four, as people type it over."""
    text = str(iban or "").replace(" ", "")
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))
