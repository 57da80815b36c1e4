"""Suite `counters`: readings of a counter with wraps, resets and missed polls, and what was truly used.

Ours, without any evidence besides the readings, must be exact wherever an interval is plain, wrapped or spread over a
gap, and where it is in doubt flagged and never more than was used. rrdtool's COUNTER and DERIVE with minimum 0 must
come out as rrdtool gave them, by the vendor policies. DERIVE without a minimum gives negative use: none of ours.
"""

from pathlib import Path
from typing import Any

import numpy as np

from coulance_core.catalog.terms import GapPolicy, ResetPolicy
from coulance_core.usage.counters import CounterPolicy, Deltas, Flag, to_deltas
from coulance_core.usage.slots import Grid, to_slots
from coulance_core.usage.vendors import VendorPolicy, vendor_deltas
from tests.oracles.fields import field, number
from tests.oracles.protocol import MalformedCaseError, Outcome

_VENDOR = {"COUNTER": VendorPolicy.RRDTOOL_COUNTER, "DERIVE:min0": VendorPolicy.RRDTOOL_DERIVE_MIN_0}
_FEW = 5


def run(case: dict[str, Any], data: Path | None) -> Outcome:
    """Both questions about one series of readings."""
    at, raw = _readings(case)
    step = case.get("step", int(np.diff(at).min()) if at.size > 1 else 300)
    if not isinstance(step, int) or step < 1:
        raise MalformedCaseError(f"field 'step' is {step!r}: expected seconds, at least 1")
    wrong: list[tuple[str, Any, Any]] = []
    checked = False
    if "true_bytes_per_slot" in case:
        checked = True
        wrong += _against_truth(case, at, raw, step)
    for key, block in case.items():
        if not key.startswith("rrdtool"):
            continue
        if not isinstance(block, dict):
            raise MalformedCaseError(f"field {key!r} is {block!r}: expected rates by data source type")
        for name, policy in _VENDOR.items():
            if name in block:
                checked = True
                rates = field(block, name, list, "a list of rates")
                wrong += _against_vendor(name, policy, rates, at, raw, step)
    if not checked:
        return Outcome.skipped("neither true_bytes_per_slot nor a vendor's rates that we reproduce")
    if not wrong:
        return Outcome.passed()
    shown = wrong[:_FEW]
    more = f"{len(wrong)} wrong, the first {len(shown)} shown" if len(wrong) > _FEW else ""
    return Outcome.failed({w: e for w, e, _ in shown}, {w: g for w, _, g in shown}, more)


def _readings(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """(instants, uint64 patterns as int64). A reading of null or "U" is a poll that was missed."""
    samples = field(case, "samples", list, "a list of {t, counter}")
    at, raw = [], []
    for i, sample in enumerate(samples):
        if not isinstance(sample, dict):
            raise MalformedCaseError(f"samples[{i}] is {sample!r}: expected {{t, counter}}")
        t = field(sample, "t", int, f"epoch seconds (samples[{i}])")
        value = sample.get("counter", ...)
        if value is ...:
            raise MalformedCaseError(f"samples[{i}] has no field 'counter'")
        if value is None or value == "U":
            continue
        exact = number(value, f"samples[{i}].counter")
        if exact.denominator != 1 or not 0 <= exact < 2**64:
            raise MalformedCaseError(f"samples[{i}].counter is {value!r}: expected a whole number below 2^64")
        if at and t <= at[-1]:
            raise MalformedCaseError(f"samples[{i}].t is {t}: expected an instant after {at[-1]}")
        at.append(t)
        raw.append(int(exact))
    return np.array(at, np.int64), np.array(raw, np.uint64).view(np.int64)


def _against_truth(case: dict[str, Any], at: np.ndarray, raw: np.ndarray, step: int) -> list[tuple[str, Any, Any]]:
    truth = [int(number(v, f"true_bytes_per_slot[{i}]")) for i, v in enumerate(case["true_bytes_per_slot"])]
    if not at.size:
        raise MalformedCaseError("no readings to compare with true_bytes_per_slot")
    if (at - at[0]).max() > len(truth) * step or ((at - at[0]) % step).any():
        raise MalformedCaseError(f"readings are not on the {len(truth)} slots of {step} s that true_bytes_per_slot has")
    bits = case.get("bits")
    if bits not in (None, 32, 64):
        raise MalformedCaseError(f"field 'bits' is {bits!r}: expected 32 or 64")
    policy = CounterPolicy(bits, None, step, GapPolicy.SPREAD, ResetPolicy.SINCE_ZERO)
    deltas = to_deltas(at, raw, policy)
    slots = to_slots(deltas, Grid(int(at[0]), len(truth), step)).value[0]
    wrong: list[tuple[str, Any, Any]] = []
    edges = ((deltas.start - at[0]) // step).tolist(), ((deltas.at - at[0]) // step).tolist()
    for i, (low, high) in enumerate(zip(*edges, strict=True)):
        used, value, flags = sum(truth[low:high]), int(deltas.value[i]), Flag(int(deltas.flags[i]))
        where = f"slot {low}" if high == low + 1 else f"slots {low} to {high - 1}"
        if int(slots[low:high].sum()) != value:
            wrong.append((f"{where} together", value, int(slots[low:high].sum())))
        if value != used and not (flags & (Flag.RESET | Flag.UNKNOWN | Flag.WRAP) and value < used):
            wrong.append((where, used, f"{value} ({_words(deltas, i)})"))
    return wrong


def _words(deltas: Deltas, i: int) -> str:
    return Flag(int(deltas.flags[i])).name or "plain"


def _against_vendor(
    name: str, policy: VendorPolicy, rates: list[Any], at: np.ndarray, raw: np.ndarray, step: int
) -> list[tuple[str, Any, Any]]:
    pattern = raw.view(np.uint64)
    start, end = at[:-1], at[1:]
    amount, known = vendor_deltas(start, end, pattern[:-1], pattern[1:], policy, max(600, 2 * step))
    got = ["unknown"] * len(rates)
    for i in range(start.size):
        low, high = (int(start[i]) - int(at[0])) // step, (int(end[i]) - int(at[0])) // step
        for slot in range(low, min(high, len(rates))):
            if known[i]:
                got[slot] = f"{int(amount[i]) / int(end[i] - start[i]):.10e}"
    wrong = []
    for slot, (expected, ours) in enumerate(zip(rates, got, strict=True)):
        if expected is None or (isinstance(expected, str) and expected.strip("+-").lower() in ("nan", "u")):
            if ours != "unknown":
                wrong.append((f"{name} slot {slot}", "unknown", ours))
        elif ours == "unknown" or not _as_printed(number(expected, f"{name}[{slot}]"), float(ours)):
            wrong.append((f"{name} slot {slot}", expected, ours))
    return wrong


def _as_printed(expected: Any, got: float) -> bool:
    """Equal to the eleven digits that rrdtool prints; one off in the last, since it rounds along the way."""
    return abs(float(expected) - got) <= 2e-10 * max(abs(float(expected)), abs(got))
