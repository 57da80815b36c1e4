"""Any sound book is taken over to the cent; any change of it afterwards is a difference of that very row."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coulance.customers import queries as customers
from coulance.integrations.takeover.reading import Source
from coulance.ledger.check import check_ledger
from coulance.payments import queries as payments
from coulance.payments.check import check_payments
from coulance_core.kernel import Money
from coulance_core.payments import ItemKind
from coulance_core.taking_over import Book, TakenCustomer, TakenOpenItem, TakenPrepaid, TakenService, Where
from tests.takeover.move import move, report

ON = date(2026, 11, 1)
NAMES = [f"c{number}" for number in range(5)]


@st.composite
def items(draw: st.DrawFn) -> tuple[TakenOpenItem, ...]:
    out = []
    for number in range(draw(st.integers(0, 12))):
        gross = draw(st.integers(1, 10**9)) * draw(st.sampled_from([1, 1, 1, -1]))
        left = draw(st.integers(1, abs(gross))) * (1 if gross > 0 else -1)
        issued = ON - timedelta(days=draw(st.integers(0, 900)))
        out.append(
            TakenOpenItem(
                where=Where("made", number + 1, f"item {number}"),
                key=f"made/item/{number}",
                account=draw(st.sampled_from(NAMES)),
                number=f"OLD-{number}",
                kind=draw(st.sampled_from(ItemKind)),
                issued_on=issued,
                due_on=issued + timedelta(days=draw(st.integers(0, 60))),
                gross=Money(gross, "EUR"),
                paid=Money(gross - left, "EUR"),
                open=Money(left, "EUR"),
            )
        )
    return tuple(out)


@st.composite
def books(draw: st.DrawFn) -> Book:
    held = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 10**8)))
    return Book(
        "made",
        ON,
        customers=tuple(
            TakenCustomer(where=Where("made", 0, name), account=name, name=name, kind="business", country="NL",
                          currency="EUR") for name in NAMES
        ),
        services=tuple(
            TakenService(where=Where("made", 0, name), account=name, service=f"{name}-vps", name="VPS", kind="vps",
                         plan="vps", started_on=date(2025, 1, 1), subscribed_from=ON,
                         billed_until=ON + timedelta(days=draw(st.integers(0, 400))))
            for name in draw(st.lists(st.sampled_from(NAMES), unique=True))
        ),
        items=draw(items()),
        prepaid=tuple(
            TakenPrepaid(where=Where("made", 0, name), key=f"made/prepaid/{name}", account=name,
                         amount=Money(minor, "EUR")) for name, minor in held.items()
        ),
    )  # fmt: skip


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(book=books(), data=st.data())
def test_totals_before_are_totals_after(provider: Any, book: Book, data: st.DataObject) -> None:
    with transaction.atomic():
        done = move(Source(book, ()))
        assert done.applied, (done.findings, done.differences)
        assert done.reconciliation is not None
        assert done.reconciliation.before == done.reconciliation.after
        for name in NAMES:
            mine = [item.open.minor for item in book.items if item.account == name]
            now = payments.balance(account=customers.account(name).id, currency="EUR")
            held = sum(row.amount.minor for row in book.prepaid if row.account == name)
            assert (now.owed.minor, now.prepaid.minor) == (sum(mine), held)
        assert [str(fault) for fault in (*check_payments(), *check_ledger())] == []
        if book.items:
            place = data.draw(st.integers(0, len(book.items) - 1))
            one = book.items[place]
            other = replace(one, due_on=one.due_on + timedelta(days=1))
            changed = replace(book, items=(*book.items[:place], other, *book.items[place + 1 :]))
            found = report(Source(changed, ())).reconciliation
            assert found is not None
            assert [(row.record, row.name, row.field) for row in found.differences] == [("item", one.key, "due_on")]
            missing = replace(book, items=(*book.items[:place], *book.items[place + 1 :]))
            found = report(Source(missing, ())).reconciliation
            assert found is not None
            assert [(row.name, row.before, row.after) for row in found.differences] == [
                (one.key, "(nothing)", str(one.open))
            ]
        transaction.set_rollback(True)
