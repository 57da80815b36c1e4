"""Policies and law packs as files: what is refused, where, and that the routes need only themselves."""

import tomllib
from dataclasses import replace
from datetime import date, datetime
from fractions import Fraction

import pytest
from tests.core.arrears.worlds import DEFAULT, PACKS, SHORT, Host, arrives, at, day, debt, eur, facts, lost, pack

from coulance_core.arrears import (
    Act,
    Debtor,
    Evidence,
    Intent,
    Level,
    Policy,
    Route,
    Scope,
    Step,
    choose_pack,
    choose_policy,
    parse_pack,
    parse_policy,
)
from coulance_core.catalog.faults import TermsError
from coulance_core.notices import Channel

NAMES = sorted(path.stem for path in PACKS.glob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_pack_is_read_and_cites_its_sources(name: str) -> None:
    law = pack(name)
    assert law.name == name
    rules = (*law.interest, *law.costs, *law.letters, *law.fees, *law.payment_terms, *law.deemed)
    assert rules
    assert all(rule.cites for rule in rules)


def test_the_packs_that_are_shipped() -> None:
    assert NAMES == ["be", "de", "eu_b2b", "nl", "uk"]


def test_a_series_of_one_name_says_the_same_in_every_pack() -> None:
    seen: dict[str, object] = {}
    for name in NAMES:
        law = pack(name)
        for series, rates in law.rates:
            said = (rates, law.until(series))
            assert seen.setdefault(series, said) == said, (name, series)


def test_a_pack_says_when_its_rates_have_run_out() -> None:
    assert pack("nl").outdated(date(2026, 6, 30)) == ()
    assert pack("nl").outdated(date(2026, 7, 1)) == ("statutory_consumer",)


def test_a_countrys_own_pack_comes_before_the_one_for_many() -> None:
    packs = [pack(name) for name in NAMES]

    def chosen(country: str, debtor: Debtor) -> str | None:
        found = choose_pack(packs, country=country, debtor=debtor)
        return None if found is None else found.name

    assert chosen("NL", Debtor.CONSUMER) == "nl"
    assert chosen("FR", Debtor.BUSINESS) == "eu_b2b"
    assert chosen("FR", Debtor.CONSUMER) is None
    assert chosen("GB", Debtor.CONSUMER) is None
    assert chosen("US", Debtor.BUSINESS) is None


def raw(name: str = "nl") -> dict[str, object]:
    return tomllib.loads((PACKS / f"{name}.toml").read_text())


RATES: dict[str, object] = {
    name: {"cites": "x", "rates": [{"from": "2020-01-01", "percent": 2}]}
    for name in ("ecb_main_refinancing", "statutory_consumer")
}


@pytest.mark.parametrize(
    ("field", "value", "where", "said"),
    [
        ("as_of", "soon", "as_of", "expected a date"),
        ("colour", "blue", "colour", "no such field"),
        ("allocation", "principal_first", "allocation", "expected one of costs_interest_principal"),
        ("allocation", 3, "allocation", "expected one of"),
        ("interest", [{"debtors": ["robot"]}], "interest[0].debtors[0]", "expected one of consumer"),
        ("interest", [{"from": "2026-01-01", "points": 1.5, "cites": "x"}], "interest[0].points", 'write "1.5"'),
        ("interest", [{"from": "2026-01-01", "points": 1}], "interest[0].cites", "is missing"),
        (
            "interest",
            [{"from": "2026-01-01", "points": 1, "cites": "x", "series": "moon"}],
            "interest[0].series",
            "no series",
        ),
        ("costs", [{"from": "2026-01-01", "cites": "x", "bands": [{"up_to": 5}]}], "costs[0].bands", "the last band"),
        (
            "costs",
            [{"from": "2026-01-01", "cites": "x", "bands": [{"up_to": 5}, {"up_to": 3}, {}]}],
            "costs[0].bands",
            "in order",
        ),
        (
            "costs",
            [{"from": "2026-01-01", "cites": "x", "bands": [{}], "letter": "red"}],
            "costs[0].letter",
            "no letter",
        ),
        ("rates", {**RATES, "a": {"rates": [], "cites": "x"}}, "rates.a", "at least one rate"),
        (
            "rates",
            {"a": {"cites": "x", "rates": [{"from": "2026-01-01", "percent": "x"}]}},
            "rates.a.rates[0].percent",
            "a number",
        ),
        (
            "payment_term",
            [{"from": "2026-01-01", "usual": 30, "cites": "x"}, {"from": "2026-01-01", "usual": 14, "cites": "y"}],
            "payment_terms[1]",
            "holds too",
        ),
    ],
)
def test_what_is_wrong_in_a_pack_is_told_by_its_field(field: str, value: object, where: str, said: str) -> None:
    with pytest.raises(TermsError) as caught:
        parse_pack({**raw(), field: value}, where="nl.toml")
    assert "nl.toml" in str(caught.value)
    found = [fault for fault in caught.value.faults if fault.field == where]
    assert found, caught.value.faults
    assert said in found[0].message


# --- policies


def step(**fields: object) -> dict[str, object]:
    return {"key": "r", "route": "demand", "act": "remind", "days": 7, "evidence": "delivered", **fields}


SUSPEND = {"key": "s", "route": "restrict", "act": "suspend", "after": "r", "days": 7}


@pytest.mark.parametrize(
    ("rows", "where", "said"),
    [
        ([step(act="sing")], "step[0].act", "expected one of"),
        ([step(act="suspend", evidence="none")], "step[0].act", "doesn't suspend"),
        ([SUSPEND], "step[0].after", "no earlier step"),
        ([step(evidence="none"), SUSPEND], "step[1]", "no notice with evidence"),
        ([step(), {**SUSPEND, "act": "terminate"}], "step[1]", "its own notice_of_termination"),
        ([step(), {**SUSPEND, "act": "delete"}], "step[1]", "its own notice_of_deletion"),
        ([step(), {**SUSPEND, "act": "throttle", "rate": "64 kbit/s"}], "step[1].rate", "under the floor"),
        ([step(), {**SUSPEND, "act": "throttle", "rate": "slow"}], "step[1].rate", "expected a rate"),
        ([step(), {**SUSPEND, "act": "throttle"}], "step[1].rate", "a throttle has a rate"),
        ([step(), {**SUSPEND, "approvals": -1}], "step[1].approvals", "0 or more"),
        ([step(), step()], "step[1].key", "there twice"),
        ([step(key="due")], "step[0].key", "is taken"),
        ([step(days=-3)], "step[0].days", "before the due day"),
        ([step(evidence="deemed")], "step[0].channels", "two channels"),
        ([step(), SUSPEND, step(key="x", route="collect", act="remind", after="s")], "step[2].after", "is of route"),
        ([step(), SUSPEND, step(key="late")], "step[2].route", "the demand stands first"),
        ([step(), {"key": "h", "route": "collect", "act": "hand_over", "after": "r"}], "step[1].to", "mediation or"),
        ([step(after="declined")], "step[0].codes", "names the codes"),
        ([step(fee="-1")], "step[0].fee", "expected an amount"),
        ([step(again_days=0)], "step[0].again_days", "1 or more"),
    ],
)
def test_what_is_wrong_in_a_policy_is_told_by_its_field(rows: list[object], where: str, said: str) -> None:
    with pytest.raises(TermsError) as caught:
        parse_policy({"name": "p", "from": "2026-01-01", "step": rows}, where="provider.toml")
    found = [fault for fault in caught.value.faults if fault.field == where]
    assert found, caught.value.faults
    assert said in found[0].message


def test_termination_wants_two_people_whatever_the_policy_says() -> None:
    last = {"key": "n", "route": "restrict", "act": "notice_of_termination", "after": "r", "evidence": "reached"}
    end = {"key": "t", "route": "restrict", "act": "terminate", "after": "n"}
    policy = parse_policy({"name": "p", "from": "2026-01-01", "step": [step(), last, end]})
    assert [s.people for s in policy.steps] == [0, 0, 2]
    with pytest.raises(TermsError, match="2 people always"):
        parse_policy({"name": "p", "from": "2026-01-01", "step": [step(), last, {**end, "approvals": 1}]})


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"calendar": {"closed": ["saturday", "sunday"]}}, "calendar.closed"),
        ({"calendar": {"eves": False}}, "calendar.eves"),
        ({"calendar": {"from_hour": 18, "to_hour": 9}}, "calendar.hours"),
        ({"plans": {"instalments": 0}}, "plans.instalments"),
        ({"backup_days": 0}, "backup_days"),
        ({"minimum": ["1.00 EUR", "2.00 EUR"]}, "minimum"),
        ({"name": "a@b"}, "name"),
    ],
)
def test_the_laws_own_bounds_are_not_for_a_policy_to_widen(table: dict[str, object], where: str) -> None:
    with pytest.raises(TermsError) as caught:
        parse_policy({"name": "p", "from": "2026-01-01", "step": [step()], **table})
    assert where in [fault.field for fault in caught.value.faults]


def test_a_case_gets_the_first_policy_that_covers_it_in_its_version_of_the_day() -> None:
    old, new = replace(SHORT, valid_from=date(2025, 1, 1)), SHORT
    mild = replace(SHORT, name="mild", scope=Scope(frozenset({Debtor.CONSUMER})))

    def chosen(debtor: Debtor, on: date) -> str | None:
        found = choose_policy([mild, old, new], debtor, on=on, country="NL")
        return None if found is None else found.version

    assert chosen(Debtor.CONSUMER, date(2026, 5, 1)) == "mild@2026-01-01"
    assert chosen(Debtor.CONSUMER, date(2025, 5, 1)) == "short@2025-01-01"
    assert chosen(Debtor.BUSINESS, date(2026, 5, 1)) == "short@2026-01-01"
    assert chosen(Debtor.BUSINESS, date(2024, 5, 1)) is None
    groups = replace(SHORT, scope=Scope(groups=frozenset({"gold"}), plans=frozenset({"vps"})))
    assert choose_policy([groups], Debtor.BUSINESS, on=day(0), country="NL", groups=["gold"], plans=["vps"]) is groups
    assert choose_policy([groups], Debtor.BUSINESS, on=day(0), country="NL", groups=["gold"]) is None


# --- three routes


@pytest.mark.parametrize("route", [Route.COLLECT, Route.END_AT_TERM, Route.RESTRICT])
@pytest.mark.parametrize("policy", [SHORT, DEFAULT], ids=["short", "default"])
def test_a_route_goes_its_way_whether_or_not_the_others_are_there(policy: Policy, route: Route) -> None:
    def acts(of: Policy) -> list[tuple[date, str, str]]:
        host = Host(of, facts(debt()), pack("nl"))
        host.days(range(-4, 110, 1))
        keys = {s.key for s in policy.steps if s.route in (route, Route.DEMAND)}
        return [act for act in host.acts if act[1] in keys]

    alone = replace(policy, steps=tuple(s for s in policy.steps if s.route in (route, Route.DEMAND)))
    whole = acts(policy)
    assert acts(alone) == whole
    assert len(whole) > 2


def test_the_default_policy_over_half_a_year() -> None:
    host = Host(DEFAULT, facts(debt(amount=20_000)), pack("nl"))
    host.days(range(-4, 130))
    assert [((on - day(0)).days, what) for on, what, _ in host.acts] == [
        (-3, "before"),
        (5, "reminder"),
        (13, "demand"),
        (21, "block_orders"),
        (24, "call"),
        (24, "suspension_notice"),
        (28, "costs"),
        (35, "throttle"),
        (40, "back_up"),
        (42, "last_demand"),
        (42, "suspend"),
        (45, "last_demand"),  # by post: nobody had looked
        (56, "termination_notice"),
        (59, "non_renewal_notice"),
        (59, "termination_notice"),
        (62, "non_renewal_notice"),
        (63, "interest"),
        (71, "hand_over"),  # somebody approved it the day before
        (77, "back_up"),
        (78, "terminate"),
        (78, "offer_retrieval"),
        (79, "deletion_notice"),
        (96, "not_renew"),
        (113, "back_up"),
        (114, "delete"),
    ]


def test_a_dutch_consumer_gets_the_letter_before_costs_and_its_days_run_from_receipt() -> None:
    policy = Policy(
        "letter",
        date(2026, 1, 1),
        (
            Step(
                "letter",
                Route.DEMAND,
                Act.DEMAND,
                days=1,
                evidence=Level.DELIVERED,
                channels=(Channel.EMAIL, Channel.POST),
                letter="fourteen_days",
            ),
            Step("costs", Route.COLLECT, Act.CHARGE_COSTS, "letter", 2),
        ),
    )
    consumer = facts(debt(amount=40_000), debtor=Debtor.CONSUMER)
    host = Host(policy, consumer, pack("nl"))
    host.days(range(1, 30))
    assert host.acts == [(day(1), "letter", ""), (day(16), "costs", "")]  # day 2 to day 15 are the customer's
    business = Host(policy, replace(consumer, debtor=Debtor.BUSINESS), pack("nl"))
    business.days(range(1, 30))
    assert business.acts[-1][0] == day(4)
    without = replace(policy, steps=(replace(policy.steps[0], letter=""), policy.steps[1]))
    never = Host(without, consumer, pack("nl"))
    never.days(range(1, 40))
    assert never.steps == ["letter"]
    [held] = never.judge(at(day(41))).held_up
    assert "the law wants fourteen_days before costs" in held.refusal.message


def test_belgian_days_run_from_dispatch_and_a_later_receipt_counts_for_the_customer() -> None:
    policy = Policy(
        "be",
        date(2026, 1, 1),
        (
            Step(
                "reminder",
                Route.DEMAND,
                Act.REMIND,
                days=1,
                evidence=Level.DELIVERED,
                channels=(Channel.POST,),
                letter="first_reminder",
                fee=eur(1000),
            ),
            Step("again", Route.DEMAND, Act.REMIND, "reminder", 5, fee=eur(1000)),
            Step("costs", Route.COLLECT, Act.CHARGE_COSTS, "reminder", 2),
        ),
    )
    host = Host(policy, facts(debt(), debtor=Debtor.CONSUMER), pack("be"))
    fees = []
    for number in range(1, 30):
        decision = host.run(at(day(number)))
        fees += [i.fee for i in decision.intents if i.fee is not None]
        for intent in decision.intents:
            if intent.step == "costs":
                assert intent.amount == eur(2000)
    # Posted on Tuesday; the third working day after is Friday, day 4, the first of fourteen.
    assert {s: (on - day(0)).days for on, s, _ in host.acts}["costs"] == 18
    assert fees == [eur(0), eur(750)]
    assert Fraction(15, 2) == fees[1].amount


def test_a_reminder_that_went_by_two_channels_is_one() -> None:
    law = pack("be")
    law = replace(law, fees=(replace(law.fees[0], free=2),))
    steps = (
        Step("today", Route.DEMAND, Act.REMIND),  # on the day it is due: nobody is late, and it is no reminder of that
        Step("one", Route.DEMAND, Act.REMIND, days=1, evidence=Level.DELIVERED, channels=(Channel.EMAIL, Channel.POST)),
        Step("two", Route.DEMAND, Act.REMIND, "one", 5, fee=eur(1000)),
        Step("three", Route.DEMAND, Act.REMIND, "two", 5, fee=eur(1000)),
    )

    def comes(intent: Intent, when: datetime) -> Evidence:
        return lost(when) if intent.channels == (Channel.EMAIL,) and intent.step == "one" else arrives(when, post=True)

    known = facts(debt(), debtor=Debtor.CONSUMER)
    host = Host(Policy("p", date(2026, 1, 1), steps), known, law, evidence=comes)
    fees = {}
    for number in range(30):
        for intent in host.run(at(day(number))).intents:
            fees[intent.step] = intent.fee
    assert host.steps == ["today", "one", "one", "two", "three"]
    assert fees == {"today": None, "one": None, "two": eur(0), "three": eur(750)}


def test_the_pack_that_the_documentation_shows_can_be_read() -> None:
    page = (PACKS.parents[3] / "docs" / "law-packs.md").read_text()
    shown = page.split("```toml\n")[1].split("```")[0]
    law = parse_pack(tomllib.loads(shown))
    assert law.version == "fr@2026-01-01"
    rule = law.interest_for(Debtor.BUSINESS, date(2026, 2, 1))
    assert rule is not None
    assert rule.points == 10
