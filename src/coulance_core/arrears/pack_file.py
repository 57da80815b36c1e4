"""A law pack from the tables of its file. What may stand there is in `docs/law-packs.md`."""

from collections.abc import Mapping
from typing import Any

from coulance_core.arrears.packs import (
    Band,
    Begins,
    ClockStart,
    CostRule,
    DeemedReceipt,
    FeeRule,
    InterestRule,
    LawPack,
    LetterRule,
    Lock,
    Per,
    Rate,
    TermRule,
)
from coulance_core.arrears.terms import Debtor
from coulance_core.catalog.paying import LawOrder
from coulance_core.catalog.reading import Table, finish
from coulance_core.kernel import Money, Rounding

_ALL = tuple(Debtor)


def parse_pack(data: Mapping[str, Any], *, where: str = "law pack") -> LawPack:
    """The pack that a file's tables describe. Raises `TermsError` with every fault, each by its field's path.

    >>> parse_pack({"name": "xx", "title": "X", "countries": ["XX"], "currency": "EUR", "as_of": "2026-01-01"}).version
    'xx@2026-01-01'
    """
    t = Table(data)
    name, title = t.text("name"), t.text("title")
    countries, code = frozenset(t.texts("countries")), t.text("currency")
    as_of = t.day("as_of")
    interest = tuple(_interest(row) for row in t.tables("interest"))
    costs = tuple(_costs(row, code) for row in t.tables("costs"))
    letters = tuple(_letter(row) for row in t.tables("letter"))
    fees = tuple(_fee(row, code) for row in t.tables("reminder_fee"))
    terms = tuple(_term(row) for row in t.tables("payment_term"))
    deemed = tuple(_deemed(row) for row in t.tables("deemed"))
    series = [(key, *_series(table)) for key, table in t.table("rates").items()]
    notes = t.texts("notes")
    allocation = t.choice("allocation", LawOrder) if t.has("allocation") else None
    return finish(
        where,
        t,
        lambda: LawPack(
            name,
            title,
            countries,
            code,
            as_of,
            interest,
            costs,
            letters,
            fees,
            terms,
            deemed,
            tuple((key, rates) for key, rates, _ in series),
            tuple((key, until) for key, _, until in series if until is not None),
            allocation,
            notes,
        ),
    )


def _debtors(t: Table) -> frozenset[Debtor]:
    return frozenset(t.choices("debtors", Debtor, _ALL))


def _interest(t: Table) -> InterestRule:
    rule = InterestRule(
        _debtors(t),
        t.day("from"),
        t.number("points"),
        t.text("series", ""),
        t.choice("lock", Lock, Lock.HALF_YEAR),
        t.flag("yearly", False),
        t.number("round_up_to", 0),
        t.number("floor", 0),
        t.maybe_day("until"),
        t.text("cites"),
        t.choice("begins", Begins, Begins.DUE),
        t.text("letter", ""),
    )
    t.close()
    return rule


def _costs(t: Table, code: str) -> CostRule:
    bands = []
    for row in t.tables("bands"):
        bands.append(Band(row.maybe_number("up_to"), row.number("base", 0), row.number("percent", 0)))
        row.close()
    rule = CostRule(
        _debtors(t),
        t.day("from"),
        t.text("currency", code),
        tuple(bands),
        t.choice("per", Per, Per.CLAIM),
        t.flag("inclusive", True),
        t.number("minimum", 0),
        t.maybe_number("maximum"),
        t.text("letter", ""),
        t.choice("rounding", Rounding, Rounding.HALF_UP),
        t.maybe_day("until"),
        t.text("cites"),
    )
    t.close()
    return rule


def _letter(t: Table) -> LetterRule:
    rule = LetterRule(
        t.text("key"),
        _debtors(t),
        t.day("from"),
        t.whole("days"),
        t.choice("start", ClockStart, ClockStart.RECEIPT),
        t.whole("email_days", 0),
        t.whole("post_working_days", 0),
        t.texts("must_say"),
        t.maybe_day("until"),
        t.text("cites"),
    )
    t.close()
    return rule


def _fee(t: Table, code: str) -> FeeRule:
    most = t.money("most") if t.has("most") else Money(0, code)
    rule = FeeRule(
        _debtors(t),
        t.day("from"),
        t.whole("free"),
        most if most is not None else Money(0, code),
        t.maybe_day("until"),
        t.text("cites"),
    )
    t.close()
    return rule


def _term(t: Table) -> TermRule:
    most = t.whole("most") if t.has("most") else None
    rule = TermRule(_debtors(t), t.day("from"), t.whole("usual"), most, t.maybe_day("until"), t.text("cites"))
    t.whole("most", 0)
    t.close()
    return rule


def _deemed(t: Table) -> DeemedReceipt:
    rule = DeemedReceipt(
        _debtors(t),
        t.day("from"),
        t.whole("days_after_posting"),
        t.flag("return_voids", True),
        t.maybe_day("until"),
        t.text("cites"),
    )
    t.close()
    return rule


def _series(t: Table) -> tuple[tuple[Rate, ...], Any]:
    rates = []
    for row in t.tables("rates"):
        rates.append(Rate(row.day("from"), row.number("percent"), row.flag("verify", False)))
        row.close()
    until = t.maybe_day("known_until")
    t.text("cites")
    t.close()
    return tuple(rates), until
