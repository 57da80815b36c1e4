"""Who is written to, for any contacts an account may have."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.notices.test_judgement import HOUR, NOON

from coulance_core.notices import GENESIS, MessageKind, Person, choose, evidence_hash, next_attempt, personal_digest

people = st.lists(
    st.builds(
        Person,
        ref=st.text("abcdef", min_size=1, max_size=4),
        name=st.just("N"),
        address=st.sampled_from(["", "a@x.example", "b@x.example", "B@x.example", "c@y.example"]),
        language=st.sampled_from(["en", "nl", "de"]),
        roles=st.lists(st.sampled_from(["owner", "billing", "technical", "abuse"]), max_size=2).map(tuple),
        channels=st.sampled_from([(), ("email",), ("sms",), ("email", "post")]),
        mailbox_service=st.sampled_from(["", "web-1", "web-2"]),
        may_incur_cost=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda person: person.ref,
)


@given(people, st.sampled_from(list(MessageKind)), st.sets(st.sampled_from(["web-1", "web-2"])))
def test_never_only_a_mailbox_that_the_message_is_about(
    contacts: list[Person], kind: MessageKind, about: set[str]
) -> None:
    choice = choose(contacts, kind, about=about)
    inside = {p.address.casefold() for p in contacts if p.mailbox_service in about}
    outside = [p for p in contacts if p.address and "email" in p.channels and p.address.casefold() not in inside]
    if kind is MessageKind.CONSENT:
        outside = [p for p in outside if p.may_incur_cost]
    if choice.recipients and outside:
        assert any(p.address.casefold() not in inside for p in choice.recipients)
        assert not choice.inside_only
    if choice.recipients and not outside:
        assert choice.inside_only
        assert choice.problem


@given(people, st.sampled_from(list(MessageKind)), st.sets(st.sampled_from(["A@X.example", "c@y.example"])))
def test_everybody_is_chosen_or_passed_over_and_no_address_twice(
    contacts: list[Person], kind: MessageKind, dead: set[str]
) -> None:
    choice = choose(contacts, kind, dead=dead)
    chosen = [p.address.casefold() for p in choice.recipients]
    assert len(chosen) == len(set(chosen))
    assert not set(chosen) & {address.casefold() for address in dead}
    assert all(p.address and "email" in p.channels for p in choice.recipients)
    told = {p.ref for p in choice.recipients} | {ref for ref, _ in choice.passed_over}
    assert told == {p.ref for p in contacts}
    assert choice.recipients or choice.problem
    if kind is MessageKind.CONSENT:
        assert all(p.may_incur_cost for p in choice.recipients)


def test_a_pause_is_never_shorter_than_the_one_before_and_ends() -> None:
    at, n = NOON, 0
    pauses = []
    while (again := next_attempt(attempts=(n := n + 1), first=NOON, at=at)) is not None:
        pauses.append(again - at)
        at = again
    assert all(a <= b for a, b in pairwise(pauses))
    assert 120 * HOUR <= at - NOON < 125 * HOUR
    with pytest.raises(ValueError):
        next_attempt(attempts=0, first=NOON, at=NOON)


FIELDS = {
    "party": b"p" * 16, "seq": 1, "message": "document/1/1", "delivery": "<a@b>", "kind": "queued", "at": NOON,
    "recorded_at": NOON, "fact": {"by": "x"}, "personal": personal_digest(b"s", {"to": "a@b.example"}),
    "previous": GENESIS,
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "other"),
    [("party", b"q" * 16), ("seq", 2), ("message", "document/1/2"), ("delivery", "<c@b>"), ("kind", "accepted"),
     ("at", NOON + HOUR), ("recorded_at", NOON + HOUR), ("fact", {"by": "y"}), ("previous", b"1" * 32),
     ("personal", personal_digest(b"s", {"to": "c@b.example"}))],
)  # fmt: skip
def test_whatever_is_changed_changes_the_hash(field: str, other: object) -> None:
    assert evidence_hash(**FIELDS) != evidence_hash(**{**FIELDS, field: other})  # type: ignore[arg-type]


def test_a_line_break_in_a_text_cannot_pass_for_a_field() -> None:
    sly = {**FIELDS, "message": 'document/1/1"\nkind "accepted'}
    assert evidence_hash(**sly) != evidence_hash(**FIELDS)  # type: ignore[arg-type]
