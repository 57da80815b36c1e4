"""Remote write: a request's body to committed readings."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coulance.integrations.prometheus import wire, wire_2
from coulance.integrations.prometheus.rules import Translated, translator
from coulance.usage import operations
from coulance.usage.collecting import Written
from coulance.usage.columns import Rejection
from coulance_core.catalog.collectors import Collector


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request: samples in it, what was committed, what was refused (by metric and series)."""

    samples: int
    translated: Translated
    written: Written | None
    refused: tuple[Rejection, ...]
    histograms: int = 0
    unused_histograms: int = 0
    """Native histograms that no rule names."""

    @property
    def samples_written(self) -> int:
        """Samples that are committed, or left as the rules say: all but those refused."""
        return max(self.samples - len(self.refused), 0)


class Protocol(StrEnum):
    """Versions of the message, by the name that a request gives it."""

    V1 = "prometheus.WriteRequest"
    V2 = "io.prometheus.write.v2.Request"


def decode(body: bytes, collector: Collector, protocol: Protocol = Protocol.V1) -> tuple[wire.Written, Translated]:
    """Unpack, decode, find the series, pair. Raises `wire.NotAWriteRequestError`, `wire.TooLargeError`."""
    rules = translator(collector)
    message = wire.unpacked(body)
    if protocol is Protocol.V2:
        written = wire_2.decode(message, rules.sets, rules.symbols)
    else:
        written = wire.decode(message, rules.sets)
    return written, rules.translate(written)


def take(*, body: bytes, collector: Collector, at: datetime, protocol: Protocol = Protocol.V1) -> Taken:
    """Decode a body and commit its readings, exactly once however often it is sent.

    Raises as `decode` does, and `UnableToTakeMoreError`.
    """
    written, translated = decode(body, collector, protocol)
    rules = translator(collector)
    counts = (len(written.histograms), rules.unused_histograms(written))
    if translated.nothing:
        return Taken(written.sent, translated, None, tuple(translated.faults), *counts)
    done = operations.take_written(
        collector=collector.key,
        columns=translated.columns,
        halves=translated.halves,
        expected=translated.expected,
        meters=rules.meters,
        digest=hashlib.sha256(body).digest(),
        max_wait_s=collector.max_wait_s,
        at=at,
    )
    named = [
        Rejection(fault.row, f"{_name(translated, fault.row)} {fault.field}".strip(), fault.reason)
        for fault in done.answer.rejected
    ]
    return Taken(written.sent, translated, done, (*translated.faults, *named), *counts)


def _name(translated: Translated, row: int) -> str:
    columns = translated.columns
    return columns.keys.names[int(columns.series[row])] if row < len(columns) else ""
