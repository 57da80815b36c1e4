"""Consents: who may give them, when they hold, and that a word once given stays as it was."""

from datetime import UTC, timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.overage import operations, queries
from coulance.overage.operations import Rule, UnableToConsentError
from coulance_core.kernel import Money, Period
from coulance_core.overage.terms import Limit, Span
from tests.closing.world import World
from tests.overage.world import ANNA, account_id, acknowledge, at, consent, contact, customer, meter, verify

OCTOBER = Period(at("2026-10-01"), at("2026-11-01"))


@pytest.fixture
def acme(world: World) -> World:
    customer(world).service("s1", "vps", meter="traffic")
    return world


def _facts() -> Any:
    return queries.facts_for(meter=meter(), period=OCTOBER, period_name="2026-10", unit_name="GB")


def test_a_consent_is_recorded_as_it_was_shown(acme: World) -> None:
    given = consent("2026-10-05T12:00", amount="50.00", quantity=412)
    (row,) = queries.consents(account=account_id())
    assert (row.id, row.limit, row.unit) == (given.id, Limit(Money.of("50.00", "EUR"), Fraction(412)), "GB")
    assert given.dormant
    assert not given.pending
    assert (row.contact, row.address, row.how, row.came_from) == ("anna", ANNA, "portal", "192.0.2.7")
    assert row.terms == "vps@2025-01-01"
    assert row.span == Span(at("2026-10-05T12:00"))


def test_the_next_one_supersedes_and_a_withdrawal_ends(acme: World) -> None:
    first = consent("2026-10-05", amount="50.00")
    second = consent("2026-10-09", amount="80.00")
    assert second.superseded == first.id
    operations.withdraw_consent(consent=second.id, actor="customer:anna", reason="enough", at=at("2026-10-20"))
    old, new = queries.consents(account=account_id())
    assert (old.span, old.ended_why) == (Span(at("2026-10-05"), at("2026-10-09")), "superseded")
    assert (new.span, new.ended_why) == (Span(at("2026-10-09"), at("2026-10-20")), "withdrawn")
    with pytest.raises(UnableToConsentError, match="ended") as caught:
        operations.withdraw_consent(consent=second.id, actor="customer:anna", reason="again", at=at("2026-10-21"))
    assert caught.value.rule is Rule.NOT_IN_FORCE
    held = [
        queries.consent_in_force(meter=meter(), at=at(day), period_name="2026-10")
        for day in ("2026-10-04", "2026-10-05", "2026-10-09", "2026-10-20")
    ]
    assert [row.id if row else None for row in held] == [None, first.id, second.id, None]


def test_only_who_may_incur_cost_consents(acme: World) -> None:
    contact("bob", may=False, email="bob@bakery.example")
    for who, rule in (("bob", Rule.CONTACT_MAY_NOT_INCUR_COST), ("carla", Rule.NO_SUCH_CONTACT)):
        with pytest.raises(UnableToConsentError) as caught:
            consent("2026-10-05", amount="50.00", by=who)
        assert caught.value.rule is rule
    assert not queries.consents(account=account_id())


def test_never_below_what_is_used(acme: World) -> None:
    with pytest.raises(UnableToConsentError, match="120 GB past the allowance are used already") as caught:
        consent("2026-10-05", quantity=100, used=Fraction(120))
    assert caught.value.rule is Rule.BELOW_USE
    with pytest.raises(UnableToConsentError, match=r"choose 14\.52 EUR or more"):
        consent("2026-10-05", amount="14.51", used_amount=Money.of("14.52", "EUR"))
    assert consent("2026-10-05", quantity=120, used=Fraction(120)).id


def test_a_large_limit_waits_for_approval_and_the_earlier_stays(world: World) -> None:
    customer(world, more='approval_above = "500.00 EUR"\nreachable_above = "200.00 EUR"\n')
    world.service("s1", "vps", meter="traffic")
    small = consent("2026-10-02", amount="50.00")
    with pytest.raises(UnableToConsentError) as caught:
        consent("2026-10-03", amount="200.01")
    assert caught.value.rule is Rule.CONTACT_NOT_REACHABLE
    verify("2026-10-04")
    large = consent("2026-10-05", amount="500.01")
    assert large.pending
    assert [row.id for row in queries.pending()] == [large.id]
    inforce = queries.consent_in_force(meter=meter(), at=at("2026-10-06"), period_name="2026-10")
    assert inforce is not None
    assert inforce.id == small.id
    with pytest.raises(UnableToConsentError, match="say why"):
        operations.decide_consent(consent=large.id, approve=True, actor="operator:eva", reason=" ", at=at("2026-10-07"))
    decided = operations.decide_consent(
        consent=large.id, approve=True, actor="operator:eva", reason="pays on time", at=at("2026-10-07")
    )
    assert decided.superseded == small.id
    old, new = queries.consents(account=account_id())
    assert old.span == Span(at("2026-10-02"), at("2026-10-07"))
    assert new.span == Span(at("2026-10-07"))
    refused = consent("2026-10-08", amount="900.00")
    operations.decide_consent(
        consent=refused.id, approve=False, actor="operator:eva", reason="too much", at=at("2026-10-09")
    )
    assert queries.consents(account=account_id())[-1].span is None
    assert not queries.pending()
    with pytest.raises(UnableToConsentError, match="does not wait"):
        operations.decide_consent(
            consent=refused.id, approve=True, actor="operator:eva", reason="yes", at=at("2026-10-10")
        )


def _take_over(key: str = "whmcs:7", when: str = "2026-10-01T09:00") -> Any:
    row = operations.NewConsent(
        account=account_id(), contact="anna", scope=operations.Scope(meter().services[0]),
        limit=Limit(Money.of("30.00", "EUR"), None), unit="", shown=operations.Shown("vps@2025-01-01"), how="import",
    )  # fmt: skip
    return operations.take_over_consent(
        new=row, source_key=key, at=at(when), actor="cli:root", reason="clause 7 of the old contract"
    )


def test_a_limit_taken_over_counts_its_contact_until_it_lapses(acme: World) -> None:
    first = _take_over()
    assert first.new
    assert not _take_over().new
    assert _take_over().id == first.id
    (facts,) = _facts().consents
    until = at("2026-10-01T09:00").astimezone(UTC) + timedelta(days=60)
    assert facts.in_force == Span(at("2026-10-01T09:00"), until)
    assert facts.verified == (Span(at("2026-10-01T09:00")),)
    assert operations.lapse_provisional(at=until - timedelta(seconds=1)) == []
    assert operations.lapse_provisional(at=until + timedelta(days=3)) == [first.id]
    (row,) = queries.consents(account=account_id())
    assert (row.ended_why, row.ended_at) == ("lapsed", until)


def test_a_customers_own_word_outranks_what_was_taken_over(acme: World) -> None:
    own = consent("2026-10-01", amount="50.00")
    assert _take_over() is None
    assert [row.id for row in queries.consents(account=account_id())] == [own.id]


def test_verified_spans_end_with_a_bounce_and_go_on_when_released(acme: World) -> None:
    consent("2026-10-02", amount="50.00")
    assert _facts().consents[0].verified == ()
    verify("2026-10-03")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notices_dead_address (address, since, why) VALUES (%s, %s, 'no such mailbox')",
            [ANNA, at("2026-10-10")],
        )
    assert _facts().consents[0].verified == (Span(at("2026-10-03"), at("2026-10-10")),)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notices_dead_address SET released_at = %s, released_by = 'operator:eva', release_reason = 'mended'",
            [at("2026-10-12")],
        )
    assert _facts().consents[0].verified == (Span(at("2026-10-03"), at("2026-10-10")), Span(at("2026-10-12")))


def test_the_nearest_consent_counts_and_one_limit_is_shared(acme: World) -> None:
    acme.service("s2", "vps", meter="traffic").service("s3", "vps", meter="traffic")
    whole = consent("2026-10-02", amount="50.00", service=None)
    own = consent("2026-10-03", amount="5.00", service="s2")
    groups = queries.groups_for(
        meters=[meter(name) for name in ("s1", "s2", "s3")], period=OCTOBER, period_name="2026-10",
        units={f"{name}/out": "GB" for name in ("s1", "s2", "s3")},
    )  # fmt: skip
    shown = sorted(([m.key for m in g.meters], [c.ref for c in g.by_meter[g.meters[0].key].consents]) for g in groups)
    assert shown == [(["s1/out", "s3/out"], [str(whole.id)]), (["s2/out"], [str(own.id)])]


def test_a_periods_own_word_goes_before_a_standing_one(acme: World) -> None:
    consent("2026-10-02", amount="50.00")
    october = consent("2026-10-03", amount="5.00", period="2026-10")
    assert [c.ref for c in _facts().consents][-1] == str(october.id)
    later = queries.consent_in_force(meter=meter(), at=at("2026-11-03"), period_name="2026-11")
    assert later is not None
    assert later.id != october.id


def test_an_acknowledgement_is_a_warning_that_reached(acme: World) -> None:
    assert _facts().warned == ()
    assert _facts().acknowledged == ()
    acknowledge("2026-10-05T10:00", how="operator")
    acknowledge("2026-10-05T10:00", how="operator")
    assert _facts().warned == (Span(at("2026-10-05T10:00")),)
    assert _facts().acknowledged == (at("2026-10-05T10:00"),)


def test_a_limit_in_another_unit_is_the_same_limit(acme: World) -> None:
    consent("2026-10-02", quantity=2, unit="TB")
    assert _facts().consents[0].limit.quantity == 2000


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE overage_consent SET amount = 999999",
        "UPDATE overage_consent SET given_at = given_at - interval '1 day'",
        "UPDATE overage_consent SET contact = 'mallory', ended_at = now(), ended_why = 'withdrawn', ended_by = 'x'",
        "UPDATE overage_consent SET text_shown = 'You owe us', text_hash = repeat('0', 64)",
        "UPDATE overage_consent SET approved = true, decided_at = now(), decided_by = 'x', decision_reason = 'y'",
        "DELETE FROM overage_consent",
        "TRUNCATE overage_consent",
        (
            "INSERT INTO overage_consent (account_id, scope, amount, currency, typed, terms, text_hash, contact,"
            " address, how, given_at, given_by) SELECT account_id, 'account', 1, 'EUR', 'amount', 'v', repeat('0', 64),"
            " 'anna', '', 'portal', now(), 'x' FROM overage_consent"
        ),
        (
            "INSERT INTO overage_consent (account_id, scope, service_id, amount, currency, typed, terms, text_hash,"
            " contact, address, how, given_at, given_by) SELECT account_id, 'service', service_id, 1, 'EUR', 'amount',"
            " 'v', encode(sha256(''), 'hex'), 'anna', '', 'portal', now(), 'x' FROM overage_consent"
        ),
        "UPDATE overage_acknowledgement SET at = at - interval '1 day'",
        "DELETE FROM overage_warning",
        "UPDATE overage_warning SET message = 'another'",
        "UPDATE overage_attack SET until = until + interval '1 day'",
        "DELETE FROM overage_attack",
        "UPDATE overage_settlement SET billable = '1000'",
    ],
)
def test_the_database_refuses_to_change_what_was_said(acme: World, attack: str) -> None:
    consent("2026-10-02", amount="50.00")
    acknowledge("2026-10-05T10:00")
    operations.record_warning(
        meter=meter(), period_name="2026-10", threshold="100 %", counts=True, used=Fraction(100), at=at("2026-10-04")
    )
    operations.record_attack(
        service=meter().services[0], start=at("2026-10-06"), until=at("2026-10-07"), evidence="flow 7",
        actor="operator:eva", reason="flood", at=at("2026-10-08"),
    )  # fmt: skip
    operations.record_settlements(
        new=[
            operations.NewSettlement(
                meter(), "2026-10", "GB", Fraction(150), Fraction(100), Fraction(50), Fraction(0), {},
                Money.of("5.00", "EUR"), Money.of("5.00", "EUR"), observed=False,
            )
        ],
        at=at("2026-11-04"),
    )  # fmt: skip
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(attack)
    (row,) = queries.consents(account=account_id())
    assert row.limit.amount == Money.of("50.00", "EUR")
    assert row.ended_at is None


def test_settlements_are_revised_not_edited_and_add_up_to_a_budget(acme: World) -> None:
    def settle(cost: str, when: str) -> None:
        operations.record_settlements(
            new=[
                operations.NewSettlement(
                    meter(), "2026-10", "GB", Fraction(150), Fraction(100), Fraction(50), Fraction(0), {},
                    Money.of(cost, "EUR"), Money.of(cost, "EUR"), observed=False,
                )
            ],
            at=at(when),
        )  # fmt: skip

    settle("5.00", "2026-11-04")
    settle("6.50", "2026-12-04")
    (row,) = queries.settlements(account=account_id())
    assert (row.revision, row.cost) == (2, Money.of("6.50", "EUR"))
    assert queries.budget_spent(account=account_id(), at=at("2026-12-31")) == Money.of("6.50", "EUR")
    assert queries.budget_spent(account=account_id(), at=at("2028-01-01")) is None


def test_an_attack_is_withdrawn_with_a_reason(acme: World) -> None:
    service = meter().services[0]
    number = operations.record_attack(
        service=service, start=at("2026-10-06"), until=at("2026-10-07"), evidence="flow 7", at_most=Fraction(80),
        in_unit="GB", actor="operator:eva", reason="flood", at=at("2026-10-08"),
    )  # fmt: skip
    assert [(a.id, a.at_most, a.unit) for a in queries.attacks(services=[service], period=OCTOBER)] == [
        (number, Fraction(80), "GB")
    ]
    operations.withdraw_attack(attack=number, actor="operator:eva", reason="a backup", at=at("2026-10-09"))
    assert not queries.attacks(services=[service])
