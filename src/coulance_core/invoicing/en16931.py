"""An e-invoice as EN 16931 means it, from a document's frozen snapshot; how it is written (UBL, CII) is another matter.

Fields carry the standard's numbers (BT-, BG-). Amounts are those of the snapshot to the cent: nothing is computed
anew, so that paper and file never differ. What the standard asks and a snapshot cannot answer is refused with the
field and the remedy, all of it at once.

Three things need a translation:

- A credit note counts what it gives back as positive; our snapshot counts it as negative. All signs turn round.
- No price may be negative (BR-27): a line below zero has a negative quantity.
- A price times its quantity must be the line's net. Where it is not (tiers, caps, minimums, prices with tax, odd
  fractions), the price is stated as the net for the whole quantity (BT-146 with BT-149), which is exact.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from coulance_core.invoicing.en16931_codes import (
    CATEGORY_OF,
    ONE,
    VATEX,
    VATEX_OF,
    Identifier,
    address,
    endpoint,
    is_country,
    names_its_unit,
    registration,
    unit_code,
    vat_id,
)
from coulance_core.invoicing.en16931_model import (
    CREDIT_NOTE,
    DEBIT_NOTE,
    INVOICE,
    SEPA_TRANSFER,
    TRANSFER,
    Breakdown,
    EInvoiceInvalidError,
    Invoice,
    Lack,
    Line,
    Party,
    Payment,
    Routing,
    Tax,
)
from coulance_core.invoicing.references import creditor_reference_if_any
from coulance_core.invoicing.snapshot import SCHEMA_NAME
from coulance_core.kernel import currency, exact


def invoice_of(snapshot: Mapping[str, Any], *, routing: Routing | None = None) -> Invoice:
    """The e-invoice of an issued document (`coulance.document/1`). Raises `EInvoiceInvalidError`."""
    return _Reading(snapshot, routing or Routing()).invoice()


def payment_reference(number: str) -> str:
    """What a payer is asked to give: the RF reference of a document's number, or the number where it has none.

    >>> payment_reference("B2026-000017"), payment_reference("Nº 7")
    ('RF92B2026000017', 'Nº 7')
    """
    return creditor_reference_if_any(number) or number


def is_iban(text: str) -> bool:
    """Whether the form and check digits of an account number are right (ISO 13616, without each country's length).

    >>> is_iban("NL91 ABNA 0417 1643 00"), is_iban("NL00 DEMO 0000 0000 00")
    (True, False)
    """
    plain = "".join(text.split()).upper()
    if not (15 <= len(plain) <= 34 and plain.isascii() and plain.isalnum() and plain[:2].isalpha()):
        return False
    if not plain[2:4].isdigit():
        return False
    return int("".join(str(int(ch, 36)) for ch in plain[4:] + plain[:4])) % 97 == 1


def xml_text(value: object) -> str:
    r"""Text that XML can hold, in one line: what it cannot is replaced visibly.

    >>> xml_text(" a\x00b\n\ud800 ")
    'a\ufffdb \ufffd'
    """
    kept = "".join(ch if _is_xml(ord(ch)) else "\ufffd" for ch in str(value or ""))
    return " ".join(kept.split())


def _is_xml(point: int) -> bool:
    return point in (9, 10, 13) or 0x20 <= point <= 0xD7FF or 0xE000 <= point <= 0xFFFD or point >= 0x10000


_TERMS = {
    "en": "In your favour: nothing is to be paid. It is set off against what is open, or paid back on request.",
    "nl": "In uw voordeel: niets te betalen. Het wordt verrekend met wat openstaat, of op verzoek terugbetaald.",
    "de": "Zu Ihren Gunsten: Es ist nichts zu zahlen. Der Betrag wird verrechnet oder auf Wunsch erstattet.",
}


_TYPES = {"credit_note": CREDIT_NOTE, "debit_note": DEBIT_NOTE}
"""The codes of corrections; everything else that claims is an invoice."""


class _Reading:
    """One snapshot on its way; `lacks` gathers what is wrong."""

    def __init__(self, snapshot: Mapping[str, Any], routing: Routing) -> None:
        self.s = snapshot
        self.routing = routing
        self.lacks: list[Lack] = []
        self.number = str(snapshot.get("number") or "(draft)")
        self.sign = -1 if snapshot.get("kind") == "credit_note" else 1

    def lack(self, field: str, problem: str, remedy: str) -> None:
        self.lacks.append(Lack(field, problem, remedy))

    def invoice(self) -> Invoice:
        s = self.s
        self._refuse_what_is_no_invoice()
        taxes, breakdown = self._taxes()
        categories = {row.tax.category for row in breakdown}
        seller = self._seller(outside="O" in categories)
        buyer = self._buyer(outside="O" in categories)
        self._check_parties(seller, buyer, categories)
        lines = tuple(self._line(line, taxes) for line in s["lines"])
        totals = {key: self._amount(s["totals"][key], f"totals.{key}") for key in ("net", "tax", "gross", "due")}
        whole = [self._days(s["period"]), *(line.period for line in lines)]
        preceding = self._preceding()
        credit = self.sign < 0
        national = s.get("national")
        in_national = self._amount(national["tax"], "national.tax", national["currency"]) if national else None
        if self.lacks:
            raise EInvoiceInvalidError(self.number, self.lacks)
        return Invoice(
            number=xml_text(s["number"]),
            type_code=_TYPES.get(s["kind"], INVOICE),
            issued_on=date.fromisoformat(s["issued_on"]),
            due_on=None if credit else date.fromisoformat(s["due_on"]),
            tax_point=date.fromisoformat(s["tax_point"]),
            currency=s["currency"],
            tax_currency=national["currency"] if national else "",
            tax_in_tax_currency=in_national,
            note=xml_text(" ".join(map(str, s["notes"]))),
            terms=_TERMS.get(s["language"][:2], _TERMS["en"]) if credit else "",
            buyer_reference=xml_text(self.routing.reference),
            period=(min(p[0] for p in whole), max(p[1] for p in whole)),
            preceding=preceding,
            seller=seller,
            buyer=buyer,
            deliver_to=buyer.address.country if "K" in categories else "",
            payment=None if credit or totals["due"] <= 0 else self._payment(),
            lines=lines,
            breakdown=breakdown,
            net=totals["net"],
            tax=totals["tax"],
            gross=totals["gross"],
            paid=totals["gross"] - totals["due"],
            due=totals["due"],
        )

    def _refuse_what_is_no_invoice(self) -> None:
        s = self.s
        if s.get("schema") != SCHEMA_NAME:
            self.lack("schema", f"it is {s.get('schema')!r}, not {SCHEMA_NAME!r}", "give a document as it was issued")
        elif s.get("kind") == "usage_statement":
            self.lack("kind", "a usage statement claims nothing", "send it as PDF")
        elif not s.get("number"):
            self.lack("number", "a draft has none", "issue it first")
        elif not s.get("lines"):
            self.lack("lines", "there are none, and an e-invoice has at least one (BR-16)", "send it as PDF")
        else:
            for row in s["tax"]:
                if "kind" not in row:
                    self.lack("tax.kind", f"missing for {row.get('code')!r}", "give a document as it was issued")
        if self.lacks:
            raise EInvoiceInvalidError(self.number, self.lacks)

    # --- amounts ---

    def _amount(self, text: str, field: str, code: str = "") -> Decimal:
        """An amount as the standard writes it: at most two decimals, and a credit note's the other way round."""
        value = Decimal(text) * self.sign
        digits = min(currency(code or self.s["currency"]).exponent, 2)
        short = value.quantize(Decimal(1).scaleb(-digits))
        if short != value:
            self.lack(
                field,
                f"{text} has three decimals that count, and EN 16931 knows two (BR-DEC)",
                "send it as PDF: no e-invoice can say this amount",
            )
        return short + 0  # never -0.00

    # --- tax ---

    def _taxes(self) -> tuple[dict[str, Tax], tuple[Breakdown, ...]]:
        """The category of each tax code, and one breakdown for each category and rate."""
        rows = self.s["tax"]
        found = {row["code"]: _category(row) for row in rows}
        if "O" in found.values() and set(found.values()) != {"O"}:
            # Outside the scope cannot stand beside others (BR-O-11 to 14); exempt with the reason in words can.
            found = {code: "E" if category == "O" else category for code, category in found.items()}
        by_code: dict[str, Tax] = {}
        merged: dict[Tax, Breakdown] = {}
        for row in rows:
            category = found[row["code"]]
            where = f"tax[{row['code']}]"
            tax = Tax(category, None if category == "O" else self._rate(row["rate"], where))
            reason, code = _exemption(category, row)
            made = Breakdown(
                tax,
                self._amount(row["base"], f"{where}.base"),
                self._amount(row["tax"], f"{where}.tax"),
                reason,
                code,
            )
            by_code[row["code"]] = tax
            before = merged.get(tax)
            merged[tax] = made if before is None else _joined(before, made)
        for one in merged.values():
            self._check_rounding(one)
        return by_code, tuple(merged.values())

    def _rate(self, text: str, where: str) -> Decimal:
        rate = exact(text)
        found = _finite(rate)
        if found is None:
            self.lack(f"{where}.rate", f"{text} percent has no end in decimals", "state the rate in decimals")
            return Decimal(0)
        return found

    def _check_rounding(self, row: Breakdown) -> None:
        """Tax rounded line by line may stray from tax on the sum; the standard lets it by less than one (BR-CO-17)."""
        if row.tax.rate is None:
            return
        on_the_sum = abs(row.base) * row.tax.rate / 100
        if abs(abs(row.amount) - on_the_sum) >= Decimal("0.99"):
            self.lack(
                "tax",
                f"the tax {row.amount} strays a whole unit or more from {row.tax.rate} % of {row.base} (BR-CO-17)",
                'set tax_rounding = "sum_by_net" for documents to come, and send this one as PDF',
            )

    # --- parties ---

    def _seller(self, *, outside: bool) -> Party:
        p = self.s["seller"]
        vat = vat_id(p["vat_id"])
        legal = registration(xml_text(p["registration"]), p["country"])
        # Outside the scope the VAT number may not stand in its own place (BR-O-02), yet the law wants it said.
        aside = Identifier(vat) if vat and outside else None
        return Party(
            name=xml_text(p["name"]),
            address=address([xml_text(line) for line in p["address"]], p["country"]),
            identifier=aside,
            legal=legal,
            vat="" if outside else vat,
            tax_id="" if vat else xml_text(p["vat_id"]),
            phone=xml_text(p["phone"]),
            email=xml_text(p["email"]),
            endpoint=endpoint(vat=vat, register=legal),
        )

    def _buyer(self, *, outside: bool) -> Party:
        p = self.s["buyer"]
        vat = vat_id(p["vat_id"])
        legal = registration(xml_text(self.routing.registration), p["country"])
        known = self.routing.endpoint
        guess = None if p["kind"] == "consumer" else endpoint(vat=vat, register=legal)
        customer = xml_text(p["external_id"])
        return Party(
            name=xml_text(p["name"]),
            address=address([xml_text(line) for line in p["address"]], p["country"]),
            identifier=Identifier(customer) if customer else None,
            legal=legal,
            vat="" if outside else vat,
            endpoint=known or guess,
            endpoint_known=known is not None,
        )

    def _check_parties(self, seller: Party, buyer: Party, categories: set[str]) -> None:
        for who, party in (("seller", seller), ("buyer", buyer)):
            where = "[provider] of the provider file" if who == "seller" else "the customer's account"
            if not party.name:
                self.lack(f"{who}.name", "it is empty (BR-06, BR-07)", f"state it in {where}")
            if not is_country(party.address.country):
                self.lack(
                    f"{who}.country",
                    f"{party.address.country!r} is no country of ISO 3166 (BR-09, BR-11)",
                    f"state it in {where} as two capital letters",
                )
        if not (seller.vat or seller.legal or seller.identifier):
            self.lack(
                "seller.registration",
                "neither VAT number nor registration identifies the seller (BR-CO-26)",
                "state vat_id or registration in [provider] of the provider file",
            )
        taxed = categories - {"O"}
        if taxed and not (seller.vat or seller.tax_id):
            self.lack(
                "seller.vat_id",
                f"it is empty, and tax category {', '.join(sorted(taxed))} wants it (BR-S-02 and its like)",
                "state vat_id in [provider] of the provider file",
            )
        if "AE" in categories and not (buyer.vat or buyer.legal):
            self.lack(
                "buyer.vat_id",
                "it is empty, and the reverse charge wants it (BR-AE-02)",
                "add the customer's VAT number to their account",
            )
        if "K" in categories and not buyer.vat:
            self.lack("buyer.vat_id", "it is empty (BR-IC-02)", "add the customer's VAT number to their account")

    # --- payment, references ---

    def _payment(self) -> Payment | None:
        seller = self.s["seller"]
        account = "".join(xml_text(seller["iban"]).split())
        if not account:
            return None
        sepa = self.s["currency"] == "EUR" and is_iban(account)
        return Payment(
            code=SEPA_TRANSFER if sepa else TRANSFER,
            account=account,
            bic="".join(xml_text(seller["bic"]).split()),
            name=xml_text(seller["name"]),
            reference=xml_text(payment_reference(self.number)),
        )

    def _preceding(self) -> tuple[str, date | None] | None:
        references = self.s["references"]
        about = "credit_note" if self.s["kind"] == "debit_note" else "invoice"
        named = xml_text(references.get(about))
        if self.s["kind"] in _TYPES and not named:
            self.lack(f"references.{about}", "a correction names what it corrects (BT-25)", "give it as it was issued")
        on = references.get(f"{about}_issued_on")
        return (named, date.fromisoformat(on) if on else None) if named else None

    # --- lines ---

    def _line(self, line: Mapping[str, Any], taxes: Mapping[str, Tax]) -> Line:
        net = self._amount(line["net"], f"lines[{line['no']}].net")
        unit = str(line["unit"])
        price = line["unit_price"]
        quantity, code, stated, per = _priced(exact(line["quantity"]), unit, exact(price) if price else None, net)
        service = line["service"] or {}
        name = xml_text(line["description"]) or xml_text(line["charge"]) or f"Line {line['no']}"
        about = [xml_text(service.get("name")), "" if names_its_unit(unit) else xml_text(unit)]
        return Line(
            id=str(line["no"]),
            name=name,
            description=", ".join(filter(None, about)),
            object_id=xml_text(service.get("id")),
            period=self._days(line["period"]),
            quantity=quantity,
            unit=code,
            price=stated,
            per=per,
            net=net,
            tax=taxes[line["tax_code"]],
        )

    def _days(self, period: Mapping[str, str]) -> tuple[date, date]:
        """First and last day of a half-open period, in the document's zone."""
        zone = ZoneInfo(self.s["period"].get("zone") or self.s["buyer"]["zone"])
        start, end = (datetime.fromisoformat(period[key]).astimezone(UTC) for key in ("start", "end"))
        first = start.astimezone(zone).date()
        return first, max(first, (end - timedelta(microseconds=1)).astimezone(zone).date())


def _category(row: Mapping[str, Any]) -> str:
    """The category (UNTDID 5305) of a tax row; an exemption code in its reason decides where none is charged."""
    named = VATEX.search(row["reason"])
    match row["kind"]:
        case "standard" | "zero":
            return "S" if exact(row["rate"]) > 0 else "Z"
        case "reverse_charge":
            return "AE"
        case "out_of_scope":
            return CATEGORY_OF.get(named[0], "O") if named else "O"
        case _:
            return CATEGORY_OF.get(named[0], "E") if named else "E"


def _exemption(category: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """Reason in words (BT-120) and code (BT-121). A zero rate is a rate, and has neither."""
    if category in ("S", "Z"):
        return "", ""
    named = VATEX.search(row["reason"])
    reason = xml_text(row["reason"])
    if category in VATEX_OF:
        return reason, VATEX_OF[category]
    return reason or "Not subject to VAT", named[0] if named and named[0] not in CATEGORY_OF else ""


def _joined(a: Breakdown, b: Breakdown) -> Breakdown:
    """Two tax codes of the same category and rate: the standard wants one row."""
    reasons = list(dict.fromkeys(filter(None, (a.reason, b.reason))))
    return replace(
        a,
        base=a.base + b.base,
        amount=a.amount + b.amount,
        reason="; ".join(reasons),
        code=a.code if a.code == b.code else "",
    )


_MOST_DECIMALS = 12


def _finite(value: Fraction) -> Decimal | None:
    """The decimal of a fraction, when it ends within a dozen places."""
    scaled = value * 10**_MOST_DECIMALS
    if scaled.denominator != 1:
        return None
    made = Decimal(scaled.numerator).scaleb(-_MOST_DECIMALS)
    text = format(made, "f").rstrip("0").rstrip(".")
    return Decimal(text or "0")


def _priced(
    quantity: Fraction, unit: str, price: Fraction | None, net: Decimal
) -> tuple[Decimal, str, Decimal, Decimal | None]:
    """Quantity, unit code, price and the quantity it is for, so that they give the net exactly, no price below zero."""
    sign = -1 if net < 0 else 1
    amount = abs(net)
    code = unit_code(unit)
    size = abs(quantity)
    count = _finite(size)
    if count is None:  # a third, say: the price is stated for the rounded quantity, so nothing is lost
        count = Decimal(round(size * 10**6)).scaleb(-6).normalize()
        count = Decimal(format(count, "f"))
        price = None
    stated = _finite(price) if price is not None and price >= 0 else None
    if count == 0:
        if amount:
            return Decimal(sign), ONE, amount, None
        return Decimal(0), code, stated or Decimal(0), None
    if stated is not None and abs(count * stated - amount) <= Decimal("0.005"):
        return count * sign, code, stated, None
    return count * sign, code, amount, None if count == 1 else count
