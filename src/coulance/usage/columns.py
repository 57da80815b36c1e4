"""A batch as columns: what every way in (API, files, collector) hands to ingest.

Columns, one entry a row:

    series   text      the sender's key of the series
    at       integer   epoch seconds, or an aware ISO 8601 text, or an Arrow timestamp; when the value was read
    in, out  exact     use or reading in and out; or
    value    exact     for a meter with one value
    item     text      for a unique count: the thing seen (a user, an address); `value` is then 1 (there) or -1 (gone)
    since    integer   for a counter, optional: the instant from which it counts (boot), as `at`

"Exact" is an integer, a decimal, or a text such as "12.5"; a float only when it is a whole number, for a fraction in
a float has been rounded by somebody already. Values are in the meter's unit; ingest scales them.

Building `Columns` judges what can be judged without knowing the series; faults of single rows are kept with the rest
(`faults`), faults of the batch raise `UnableToReadBatchError`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from coulance.usage.errors import UnableToReadBatchError

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

NAMES = ("series", "at", "in", "out", "value", "item", "since")
EXPECTED = "expected series, at and either in and out, or value, or item"
NO_START = np.int64(np.iinfo(np.int64).min)
"""In `since`: nothing was said."""

_MAX_KEY = 200
_MAX_ITEM = 1000


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row that was not taken: its number in the batch (from 0), the column at fault, and why."""

    row: int
    field: str
    reason: str


class Keys:
    """The distinct series keys of a batch. Senders send the same ones again and again, so work on them is kept."""

    __slots__ = ("digest", "names", "placed")

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.digest = hashlib.sha256("\x1f".join(names).encode()).digest()
        self.placed: tuple[object, NDArray[np.int32]] | None = None
        """For the series table that they were last looked up in: the position of each (see `registry`)."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(slots=True)
class Columns:
    """A decoded batch.

    `keys` are the distinct series keys and `series` each row's index into them. Values are int64; where `texts` has
    an entry for a row it holds the exact decimal text instead, until the meter's scale is known. `unsigned` says that
    values above 2**63 are uint64 bit patterns. `items` marks rows whose v_in is the digest of an item.
    """

    keys: Keys
    series: NDArray[np.int32]
    at: Int64s
    v_in: Int64s
    v_out: Int64s
    faults: list[Rejection] = field(default_factory=list)
    texts: dict[str, dict[int, str]] = field(default_factory=dict)
    unsigned: bool = False
    items: Bools | None = None
    since: Int64s | None = None

    def __len__(self) -> int:
        return len(self.at)

    def digest(self) -> bytes:
        """A hash of what was sent, by which a resend of the whole batch is recognised."""
        h = hashlib.sha256(self.keys.digest)
        for column in (self.series, self.at, self.v_in, self.v_out, self.items, self.since):
            h.update(b"\x1e" if column is None else np.ascontiguousarray(column).data)
        for name, texts in sorted(self.texts.items()):
            h.update(f"{name}{sorted(texts.items())}".encode())
        for fault in self.faults:
            h.update(repr(fault).encode())
        return h.digest()


def item_digest(item: str) -> int:
    """The stable 64-bit number (signed) that stands for an item of a unique count.

    >>> item_digest("alice@example.nl")
    5617984871639613667
    """
    return int.from_bytes(hashlib.blake2b(item.encode(), digest_size=8).digest(), "little", signed=True)


def from_arrow(table: pa.Table) -> Columns:
    """A batch from an Arrow table (IPC stream, Parquet, CSV). Faults of single rows are collected, not raised."""
    _check_names(table.column_names)
    n = table.num_rows
    faults: list[Rejection] = []
    held = {name: _one_array(table.column(name)) for name in table.column_names}
    keys, series = _keys(held["series"], faults)
    at = _instants(held["at"], "at", faults)
    texts: dict[str, dict[int, str]] = {}
    unsigned = False
    items: Bools | None = None
    v_out = np.zeros(n, np.int64)
    if "item" in held:
        v_in, items = _items(held["item"], faults)
        if "value" in held:
            sign, _, missing = _numbers(held["value"], "value", faults, texts)
            texts.pop("value", None)
            v_out = np.where(missing, 1, sign)
        else:
            v_out = np.ones(n, np.int64)
        v_out = np.where(items, v_out, 0)
        faults.extend(
            Rejection(int(row), "value", "with an item, value is 1 (there) or -1 (gone)")
            for row in np.flatnonzero(items & (np.abs(v_out) != 1))
        )
        faults.extend(
            Rejection(int(row), "item", "missing; a batch with an item column has one in every row")
            for row in np.flatnonzero(~items & (v_in == 0))
        )
    else:
        v_in = np.zeros(n, np.int64)
        missing = np.ones(n, np.bool_)
        if "in" in held:
            v_in, unsigned_in, missing = _numbers(held["in"], "in", faults, texts)
            v_out, unsigned_out, no_out = _numbers(held["out"], "out", faults, texts)
            unsigned = unsigned_in or unsigned_out
            if unsigned_in != unsigned_out:
                other, values = ("out", v_out) if unsigned_in else ("in", v_in)
                _refuse_below(np.flatnonzero(values < 0).tolist(), other, faults)
            half = missing != no_out
            if half.any():
                for row in np.flatnonzero(half):
                    name = "in" if missing[row] else "out"
                    faults.append(Rejection(int(row), name, "missing; a reading has both in and out (0 is a value)"))
        if "value" in held:
            alone, unsigned_value, no_value = _numbers(held["value"], "value", faults, texts)
            unsigned = unsigned or unsigned_value
            faults.extend(
                Rejection(int(row), "value", "given beside in and out; expected one or the other")
                for row in np.flatnonzero(~missing & ~no_value)
            )
            v_in = np.where(no_value, v_in, alone)
            for place, text in texts.pop("value", {}).items():
                texts.setdefault("in", {})[place] = text
            missing = missing & no_value
        if missing.any():
            name = "in" if "in" in held else "value"
            faults += [Rejection(int(row), name, "missing") for row in np.flatnonzero(missing)]
    since = _instants(held["since"], "since", faults, optional=True) if "since" in held else None
    return Columns(keys, series, at, v_in, v_out, faults, texts, unsigned, items, since)


def from_lists(columns: Mapping[str, Sequence[Any]]) -> Columns:
    """A batch from plain Python lists (JSON). Mixed kinds in a list are allowed; each row is judged by itself."""
    _check_names(list(columns))
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UnableToReadBatchError("columns", f"expected all columns equally long, and they are: {shown}")
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, pa.ArrowNotImplementedError):
            arrays[name] = pa.array([None if v is None else _text(v) for v in values], pa.string())
    return from_arrow(pa.table(arrays))


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return f"<{type(value).__name__}>"
    return str(value) if not isinstance(value, float) or not value.is_integer() else str(int(value))


def _check_names(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise UnableToReadBatchError("columns", f"unknown column {unknown[0]!r}; {EXPECTED}")
    if len(set(names)) != len(names):
        raise UnableToReadBatchError("columns", "a column is there twice")
    for name in ("series", "at"):
        if name not in names:
            raise UnableToReadBatchError("columns", f"there is no column {name!r}; {EXPECTED}")
    if ("in" in names) != ("out" in names):
        raise UnableToReadBatchError("columns", f"in and out come together, or value alone; {EXPECTED}")
    if not {"in", "value", "item"} & set(names):
        raise UnableToReadBatchError("columns", f"there are no values; {EXPECTED}")
    if "item" in names and "in" in names:
        raise UnableToReadBatchError("columns", "item goes with value, not with in and out")


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0) if column.num_chunks == 1 else column.combine_chunks() if column.num_chunks else _empty(column)
    )


def _empty(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([], column.type)


class _Recent:
    """The last key columns that were seen, with what was made of them. A sender's next batch mostly has the same."""

    def __init__(self, most: int, longest: int) -> None:
        self.most, self.longest = most, longest
        self.held: list[tuple[pa.Array, Keys, NDArray[np.int32]]] = []

    def find(self, column: pa.Array) -> tuple[Keys, NDArray[np.int32]] | None:
        for kept, keys, codes in self.held:
            if len(kept) == len(column) and kept.type == column.type and kept.equals(column):
                return keys, codes
        return None

    def keep(self, column: pa.Array, keys: Keys, codes: NDArray[np.int32]) -> None:
        if len(column) <= self.longest:
            self.held = [(column, keys, codes), *self.held[: self.most - 1]]


# Apart: what was made of a dictionary (of which each batch has indices of its own) says nothing of a column that
# happens to hold the same words, nor the reverse.
_RECENT_WORDS = _Recent(most=16, longest=100_000)
_RECENT_COLUMNS = _Recent(most=16, longest=100_000)


def _keys(column: pa.Array, faults: list[Rejection]) -> tuple[Keys, NDArray[np.int32]]:
    coded = pa.types.is_dictionary(column.type)
    kind = column.type.value_type if coded else column.type
    if pa.types.is_null(kind):
        column, coded = column.cast(pa.string()), False
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UnableToReadBatchError("series", f"expected text, and it is {kind}")
    words = column.dictionary if coded else column
    known = (_RECENT_WORDS if coded else _RECENT_COLUMNS).find(words)
    if known is not None:
        if not coded:
            return known
        return known[0], _codes(column.indices, faults)
    listed = column if coded else column.dictionary_encode()
    own: list[Rejection] = []
    codes = _codes(listed.indices, own)
    keys = Keys(_checked(listed.dictionary.to_pylist() or [""], codes, own))
    if not own:
        (_RECENT_WORDS if coded else _RECENT_COLUMNS).keep(words, keys, codes)
    faults += own
    return keys, codes


def _codes(index: pa.Array, faults: list[Rejection]) -> NDArray[np.int32]:
    """Each row's index into the keys; a missing one is a fault."""
    if index.null_count:
        faults += [Rejection(int(row), "series", "missing") for row in np.flatnonzero(index.is_null())]
        index = index.fill_null(0)
    return np.ascontiguousarray(index.to_numpy(zero_copy_only=False), np.int32)


def _checked(keys: list[str | None], codes: NDArray[np.int32], faults: list[Rejection]) -> list[str]:
    """The keys, with a fault for each row whose key can't be one (such a key is emptied)."""
    bad = [i for i, key in enumerate(keys) if not key or len(key) > _MAX_KEY or "\0" in key]
    if bad:
        missing = {fault.row for fault in faults}
        faults.extend(
            Rejection(int(row), "series", f"expected a key of 1 to {_MAX_KEY} characters")
            for row in np.flatnonzero(np.isin(codes, bad))
            if int(row) not in missing
        )
    emptied = set(bad)
    return [key if key and i not in emptied else "" for i, key in enumerate(keys)]


def _instants(column: pa.Array, name: str, faults: list[Rejection], *, optional: bool = False) -> Int64s:
    """Epoch seconds. A row at fault gets 0 (or NO_START for an optional column)."""
    rest = int(NO_START) if optional else 0
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise UnableToReadBatchError(name, "timestamps without a zone; expected a zone (UTC) or epoch seconds")
        seconds = column.cast(pa.timestamp("s", kind.tz), safe=False).cast(pa.int64())
    elif pa.types.is_integer(kind):
        seconds = column.cast(pa.int64(), safe=not pa.types.is_uint64(kind))
    elif pa.types.is_floating(kind):
        floats = np.asarray(column.fill_null(0).to_numpy(zero_copy_only=False), np.float64)
        whole = np.isfinite(floats) & (np.abs(floats) <= 2.0**53) & (np.floor(floats) == floats)
        faults.extend(
            Rejection(int(row), name, f"expected whole epoch seconds, not {column[int(row)].as_py()!r}")
            for row in np.flatnonzero(~whole)
        )
        there = np.asarray(column.is_valid(), np.bool_)
        seconds = pa.array(np.where(whole, floats, 0).astype(np.int64), mask=~there)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _instants_of_text(column, name, faults, rest=rest, optional=optional)
    elif pa.types.is_null(kind):
        seconds = column.cast(pa.int64())
    else:
        raise UnableToReadBatchError(name, f"expected epoch seconds, ISO 8601 text or timestamps, and it is {kind}")
    if seconds.null_count:
        if not optional:
            faults += [Rejection(int(row), name, "missing") for row in np.flatnonzero(seconds.is_null())]
        seconds = seconds.fill_null(rest)
    return np.asarray(seconds.to_numpy(zero_copy_only=False), np.int64)


def _instants_of_text(column: pa.Array, name: str, faults: list[Rejection], *, rest: int, optional: bool) -> Int64s:
    if not column.null_count and len(column):
        try:
            return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
        except pa.ArrowInvalid:
            pass
        try:  # the usual form, for all rows at once; a zone is demanded, so that nothing is guessed
            zoned = pc.match_substring_regex(column, r"([zZ]|[+-]\d\d:?\d\d)$")
            if pc.all(zoned).as_py():
                whole = pc.cast(column, pa.timestamp("s", "UTC")).cast(pa.int64())
                return np.asarray(whole.to_numpy(zero_copy_only=False), np.int64)
        except pa.ArrowInvalid:
            pass
    out = np.full(len(column), rest, np.int64)
    for row, text in enumerate(column.to_pylist()):
        if text is None or text == "":
            if not optional:
                faults.append(Rejection(row, name, "missing"))
            continue
        if text.removeprefix("-").isdecimal() and len(text) < 19:
            out[row] = int(text)
            continue
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            faults.append(Rejection(row, name, f"expected epoch seconds or an ISO 8601 time, not {text[:40]!r}"))
            continue
        if instant.tzinfo is None:
            faults.append(Rejection(row, name, f"the time {text!r} has no zone; add Z or an offset such as +01:00"))
            continue
        out[row] = int(instant.timestamp())
    return out


def _numbers(
    column: pa.Array, name: str, faults: list[Rejection], texts: dict[str, dict[int, str]]
) -> tuple[Int64s, bool, Bools]:
    """(values, whether any is above 2**63, which rows are missing). Fractions go to `texts`, to be scaled later."""
    kind = column.type
    missing = np.asarray(column.is_null(), np.bool_) if column.null_count else np.zeros(len(column), np.bool_)
    if pa.types.is_integer(kind):
        filled = column.fill_null(0) if column.null_count else column
        values = filled.to_numpy(zero_copy_only=False)
        if pa.types.is_uint64(kind):
            view = values.view(np.int64)
            return view, bool((view < 0).any()), missing
        return values.astype(np.int64, copy=False), False, missing
    if pa.types.is_null(kind):
        return np.zeros(len(column), np.int64), False, np.ones(len(column), np.bool_)
    if pa.types.is_floating(kind):
        floats = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
        with np.errstate(invalid="ignore"):
            bad = ~(np.isfinite(floats) & (np.floor(floats) == floats) & (np.abs(floats) <= 2.0**53))
        for row in np.flatnonzero(bad):
            reason = f'{floats[row]!r} is a float; expected an integer, or a decimal as text such as "12.5"'
            faults.append(Rejection(int(row), name, reason.replace("np.float64(", "").replace(")", "", 1)))
        return np.where(bad, 0, floats).astype(np.int64), False, missing
    if pa.types.is_decimal(kind):
        column = column.cast(pa.string())
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UnableToReadBatchError(name, f"expected integers, decimals or decimal text, and it is {kind}")
    return _numbers_of_text(column, name, faults, texts, missing)


def _numbers_of_text(
    column: pa.Array, name: str, faults: list[Rejection], texts: dict[str, dict[int, str]], missing: Bools
) -> tuple[Int64s, bool, Bools]:
    try:
        whole = column.fill_null("0").cast(pa.int64())
        return np.asarray(whole.to_numpy(zero_copy_only=False), np.int64), False, missing
    except pa.ArrowInvalid:
        pass
    out = np.zeros(len(column), np.uint64)
    unsigned = False
    mine: dict[int, str] = {}
    below: list[int] = []
    for row, text in enumerate(column.to_pylist()):
        if text is None or text == "":
            missing[row] = True
            continue
        try:
            value = Decimal(text)
        except InvalidOperation:
            faults.append(Rejection(row, name, f"expected a number, not {text[:40]!r}"))
            continue
        if not _fits(value):
            faults.append(Rejection(row, name, f"{text[:40]} is out of range"))
        elif value == value.to_integral_value():
            unsigned = unsigned or value >= 2**63
            if value < 0:
                below.append(row)
            if value < -(2**63):
                faults.append(Rejection(row, name, f"{text[:40]} is out of range"))
            else:
                out[row] = int(value) % 2**64
        else:
            mine[row] = text
    if mine:
        texts[name] = mine
    if unsigned:
        _refuse_below(below, name, faults)
    return out.view(np.int64), unsigned, missing


def _fits(value: Decimal) -> bool:
    """Whether a column can hold a value; judged by its exponent first, for 1e999999999 can't be computed."""
    if not value.is_finite() or value.adjusted() >= 20:
        return False
    return abs(value) < 2**64 and -int(value.as_tuple().exponent) <= 40


def _refuse_below(rows: Iterable[int], name: str, faults: list[Rejection]) -> None:
    """Beside readings above 2**63 a negative number would be taken for one of them: the bits are the same."""
    faults.extend(Rejection(row, name, "negative; a counter's reading never is") for row in rows)


def _items(column: pa.Array, faults: list[Rejection]) -> tuple[Int64s, Bools]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise UnableToReadBatchError("item", f"expected text, and it is {column.type}")
    coded = column.dictionary_encode()
    words = coded.dictionary.to_pylist()
    long = [i for i, word in enumerate(words) if not word or len(word) > _MAX_ITEM]
    table = np.array([item_digest(word) for word in words] or [0], np.int64)
    there = ~np.asarray(coded.indices.is_null(), np.bool_)
    codes = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    faults.extend(
        Rejection(int(row), "item", f"expected 1 to {_MAX_ITEM} characters")
        for row in np.flatnonzero(np.isin(codes, long) & there)
    )
    return np.where(there, table[codes], 0), there


def part_of(columns: Columns, which: Int64s) -> pa.Table:
    """Some rows as an Arrow table that `restored` reads back; how quarantine keeps what nobody can scale yet."""
    texts = {
        name: pa.array([columns.texts.get(name, {}).get(row) for row in which.tolist()], pa.string())
        for name in ("in", "out")
        if columns.texts.get(name)
    }
    held: dict[str, Any] = {"at": columns.at[which], "v_in": columns.v_in[which], "v_out": columns.v_out[which]}
    if columns.items is not None:
        held["items"] = columns.items[which]
    if columns.since is not None:
        held["since"] = columns.since[which]
    held |= {f"text_{name}": column for name, column in texts.items()}
    return pa.table(held).replace_schema_metadata({"unsigned": "1" if columns.unsigned else "0"})


def restored(key: str, table: pa.Table) -> Columns:
    """The reverse of `part_of`, for the rows of one series key."""

    def held(name: str) -> Any:
        return np.asarray(table.column(name).to_numpy()) if name in table.column_names else None

    texts: dict[str, dict[int, str]] = {}
    for name in ("in", "out"):
        if f"text_{name}" in table.column_names:
            column = table.column(f"text_{name}").to_pylist()
            texts[name] = {row: text for row, text in enumerate(column) if text is not None}
    return Columns(
        keys=Keys([key]),
        series=np.zeros(table.num_rows, np.int32),
        at=held("at"),
        v_in=held("v_in"),
        v_out=held("v_out"),
        texts=texts,
        unsigned=(table.schema.metadata or {}).get(b"unsigned") == b"1",
        items=held("items"),
        since=held("since"),
    )
