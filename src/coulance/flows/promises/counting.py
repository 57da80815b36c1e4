"""From counted requests to slots of a period, for terms of error rates.

A slot has the requests of all of a service's counts together. One in which the service was down by what an operator or
a customer showed failed whole, as did one that nobody asked anything in while probes saw it down. Where a count says
nothing of a slot, it failed whole too, unless somebody saw the service up: silence isn't success.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from coulance.sla.queries import CheckRow
from coulance.sla.rates import Rates
from coulance_core.sla.downtime import Facts
from coulance_core.sla.intervals import EMPTY, Spans, at_least, micros

_LATE = timedelta(minutes=30)
"""Counts are on their way for so long; a slot that is younger isn't silence yet."""


def with_rates(
    facts: Facts,
    checks: Sequence[CheckRow],
    known: Mapping[int, Rates],
    *,
    sure: Spans,
    seen_up: Spans,
    at: datetime,
    horizon: int | None,
    unknown: bool = True,
) -> Facts:
    """The facts with a slot for every stretch of the period. `sure`: when it was down whatever was counted.

    `unknown`: whether silence counts. `horizon`: what begins later isn't known yet, and counts as without errors.
    Without any count all slots are without requests: only what `sure` says failed.
    """
    every = (checks[0].every_s if checks else 300) * 1_000_000
    start, end = micros(facts.period.start), micros(facts.period.end)
    slots = np.arange(-(-start // every), -(-end // every), dtype=np.int64) * every
    requests, errors = np.zeros(slots.size, np.int64), np.zeros(slots.size, np.int64)
    told = np.zeros(slots.size, bool)
    silent = np.zeros(slots.size, bool)
    for check in checks:
        own = known.get(check.id)
        if own is not None and slots.size:
            where = (own.at - slots[0]) // every
            some = (where >= 0) & (where < slots.size)
            requests[where[some]] += own.requests[some]
            errors[where[some]] += own.errors[some]
            told[where[some]] = True
        silent |= _life(check, at).covers(slots)
    silent &= ~told
    down = at_least(1, EMPTY, *(outage.spans for outage in facts.outages)) - facts.suspended
    failed = sure.covers(slots) | (requests == 0) & down.covers(slots)
    if unknown and horizon is None:
        failed |= silent & ~seen_up.covers(slots)
    requests = np.where(failed, np.maximum(requests, 1), requests)
    errors = np.where(failed, requests, errors)
    if horizon is not None:
        later = slots + every > horizon
        requests[later], errors[later] = 0, 0
    return replace(facts, requests=requests, errors=errors, slots=slots)


def _life(check: CheckRow, at: datetime) -> Spans:
    since = micros(check.since)
    until = micros(min(check.until or at, at) - _LATE)
    return Spans.of([(since, until)]) if until > since else EMPTY
