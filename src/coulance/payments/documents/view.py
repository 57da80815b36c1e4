"""A statement of account as it reads: every text in its place and language, from values and nothing else.

The PDF's template and the console's page both lay out what `view` gives: plain texts, lists and mappings.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from coulance.customers.queries import AccountRow
from coulance.invoicing.documents.words import Words
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.kernel import Money
from coulance_core.payments import AccountStatement, Ages, BalancedRow, RowKind

View = dict[str, Any]
TABLE: Mapping[str, Mapping[str, str]] = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))
_MEMOS = (
    RowKind.ALLOCATED,
    RowKind.ALLOCATION_REVERSED,
    RowKind.CREDIT_FREED,
    RowKind.CREDIT_FREED_REVERSED,
    RowKind.RECLAIMED,
    RowKind.RECLAIMED_REVERSED,
)


@cache
def _words(language: str) -> tuple[Words, Mapping[str, str]]:
    formats = Words.of(language)
    return formats, TABLE.get(formats.language) or TABLE["en"]


def view(statement: AccountStatement, *, seller: ProviderTerms, buyer: AccountRow, language: str = "") -> View:
    """The statement's texts, in the account's language unless another is asked for."""
    f, w = _words(language or buyer.language)
    last = statement.end - timedelta(days=1)

    def money(amount: Money) -> str:
        return f.money(amount.decimal(), amount.currency)

    ids = [w["vat_id"].format(id=seller.vat_id)] if seller.vat_id else []
    if seller.registration:
        known = seller.registration[:1].isalpha()
        ids.append(seller.registration if known else w["registration"].format(id=seller.registration))
    abroad = buyer.country if buyer.country != seller.country else ""
    return {
        "lang": f.language,
        "title": w["title"],
        "date": last.isoformat(),
        "seller": {
            "name": seller.name,
            "address": _texts(seller.address),
            "contact": _texts([seller.email, seller.phone, seller.website.removeprefix("https://").rstrip("/")]),
            "ids": ids,
            "bank": _texts([_groups(seller.iban), seller.bic]),
        },
        "buyer": _texts([buyer.name, *buyer.address, abroad]),
        "meta": [
            [w["customer"], buyer.external_id],
            [w["period"], f("from_to", start=f.day(statement.start), end=f.day(last))],
        ],
        "callout": _callout(statement, seller, buyer, f, w),
        "opening": [w["opening"].format(date=f.day(statement.start)), money(statement.opening)],
        "closing": [w["closing"].format(date=f.day(last)), money(statement.closing)],
        "rows": _rows(statement.rows, f, w),
        "prepaid": w["prepaid"].format(amount=money(statement.prepaid)) if statement.prepaid.minor else "",
        "unallocated": (
            w["unallocated"].format(amount=money(statement.ages.unallocated))
            if statement.ages.unallocated.minor
            else ""
        ),
        "items": [
            {
                "number": item.number,
                "issued": f.day(item.issued_on),
                "due": "" if item.open.minor < 0 else f.day(item.due_on),
                "late": str(item.days_late(last)) if item.open.minor > 0 and item.days_late(last) > 0 else "",
                "open": money(item.open),
            }
            for item in statement.items
        ],
        "ages": ages_view(statement.ages, f, w) if statement.items else [],
        "words": {key: w[key] for key in _SHOWN} | {"page": w["page"].format(page="{p}", pages="{n}")},
    }


_SHOWN = ("date description amount balance open_items ages number issued due late open none attached").split()


def ages_view(found: Ages, f: Words, w: Mapping[str, str]) -> list[list[str]]:
    """The debts by age as pairs of words and amounts."""
    amounts = {
        "not_due": found.not_late,
        "to_30": found.to_30,
        "to_60": found.to_60,
        "to_90": found.to_90,
        "older": found.older,
        "disputed": found.disputed,
        "credit": -found.credit,
    }
    return [
        [w[key], f.money(amount.decimal(), amount.currency)]
        for key, amount in amounts.items()
        if key not in ("disputed", "credit") or amount.minor
    ]


def _callout(
    statement: AccountStatement, seller: ProviderTerms, buyer: AccountRow, f: Words, w: Mapping[str, str]
) -> View:
    due = statement.closing
    if due.minor <= 0:
        label = w["in_your_favour"] if due.minor < 0 else w["nothing_to_pay"]
        return {
            "tone": "calm",
            "label": label,
            "amount": f.money((-due).decimal(), due.currency),
            "by": w["no_action"],
            "how": [],
        }
    a = statement.ages
    late = min(a.to_30 + a.to_60 + a.to_90 + a.older, due)
    by = w["of_which_late"].format(amount=f.money(late.decimal(), late.currency)) if late.minor else w["not_late"]
    how = [
        [w["pay_to"], _groups(seller.iban)],
        [w["bic"], seller.bic],
        [w["account_holder"], seller.name],
        [w["reference"], buyer.external_id],
    ]
    return {
        "tone": "due" if late.minor else "calm",
        "label": w["to_pay"],
        "amount": f.money(due.decimal(), due.currency),
        "by": by,
        "how": [[label, value] for label, value in how if value],
    }


def _rows(found: Sequence[BalancedRow], f: Words, w: Mapping[str, str]) -> list[View]:
    out: list[View] = []
    shown: date | None = None
    for one in found:
        row = _row(one, f, w)
        # A memo stands under what it belongs to; only one of another day says which.
        if row["memo"] and one.row.on == shown:
            row["on"] = ""
        shown = one.row.on
        out.append(row)
    return out


def _row(found: BalancedRow, f: Words, w: Mapping[str, str]) -> View:
    row = found.row
    memo = row.kind in _MEMOS
    shown = row.amount if row.amount.minor >= 0 or not memo else -row.amount
    amount = f.money(shown.decimal(), shown.currency)
    said = w[f"row_{row.kind.value}"].format(reference=row.reference, about=row.about, amount=amount)
    return {
        "on": f.day(row.on),
        "said": said,
        "detail": w["due_by"].format(date=f.day(row.due_on)) if row.due_on else "",
        "memo": memo,
        "amount": "" if memo else amount,
        "balance": "" if memo else f.money(found.balance.decimal(), found.balance.currency),
    }


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values if value]


def _groups(iban: str) -> str:
    """An IBAN in groups of four, as people type it over."""
    text = iban.replace(" ", "")
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def data_of(statement: AccountStatement, buyer: AccountRow) -> View:
    """The statement as data, attached to the PDF: exact decimals, days in ISO form."""

    def money(amount: Money) -> str:
        return amount.decimal()

    def day(value: date | None) -> str | None:
        return None if value is None else value.isoformat()

    return {
        "schema": "coulance.account-statement/1",
        "customer": buyer.external_id,
        "currency": statement.currency,
        "start": day(statement.start),
        "end": day(statement.end),
        "opening": money(statement.opening),
        "rows": [
            {
                "on": day(found.row.on),
                "kind": found.row.kind.value,
                "reference": found.row.reference,
                "about": found.row.about,
                "due_on": day(found.row.due_on),
                "amount": money(found.row.amount),
                "effect": money(found.row.effect),
                "balance": money(found.balance),
            }
            for found in statement.rows
        ],
        "closing": money(statement.closing),
        "prepaid": money(statement.prepaid),
        "unallocated": money(statement.ages.unallocated),
        "items": [
            {
                "number": item.number,
                "kind": item.kind.value,
                "issued_on": day(item.issued_on),
                "due_on": day(item.due_on),
                "gross": money(item.gross),
                "open": money(item.open),
            }
            for item in statement.items
        ],
    }
