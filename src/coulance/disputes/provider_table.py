"""The `[disputes]` table of a provider's file: the times that bind both sides, who decides what, and who mediates.

    [disputes]
    decide_days = 14       # within which we decide or ask; beyond it an alarm, and no interest
    again_days = 5         # at least this much after an answer
    answer_days = 14       # a question unanswered so long after it was seen closes the case
    open_days = 365        # how long after an invoice a customer contests it themselves
    customer_cases = 2     # cases on one line that a customer opens; more, an operator does
    grounds = ["quantity", "not_warned", "other"]    # what they choose from, in this order
    [disputes.mediation]   # who a customer can turn to; said in each decision that isn't all theirs
    name = "Geschillencommissie"
    url = "https://www.example.org"
    [[disputes.decider]]   # without one, whoever may write credit notes decides every amount
    role = "support"
    upto = ["50.00 EUR"]   # of what is contested, tax included; none: every amount

Core parses it and names every fault by its field. What is in force when a case is opened is kept with the case; who may
decide is read from the newest file, as it is about those who work here.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from coulance.platform.roles import Role
from coulance_core.catalog.faults import Fault, TermsError
from coulance_core.disputes import Policy, parse_policy

PROGRAM = "program"
"""The role of a program that decides by its token."""
ROLES = frozenset({*(role.value for role in Role), PROGRAM})


def judge(data: Mapping[str, Any]) -> Iterable[Fault]:
    """Every fault of the table, by its field."""
    try:
        parse_policy(data, roles=ROLES)
    except TermsError as error:
        yield from error.faults


def policy_of(data: Mapping[str, Any]) -> Policy:
    """The policy of a table that was applied; the usual one for none."""
    return _policy(json.dumps(data, sort_keys=True)) if data else Policy()


@lru_cache(maxsize=16)
def _policy(text: str) -> Policy:
    return parse_policy(json.loads(text), version=f"disputes@{hashlib.sha256(text.encode()).hexdigest()[:8]}")
