"""Whether a case can be opened: not twice at once on one line, and a second time only with something new."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from coulance_core.disputes.terms import Policy, State
from coulance_core.kernel import Refusal


class OpenRefusal(StrEnum):
    """Why a case is not opened, in their order of precedence."""

    NO_REASON = "no_reason"
    TOO_LATE = "too_late"
    OPEN_ALREADY = "open_already"
    TOO_OFTEN = "too_often"
    NEEDS_NEW_FACT = "needs_new_fact"


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier case on the same debt: which lines, how it stands, and what was said to be new then.

    `lines` is empty for a case on the debt as a whole.
    """

    id: int
    lines: frozenset[int]
    state: State
    reason: str
    new_fact: str = ""


def may_open(
    *,
    lines: Collection[int],
    reason: str,
    new_fact: str,
    issued_on: date,
    on: date,
    earlier: Sequence[Earlier],
    policy: Policy,
    by_customer: bool,
) -> Refusal | None:
    """Why this case can't be opened; none when it can. An operator is bound by neither time nor number.

    A case that was withdrawn counts: the debt was held by it. What is new has to be said in words not said before.
    """
    if not _plain(reason):
        return Refusal(OpenRefusal.NO_REASON, "say in a few words what is wrong")
    if by_customer and on - issued_on > policy.open_within:
        return Refusal(
            OpenRefusal.TOO_LATE,
            f"it was issued on {issued_on.isoformat()}, more than {policy.open_within.days} days ago: write to us",
        )
    wanted = frozenset(lines)
    same = [case for case in earlier if not case.lines or not wanted or case.lines & wanted]
    running = [case for case in same if not case.state.is_closed]
    if running:
        return Refusal(OpenRefusal.OPEN_ALREADY, f"it is contested already, in case {running[0].id}: add to that")
    if not same:
        return None
    if by_customer and len(same) >= policy.customer_cases:
        return Refusal(
            OpenRefusal.TOO_OFTEN,
            f"it was contested {len(same)} times, last in case {same[-1].id}: write to us if there is more to say",
        )
    said = {_plain(text) for case in same for text in (case.reason, case.new_fact)}
    if not _plain(new_fact) or _plain(new_fact) in said:
        return Refusal(
            OpenRefusal.NEEDS_NEW_FACT,
            f"it was contested before, in case {same[-1].id}: say what is new, that was not said then",
        )
    return None


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
