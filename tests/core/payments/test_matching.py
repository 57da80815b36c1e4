"""What entries are taken for, as a table: the text a payer wrote, and what it must come to."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.invoicing.references import creditor_reference, make_betalingskenmerk, make_ogm
from coulance_core.kernel import Money
from coulance_core.payments import ItemKind, OpenItem
from coulance_core.payments.bank import BankEntry
from coulance_core.payments.candidates import CandidateIndex
from coulance_core.payments.decisions import Decision, EarlierReceipt, Flag, Outcome, Refund, Rule
from coulance_core.payments.matching import match
from coulance_core.payments.numbers_in_text import NumberFinder

DAY = date(2026, 11, 20)
ANNA, BEN, CHRIS = 1, 2, 3
IBAN_ANNA, IBAN_BEN, IBAN_OURS = "NL91ABNA0417164300", "DE89370400440532013000", "NL20INGB0001234567"


def eur(text: str) -> Money:
    return Money.of(text, "EUR")


def item(
    number: str, account: int, gross: str, left: str | None = None, *, code: str = "EUR", due: int = 1
) -> OpenItem:
    return OpenItem(
        f"document/{number}",
        account,
        ItemKind.BASE,
        number,
        date(2026, 11, 1),
        date(2026, 11, 15),
        Money.of(gross, code),
        Money.of(gross if left is None else left, code),
    )


ITEMS = (
    item("B2026-000017", ANNA, "121.00"),
    item("B2026-000018", ANNA, "60.50"),
    item("B2026-000171", BEN, "121.00"),
    item("O2026-000017", BEN, "9.99"),
    item("B2026-000019", CHRIS, "45.00", "0.00"),
    item("20260099", CHRIS, "33.00"),
    item("B2026-000020", CHRIS, "77.00", code="USD"),
    item("712", CHRIS, "12.34"),
)


def index() -> CandidateIndex:
    return CandidateIndex(
        ITEMS,
        ibans={IBAN_ANNA: {ANNA}, IBAN_BEN: {BEN}},
        own={IBAN_OURS},
        end_to_end={"COLL-77": ["document/B2026-000171"]},
        earlier=[
            EarlierReceipt(501, ANNA, eur("121.00"), "E2E-1", "BANK-1", IBAN_ANNA),
            EarlierReceipt(502, BEN, eur("50.00"), "", "", IBAN_BEN),
            EarlierReceipt(503, BEN, eur("50.00"), "", "", IBAN_BEN),
        ],
        refunds=[Refund(7, ANNA, eur("5.00"), IBAN_ANNA)],
        names={ANNA: "Bakkerij Anna B.V.", BEN: "Ben Hosting GmbH", CHRIS: "Chris & Co"},
    )


def entry(amount: str, text: str = "", **more: object) -> BankEntry:
    return replace(BankEntry(DAY, eur(amount), remittance=text), **more)  # type: ignore[arg-type]


RF_17 = creditor_reference("B2026-000017")
RF_18 = creditor_reference("B2026-000018")
SPACED_17 = f"{RF_17[:4]} {RF_17[4:8]} {RF_17[8:12]} {RF_17[12:]}"
RF_19 = creditor_reference("B2026-000019")

# what it says | amount | other fields | what it pays (refs' numbers) | account | rule | flags
SURE = [
    ("RF in its own field", "121.00", {"structured_reference": RF_17}, "B2026-000017", ANNA, Rule.REFERENCE, ""),
    (
        f"inv {RF_17[:4]} {RF_17[4:8]} {RF_17[8:12]} {RF_17[12:]}",
        "121.00",
        {},
        "B2026-000017",
        ANNA,
        Rule.REFERENCE,
        "",
    ),
    (f"{RF_17.lower()}", "100.00", {}, "B2026-000017", ANNA, Rule.REFERENCE, "partial"),
    (RF_17, "150.00", {}, "B2026-000017", ANNA, Rule.REFERENCE, "overpaid"),
    (
        f"{RF_17} {creditor_reference('B2026-000018')}",
        "181.50",
        {},
        "B2026-000017 B2026-000018",
        ANNA,
        Rule.REFERENCE,
        "",
    ),
    (RF_19, "45.00", {}, "", CHRIS, Rule.REFERENCE, "settled"),
    (RF_17, "121.00", {"counterparty_iban": IBAN_BEN}, "B2026-000017", ANNA, Rule.REFERENCE, "iban_of_another"),
    (make_ogm("2026000171"), "121.00", {}, "B2026-000171", BEN, Rule.REFERENCE, ""),
    (make_betalingskenmerk("2026000018"), "60.50", {}, "B2026-000018", ANNA, Rule.REFERENCE, ""),
    # The digits of B2026-000017 and O2026-000017 are the same: the amount tells.
    (make_ogm("2026000017"), "9.99", {}, "O2026-000017", BEN, Rule.REFERENCE, ""),
    ("thanks", "121.00", {"end_to_end_id": "COLL-77"}, "B2026-000171", BEN, Rule.END_TO_END, ""),
    ("", "60.50", {"end_to_end_id": "B2026-000018"}, "B2026-000018", ANNA, Rule.END_TO_END, ""),
    ("Factuur B2026-000017", "121.00", {}, "B2026-000017", ANNA, Rule.NUMBER, ""),
    ("factuur b 2026 / 17 dank", "121.00", {}, "B2026-000017", ANNA, Rule.NUMBER, ""),
    ("B2026000017 en B2026000018", "181.50", {}, "B2026-000017 B2026-000018", ANNA, Rule.NUMBER, ""),
    ("B2026-000017, 000018", "181.50", {}, "B2026-000017 B2026-000018", ANNA, Rule.NUMBER, ""),
    ("B2026-0000 17", "121.00", {}, "B2026-000017", ANNA, Rule.NUMBER, ""),
    ("nota 20260099", "33.00", {}, "20260099", CHRIS, Rule.NUMBER, ""),
    ("B2026-000019 again", "45.00", {}, "", CHRIS, Rule.NUMBER, "settled"),
    ("2026-000018", "60.50", {}, "B2026-000018", ANNA, Rule.NUMBER, ""),
    ("nr 712", "12.34", {}, "712", CHRIS, Rule.NUMBER, ""),
    ("hosting", "121.00", {"counterparty_iban": IBAN_ANNA}, "B2026-000017", ANNA, Rule.IBAN_AND_AMOUNT, ""),
    ("hosting", "181.50", {"counterparty_iban": IBAN_ANNA}, "B2026-000017 B2026-000018", ANNA, Rule.IBAN_AND_ALL, ""),
]


@pytest.mark.parametrize(("text", "amount", "more", "pays", "account", "rule", "flags"), SURE)
def test_sure(text: str, amount: str, more: dict[str, object], pays: str, account: int, rule: Rule, flags: str) -> None:
    found = match(entry(amount, text, **more), index())
    assert found.outcome is Outcome.MATCH, found.explanation.render()
    assert [ref.removeprefix("document/") for ref in found.refs] == pays.split()
    assert found.account == account
    assert found.rule is rule
    assert " ".join(found.flags) == flags
    found.explanation.recompute()
    assert found.explanation.rule == f"payments.match.{rule}"


# what it says | amount | other fields | the first suggestion | why
UNSURE = [
    ("a number of two accounts", f"{RF_17} {creditor_reference('B2026-000171')}", "242.00", {}, "several accounts"),
    ("another currency", "B2026-000020", "77.00", {}, "billed in USD"),
    ("a wrong check digit, the amount of two", "RF00B2026000017", "121.00", {}, "exactly that amount"),
    ("part of another number", "B2026-1000017", "121.00", {}, "exactly that amount"),
    ("glued to a word", "AB2026-000018", "60.50", {}, "exactly that amount"),
    ("an amount like a number", "EUR 712,00 betaald", "99.00", {}, "a number like it"),
    ("a known payer, another amount", "hosting", "10.00", {"counterparty_iban": IBAN_ANNA}, "its IBAN is known"),
    ("a name", "hosting", "10.00", {"counterparty_name": "anna bakkerij bv"}, "called so"),
    ("same digits, neither amount", make_ogm("2026000017"), "1.00", {}, "fits several documents"),
]


@pytest.mark.parametrize(("case", "text", "amount", "more", "why"), UNSURE)
def test_unsure_is_suggested_with_reasons(case: str, text: str, amount: str, more: dict[str, object], why: str) -> None:
    found = match(entry(amount, text, **more), index())
    assert found.outcome is Outcome.SUGGEST, case
    assert found.account is None
    assert any(why in reason for one in found.suggestions for reason in one.reasons), found.suggestions
    scores = [one.score for one in found.suggestions]
    assert scores == sorted(scores, reverse=True)


def test_nothing_known_is_said_so() -> None:
    found = match(entry("3.21", "gift"), index())
    assert (found.outcome, found.suggestions) == (Outcome.NOTHING, ())
    assert "nothing known fits" in found.explanation.render()


REVERSED_ANNA = {"counterparty_iban": IBAN_ANNA, "is_reversal": True}
REVERSED_BEN = {"counterparty_iban": IBAN_BEN, "is_reversal": True}
# what it is | amount | other fields | outcome | rule
OTHER = [
    ("own transfer in", "1000.00", {"counterparty_iban": IBAN_OURS}, Outcome.SET_ASIDE, Rule.OWN_TRANSFER),
    ("own transfer out", "-1000.00", {"counterparty_iban": IBAN_OURS}, Outcome.SET_ASIDE, Rule.OWN_TRANSFER),
    ("rent", "-900.00", {"counterparty_iban": "NL00RENT"}, Outcome.SET_ASIDE, Rule.OUTGOING),
    ("our refund", "-5.00", {"counterparty_iban": IBAN_ANNA}, Outcome.SET_ASIDE, Rule.REFUND),
    (
        "bounced, its id told",
        "-121.00",
        {"end_to_end_id": "E2E-1", "return_reason": "AC04"},
        Outcome.REVERSE,
        Rule.RETURNED,
    ),
    (
        "bounced, by IBAN",
        "-121.00",
        REVERSED_ANNA,
        Outcome.REVERSE,
        Rule.RETURNED,
    ),
    ("bounced, one of two", "-50.00", REVERSED_BEN, Outcome.SUGGEST, None),
    ("bounced, not known", "-3.00", {"return_reason": "MD06"}, Outcome.NOTHING, None),
    ("another's payment of that id", "-121.00", {"end_to_end_id": "E2E-1"}, Outcome.SET_ASIDE, Rule.OUTGOING),
    ("to a customer", "-17.00", {"counterparty_iban": IBAN_BEN}, Outcome.SUGGEST, None),
    ("a refund came back", "5.00", {"return_reason": "AC01"}, Outcome.NOTHING, None),
    ("a batch as one sum", "500.00", {"batch_count": 12, "batch": "B1"}, Outcome.NOTHING, None),
    ("nothing", "0.00", {}, Outcome.SET_ASIDE, Rule.OUTGOING),
]


@pytest.mark.parametrize(("case", "amount", "more", "outcome", "rule"), OTHER)
def test_what_is_no_payment(
    case: str, amount: str, more: dict[str, object], outcome: Outcome, rule: Rule | None
) -> None:
    found = match(entry(amount, case, **more), index())
    assert (found.outcome, found.rule) == (outcome, rule)
    if outcome is Outcome.REVERSE:
        assert found.receipt == 501


def test_what_is_paid_once_is_not_found_open_again() -> None:
    known = index()
    payment = entry("121.00", "hosting", counterparty_iban=IBAN_ANNA)
    first = match(payment, known)
    known.consume(first, payment.amount)
    assert first.refs == ("document/B2026-000017",)
    second = match(payment, known)
    assert second.outcome is Outcome.SUGGEST
    named = entry("121.00", RF_17)
    assert match(named, known).flags == (Flag.SETTLED,)
    bounced = entry("-121.00", end_to_end_id="E2E-1", return_reason="AC04")
    gone = match(bounced, known)
    known.consume(gone, bounced.amount)
    assert match(bounced, known).outcome is Outcome.NOTHING


numbers = st.builds(
    lambda prefix, year, sep, n: f"{prefix}{year}{sep}{n:06d}",
    st.sampled_from(["B", "O", "INV-", "F/"]),
    st.integers(2020, 2030),
    st.sampled_from(["-", "/", "."]),
    st.integers(1, 9999),
)


@given(st.lists(numbers, min_size=1, max_size=20, unique=True), st.data())
@settings(max_examples=50, deadline=None)
def test_a_number_is_found_however_it_is_written(known: list[str], data: st.DataObject) -> None:
    number = data.draw(st.sampled_from(known))
    written = data.draw(
        st.sampled_from([number, number.lower(), number.replace("-", " "), f"({number})", f"nr.{number}!"])
    )
    found = [one.number for one in NumberFinder(known).find(f"betaling {written} bedankt") if one.strong]
    assert number in found
    # No other number may be read out of it, unless it is written alike but for punctuation.
    alike = {other for other in known if plain(other) == plain(number)}
    assert set(found) <= alike


def plain(number: str) -> str:
    return "".join(letter for letter in number if letter.isalnum())


@given(numbers, st.sampled_from("0123456789ABZ"))
@settings(max_examples=50, deadline=None)
def test_a_number_inside_a_longer_one_is_not_found(number: str, more: str) -> None:
    finder = NumberFinder([number])
    assert not list(finder.find(f"x {number}{more} x"))
    if more.isalpha() and number[0].isalpha():
        assert not [one for one in finder.find(f"x {more}{number} x") if one.strong]


entries = st.builds(
    lambda cents, text, iban: BankEntry(DAY, Money(cents, "EUR"), remittance=text, counterparty_iban=iban),
    st.integers(-20000, 20000),
    st.text(max_size=60),
    st.sampled_from(["", IBAN_ANNA, IBAN_BEN, IBAN_OURS, "XX"]),
)


@given(entries)
@settings(max_examples=100, deadline=None)
def test_any_entry_is_judged_the_same_twice_and_explains_itself(one: BankEntry) -> None:
    known = index()
    first: Decision = match(one, known)
    assert match(one, known) == first
    first.explanation.recompute()
    if first.outcome is Outcome.MATCH:
        assert one.amount.minor > 0
        assert {known.item(ref).account for ref in first.refs} <= {first.account}


RETURNED_WORD = (
    EarlierReceipt(601, ANNA, eur("10.00"), "FACTUUR", "REF", IBAN_ANNA),
    EarlierReceipt(602, BEN, eur("10.00"), "FACTUUR", "REF", IBAN_BEN),
)


@pytest.mark.parametrize("sign", ["end_to_end_id", "bank_ref"])
@pytest.mark.parametrize(
    ("iban", "receipt"), [(IBAN_ANNA, 601), (IBAN_BEN, 602), ("", None), ("FR7630006000011234567890189", None)]
)
def test_a_return_under_an_id_that_many_use_takes_back_who_it_goes_to(
    sign: str, iban: str, receipt: int | None
) -> None:
    known = CandidateIndex(ITEMS, earlier=RETURNED_WORD)
    value = {"end_to_end_id": "FACTUUR", "bank_ref": "REF"}[sign]
    found = match(entry("-10.00", return_reason="MD06", counterparty_iban=iban, **{sign: value}), known)
    assert found.receipt == receipt
    assert (found.outcome is Outcome.REVERSE) == (receipt is not None)


@pytest.mark.parametrize(
    ("number", "text", "strong"),
    [
        ("2026-0003", "Hosting 2026-03", None),
        ("2026-0003", "hosting 2026/3", None),
        ("2026-0003", "factuur 2026-0003", True),
        ("2026-03", "Hosting 2026-03", False),
        ("B2026-000010", "hosting 2026-10", None),
        ("B2026-000010", "b 2026-10", True),
        ("20260317", "betaling 20260317", False),
        ("20260317", "betaling 2026-03-17", None),
        ("20260099", "betaling 20260099", True),
        ("A4", "500 vel A4 papier", False),
        ("F12", "Kerkstraat 3, F 12", False),
        ("F2012", "f2012", True),
    ],
)
def test_a_month_a_day_or_a_door_is_not_surely_a_number(number: str, text: str, strong: bool | None) -> None:
    found = [(one.number, one.strong) for one in NumberFinder([number]).find(text)]
    assert found == ([] if strong is None else [(number, strong)])


def test_a_number_that_is_only_like_it_yields_to_a_known_iban() -> None:
    known = CandidateIndex(
        [item("20260317", ANNA, "12.10"), item("B2026-000099", BEN, "12.10"), item("B2026-000098", BEN, "99.00")],
        ibans={IBAN_BEN: {BEN}},
    )
    paid = entry("12.10", "20260317 hosting", counterparty_iban=IBAN_BEN)
    assert match(paid, known).refs == ("document/B2026-000099",)
    assert match(replace(paid, amount=eur("5.00")), known).outcome is Outcome.SUGGEST
    assert match(replace(paid, counterparty_iban=""), known).refs == ("document/20260317",)


def test_a_refund_that_bears_the_id_of_what_it_refunds_undoes_nothing() -> None:
    known = CandidateIndex(
        ITEMS,
        earlier=[EarlierReceipt(601, ANNA, eur("10.00"), "E2E-9", "", IBAN_ANNA)],
        refunds=[Refund(8, ANNA, eur("10.00"), IBAN_ANNA)],
    )
    out = entry("-10.00", end_to_end_id="E2E-9", counterparty_iban=IBAN_ANNA)
    assert (match(out, known).outcome, match(out, known).refund) == (Outcome.SET_ASIDE, 8)
    assert match(replace(out, return_reason="MD06"), known).receipt == 601


@pytest.mark.parametrize("name", ["Stichting Mollie Payments", "STG DERDENGELDEN BUCKAROO"])
def test_an_amount_from_a_provider_of_payments_is_no_proof_of_whose_it_is(name: str) -> None:
    known = {"counterparty_iban": IBAN_ANNA, "counterparty_name": name}
    assert match(entry("60.50", "order 5", **known), index()).outcome is Outcome.SUGGEST
    own = {**known, "counterparty_name": "Anna"}
    assert match(entry("60.50", "order 5", **own), index()).rule is Rule.IBAN_AND_AMOUNT


def test_money_out_without_an_iban_takes_nothing_back_by_an_id_alone() -> None:
    """Unmarked as a return it has to go where the receipt came from; that neither says where is no proof."""
    came = EarlierReceipt(9, ANNA, eur("10.00"), "SAME", "", "")
    out = match(entry("-10.00", end_to_end_id="SAME"), CandidateIndex(ITEMS, earlier=[came]))
    assert (out.outcome, out.rule) == (Outcome.SET_ASIDE, Rule.OUTGOING)
    returned = match(entry("-10.00", end_to_end_id="SAME", return_reason="AM04"), CandidateIndex(ITEMS, earlier=[came]))
    assert (returned.outcome, returned.receipt) == (Outcome.REVERSE, 9)
