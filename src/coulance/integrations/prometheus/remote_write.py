"""Remote write: a request's body to committed readings."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from coulance.integrations.prometheus import wire
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


def decode(body: bytes, collector: Collector) -> tuple[wire.Written, Translated]:
    """Unpack, decode, find the series, pair. Raises `wire.NotAWriteRequestError`, `wire.TooLargeError`."""
    rules = translator(collector)
    written = wire.decode(wire.unpacked(body), rules.sets)
    return written, rules.translate(written)


def take(*, body: bytes, collector: Collector, at: datetime) -> Taken:
    """Decode a body and commit its readings, exactly once however often it is sent.

    Raises as `decode` does, and `UnableToTakeMoreError`.
    """
    written, translated = decode(body, collector)
    if translated.nothing:
        return Taken(len(written), translated, None, tuple(translated.faults), written.histograms)
    rules = translator(collector)
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
    return Taken(len(written), translated, done, (*translated.faults, *named), written.histograms)


def _name(translated: Translated, row: int) -> str:
    columns = translated.columns
    return columns.keys.names[int(columns.series[row])] if row < len(columns) else ""
