"""What evidence comes to at the edges of a period, without a database."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from coulance.flows.promises import measuring
from coulance.flows.promises.terms import Promised
from coulance.sla.looks import Stream
from coulance.sla.queries import CheckRow
from coulance_core.kernel import Period
from coulance_core.sla.downtime import MINUTE, downtime
from coulance_core.sla.evidence import Quorum
from coulance_core.sla.intervals import Spans, micros
from coulance_core.sla.terms import Multiple, UptimeTerms

EDGE = datetime(2026, 6, 1, tzinfo=UTC)
MAY, JUNE = Period(EDGE - timedelta(days=31), EDGE), Period(EDGE, EDGE + timedelta(days=30))
CHECK = CheckRow(1, 7, "http", "", 60, 5, {}, (), False, MAY.start - timedelta(days=9), None)


@pytest.mark.parametrize("shortest", [{"terms": 15}, {"quorum": 15}])
def test_an_outage_over_midnight_of_the_month_s_end_counts_in_both_by_its_whole_length(
    shortest: dict[str, int],
) -> None:
    """Down from 23:50 to 00:10, where what lasts no longer than 15 minutes is forgiven."""
    at = np.arange(micros(EDGE) - 60 * MINUTE, micros(EDGE) + 60 * MINUTE, MINUTE)
    stream = Stream(1, 1, at, ~Spans.of([(micros(EDGE) - 10 * MINUTE, micros(EDGE) + 10 * MINUTE)]).covers(at))
    nothing: Any = SimpleNamespace(distrusted=())
    known = measuring.Evidence({7: [CHECK]}, {1: [stream]}, {}, {}, {}, {}, (), nothing)
    terms = UptimeTerms("v1", Fraction(100), (Multiple(Fraction(1)),), shortest=shortest.get("terms", 0) * MINUTE)
    promise: Any = SimpleNamespace(terms=terms, quorum=Quorum(3 * MINUTE, shortest=shortest.get("quorum", 0) * MINUTE))
    owner: Any = SimpleNamespace(id=7, zone="UTC")
    found = []
    for period in (MAY, JUNE):
        one = Promised(owner, owner, promise, f"{period.start:%Y-%m}", period, Spans.of_periods([period]))
        facts = measuring.facts_of(one, known, EDGE + timedelta(days=40))
        pieces = downtime(terms, facts).pieces
        found.append([p.length // MINUTE for p in pieces if p.key.startswith("check")])
    assert found == [[10], [10]]
