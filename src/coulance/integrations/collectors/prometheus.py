"""Prometheus, asked: the raw samples of a window, by an instant query with a range selector.

`/api/v1/query?query=metric[3600s]&time=T` answers with what was scraped, each sample at its own instant, resets
and all. `query_range` does not: it gives a value for each step, the last one seen up to five minutes before, at
instants that nobody measured; and `increase()` extrapolates. So windows are asked for by a selector, one after
another from where the last one ended: after an outage as many as it takes, each committed by itself with the cursor.
A window that holds too much for the server is halved until it doesn't.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from coulance.integrations.collectors.harvest import Harvest, Now, UnableToCollectError
from coulance.integrations.collectors.http import Api, UnableToAskSoMuchError
from coulance.integrations.prometheus.rules import translator
from coulance.integrations.prometheus.wire import Written
from coulance.usage.collecting import Expected, Progress
from coulance_core.catalog.collectors import Collector, CollectorRule, HttpAuth

SHORTEST_WINDOW_S = 60
_SAFE = re.compile(r"[A-Za-z0-9_.*+?|()\[\]:/ -]+")
"""Patterns that mean the same to Python and to Prometheus (RE2), whole; others are judged by us alone."""


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    resultType: str
    result: list[_Series]


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    errorType: str = ""
    error: str = ""
    warnings: list[str] = []


class PrometheusQuery:
    """Asks one Prometheus (or what speaks its API) for the metrics of the rules."""

    def targets(self, collector: Collector) -> tuple[str, ...]:
        """The server's address."""
        return (collector.url,)

    def ask(
        self,
        collector: Collector,
        target: str,  # noqa: ARG002 - there is one, its url
        before: Progress,
        now: Now,
        secrets: Mapping[str, str],
    ) -> Harvest:
        """The raw samples of the next window."""
        until = int(now().timestamp()) - collector.lag_s
        begin = before.cursor if before.cursor is not None else until - collector.back_fill_s
        window = min(int(before.state.get("window_s", collector.window_s)), collector.window_s)
        headers: dict[str, str] = {}
        auth = None
        if collector.auth is HttpAuth.BEARER:
            headers["Authorization"] = f"Bearer {secrets[collector.secret]}"
        elif collector.auth is HttpAuth.BASIC:
            user, _, password = secrets[collector.secret].partition(":")
            auth = (user, password)
        if until <= begin:
            return Harvest(None, Expected(()), begin, before.state)
        with Api(collector, headers, now, secret=collector.secret) as api:
            if auth:
                api.client.auth = auth
            while True:
                end = min(begin + window, until)
                try:
                    answers = [self._query(api, selector, end, end - begin) for selector in selectors(collector)]
                    break
                except UnableToAskSoMuchError:
                    if window <= SHORTEST_WINDOW_S:
                        raise
                    window = max(window // 2, SHORTEST_WINDOW_S)
        # What was too much once may be fine again: half as much more the next time.
        state = {"window_s": min(window + window // 2, collector.window_s)} if window < collector.window_s else {}
        return self._harvest(collector, answers, end, state, behind=end < until)

    def _query(self, api: Api, selector: str, end: int, length: int) -> _Answer:
        answer = api.post("/api/v1/query", _Answer, query=f"{selector}[{length}s]", time=str(end))
        if answer.status != "success":
            raise UnableToCollectError(f"{selector}: {answer.errorType or answer.status}: {answer.error}")
        if answer.data is None or answer.data.resultType != "matrix":
            kind = answer.data.resultType if answer.data else "nothing"
            raise UnableToCollectError(f"{selector}: expected a matrix of raw samples, not {kind}")
        return answer

    def _harvest(
        self, collector: Collector, answers: list[_Answer], end: int, state: Mapping[str, Any], *, behind: bool
    ) -> Harvest:
        rules = translator(collector)
        labels: list[np.ndarray[Any, np.dtype[np.int32]]] = []
        values: list[str] = []
        instants: list[float] = []
        notes: list[str] = []
        for answer in answers:
            notes += answer.warnings
            for series in answer.data.result if answer.data else ():
                if not series.metric.get("__name__"):
                    raise UnableToCollectError("a series of the answer has no name: is the url that of a Prometheus?")
                key = b"\0" + msgspec.json.encode(sorted(series.metric.items()))
                number = rules.sets.number(key, lambda metric=series.metric: metric)  # type: ignore[misc]
                labels.append(np.full(len(series.values), number, np.int32))
                instants += [at for at, _ in series.values]
                values += [value for _, value in series.values]
        try:
            numbers = np.array(values, np.str_).astype(np.float64) if values else np.empty(0)
        except ValueError as fault:
            raise UnableToCollectError(f"a sample's value is no number: {fault}") from fault
        at_ms = np.rint(np.array(instants, np.float64) * 1000).astype(np.int64)
        written = Written(np.concatenate(labels) if labels else np.empty(0, np.int32), numbers, at_ms)
        found = rules.translate(written)
        notes += [f"{fault.field}: {fault.reason}" for fault in found.faults[:5]]
        if found.halves is not None:
            one = found.halves.names[int(found.halves.series[0])]
            notes.append(f"{len(found.halves)} readings have one direction only, such as of {one}: not taken")
        return Harvest(found.columns if len(found.columns) else None, found.expected, end, state, notes, behind)


def selectors(collector: Collector) -> list[str]:
    """The series selectors that give all that the rules are about, and as little else as can be said."""
    out: dict[str, None] = {}
    for rule in collector.rules:
        for metric in rule.metrics:
            out[f"{metric}{_matchers(rule)}"] = None
    return list(out)


def _matchers(rule: CollectorRule) -> str:
    said = [f'{label}=~"{pattern}"' for label, pattern in rule.include if _SAFE.fullmatch(pattern)]
    return "{" + ",".join(said) + "}" if said else ""
