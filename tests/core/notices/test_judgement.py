"""What evidence amounts to: the bounce cases as a table, and what holds for any evidence in any order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance_core.notices import VOIDS_WITHIN, Channel, DeemedRule, Event, EvidenceKind, Judgement, Rung, judge

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

# Hours since noon: what happened to which address ("a" is verified since -100 h, "b" since +10 h, "c" never), and the
# hour asked about; then from when it is delivered, reached, and deemed (two weeks after posting), "-" for not.
CASES = """
what happened                                   asked   delivered  reached  deemed   rung
a:accepted@0                                    1       0          -        -        ACCEPTED
a:accepted@0                                    -1      -          -        -        NOTHING
a:queued@-1                                     1       -          -        -        QUEUED
a:queued@-1 a:attempted@0 a:deferred@0          1       -          -        -        ATTEMPTED
a:accepted@0 a:bounced@30                       1       -          -        -        NOTHING
a:accepted@0 a:bounced@72                       1       -          -        -        NOTHING
a:accepted@0 a:bounced@73                       1       0          -        -        ACCEPTED
a:accepted@0 a:bounced@73                       73      -          -        -        NOTHING
a:accepted@0 a:bounced@73                       72      0          -        -        ACCEPTED
a:refused@0                                     1       -          -        -        NOTHING
a:accepted@0 a:bounced@1 a:accepted@5           6       5          -        -        ACCEPTED
a:accepted@0 a:delivered@2                      3       0          -        -        DELIVERED
a:delivered@2                                   3       2          -        -        DELIVERED
a:accepted@0 a:delivered@2 a:bounced@50         3       -          -        -        NOTHING
a:accepted@0 b:accepted@0 a:bounced@1           11      10         -        -        ACCEPTED
b:accepted@0                                    9       -          -        -        ACCEPTED
b:accepted@0                                    10      10         -        -        ACCEPTED
c:accepted@0                                    99      -          -        -        ACCEPTED
c:accepted@0 c:opened@1                         99      -          -        -        ACCEPTED
c:accepted@0 c:seen@5                           99      -          5        -        SEEN
c:accepted@0 c:acknowledged@5 c:bounced@6       99      -          5        -        ACKNOWLEDGED
a:accepted@0 a:complained@5                     6       0          -        -        ACCEPTED
a:uncertain@0                                   6       -          -        -        NOTHING
p:accepted@0                                    400     -          -        -        ACCEPTED
p:accepted@0 c:accepted@0                       335     -          -        -        ACCEPTED
p:accepted@0 c:accepted@0                       336     -          -        336      ACCEPTED
p:accepted@0 c:accepted@340                     350     -          -        340      ACCEPTED
p:accepted@0 c:accepted@0 c:bounced@1           400     -          -        -        ACCEPTED
p:accepted@0 c:accepted@0 p:bounced@200         400     -          -        -        ACCEPTED
"""


def _events(text: str) -> list[Event]:
    out = []
    for one in text.split():
        delivery, _, rest = one.partition(":")
        kind, _, hour = rest.partition("@")
        channel = Channel.POST if delivery == "p" else Channel.EMAIL
        out.append(Event(EvidenceKind(kind), NOON + int(hour) * HOUR, delivery, channel))
    return out


VERIFIED = {"a": NOON - 100 * HOUR, "b": NOON + 10 * HOUR}
RULE = DeemedRule(after_posting=timedelta(days=14))


def _judge(text: str, hour: int) -> Judgement:
    return judge(_events(text), at=NOON + hour * HOUR, verified=VERIFIED, deemed=RULE)


@pytest.mark.parametrize("row", CASES.strip().splitlines()[1:])
def test_the_table_of_cases(row: str) -> None:
    *happened, asked, delivered, reached, deemed, rung = row.split()
    found = _judge(" ".join(happened), int(asked))

    def hours(instant: datetime | None) -> str:
        return "-" if instant is None else str(int((instant - NOON) / HOUR))

    assert [hours(found.delivered), hours(found.reached), hours(found.deemed), found.rung.name] == [
        delivered, reached, deemed, rung,
    ]  # fmt: skip


def test_a_returned_letter_may_count_where_the_law_says_so() -> None:
    events = _events("p:accepted@0 c:accepted@0 p:bounced@200")
    kind = DeemedRule(after_posting=timedelta(days=14), return_voids=False)
    assert judge(events, at=NOON + 400 * HOUR, deemed=kind).deemed == NOON + 336 * HOUR


kinds = st.sampled_from(list(EvidenceKind))
events = st.lists(
    st.builds(
        lambda kind, hour, delivery: Event(kind, NOON + hour * HOUR, delivery),
        kinds,
        st.integers(0, 200),
        st.sampled_from("abc"),
    ),
    max_size=12,
)


@given(events, st.integers(0, 300), st.randoms(use_true_random=False))
def test_the_order_in_which_evidence_is_given_does_not_matter(found: list[Event], hour: int, dice: object) -> None:
    shuffled = sorted(found, key=lambda _: dice.random())  # type: ignore[attr-defined]
    at = NOON + hour * HOUR
    assert judge(found, at=at, verified=VERIFIED) == judge(shuffled, at=at, verified=VERIFIED)


@given(events, st.integers(0, 300))
def test_delivered_has_an_acceptance_and_a_verified_address_and_no_early_bounce(found: list[Event], hour: int) -> None:
    at = NOON + hour * HOUR
    since = judge(found, at=at, verified=VERIFIED).delivered
    arrives = {EvidenceKind.ACCEPTED, EvidenceKind.DELIVERED}
    returns = {EvidenceKind.BOUNCED, EvidenceKind.REFUSED}

    def stands(name: str) -> bool:
        own = [e for e in found if e.delivery == name]
        for one in (e for e in own if e.kind in arrives and e.at <= at and VERIFIED[name] <= at):
            before = [e.at for e in own if e.kind in returns and e.at < one.at]
            spell = min(e.at for e in own if e.kind in arrives and e.at > max(before, default=NOON - HOUR))
            ends = [e.at for e in own if e.kind in returns and e.at >= spell]
            if not ends or (min(ends) - spell > VOIDS_WITHIN and min(ends) > at):
                return True
        return False

    assert (since is not None) == any(stands(name) for name in VERIFIED)
    if since is not None:
        assert since <= at


@given(events, events, st.integers(0, 300))
def test_more_bounces_never_make_a_message_delivered(found: list[Event], more: list[Event], hour: int) -> None:
    at = NOON + hour * HOUR
    returns = [Event(EvidenceKind.BOUNCED, e.at, e.delivery) for e in more]
    before = judge(found, at=at, verified=VERIFIED)
    after = judge([*found, *returns], at=at, verified=VERIFIED)
    assert not (before.accepted is None and after.accepted is not None)
    assert after.reached == before.reached, "a human act stays one"


def test_an_open_proves_nothing() -> None:
    assert judge(_events("a:opened@1"), at=NOON + 9 * HOUR, verified=VERIFIED).rung is Rung.NOTHING
