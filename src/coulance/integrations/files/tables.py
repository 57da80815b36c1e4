"""CSV and Parquet with columns as `coulance.usage.columns` documents them.

CSV has a header line; names may be given for columns that are called otherwise, and a series key for files of one
series. Times without a zone are civil times of the zone that is given; in the hour that comes twice a year they are
refused, for nothing says which of the two was meant.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from coulance.integrations.files.blocks import Block, Lost, UnableToReadFileError
from coulance.usage.columns import NAMES, Rejection, from_arrow
from coulance.usage.errors import UnableToReadBatchError

BLOCK_BYTES = 8 * 1024 * 1024
BLOCK_ROWS = 200_000
_NAIVE = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?$"


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How to read a table: file's column names by ours, one series key for all rows, the zone of naive times."""

    names: Mapping[str, str] = field(default_factory=dict)
    series: str | None = None
    zone: ZoneInfo | None = None
    delimiter: str = ","


def read_csv(path: Path, options: TableOptions) -> Iterator[Block]:
    """The rows of a CSV file, a block at a time. Raises `UnableToReadFileError`."""
    wanted = {theirs: ours for ours, theirs in options.names.items()}
    header = _header(path, options.delimiter)
    names = [wanted.get(name, name.lower()) for name in header]
    missing = sorted(set(wanted) - set(header))
    if missing:
        raise UnableToReadFileError(f"{path.name}:1", f"there is no column {missing[0]!r}; it has {', '.join(header)}")
    keep = [i for i, name in enumerate(names) if name in NAMES]
    if not keep:
        raise UnableToReadFileError(f"{path.name}:1", f"expected columns such as {', '.join(NAMES)}; none is there")
    skipped: list[tuple[int, int, str]] = []

    def invalid(row: pv.InvalidRow) -> str:
        skipped.append((row.number or 0, row.actual_columns, row.text))
        return "skip"

    plain = [f"c{i}" for i in range(len(header))]
    try:
        reader = pv.open_csv(
            path,
            read_options=pv.ReadOptions(
                column_names=plain, skip_rows=1, block_size=BLOCK_BYTES, use_threads=False, encoding="utf8"
            ),
            parse_options=pv.ParseOptions(
                delimiter=options.delimiter, ignore_empty_lines=False, invalid_row_handler=invalid
            ),
            convert_options=pv.ConvertOptions(
                column_types={name: pa.string() for name in plain},
                include_columns=[plain[i] for i in keep],
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=True,
            ),
        )
        read = 0  # lines of the file before the block, the header not counted
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            now, skipped[:] = list(skipped), []
            lines = _lines(read, batch.num_rows, [number for number, *_ in now])
            read += batch.num_rows + len(now)
            table = pa.table([batch.column(i) for i in range(len(keep))], [names[i] for i in keep])
            lost = [
                Lost(f"{path.name}:{number}", f"has {have} fields; expected {len(header)}")
                for number, have, text in now
                if text.strip()
            ]
            empty = np.logical_and.reduce([np.asarray(column.is_null()) for column in table.columns])
            if empty.any():
                table, lines = table.filter(pa.array(~empty)), lines[~empty]
            block = _block(path, table, options, lines, lost)
            if empty.any():
                block.left_out["empty rows"] = int(empty.sum())
            yield block
    except (pa.ArrowException, UnicodeDecodeError) as fault:
        raise UnableToReadFileError(path.name, f"not readable as CSV in UTF-8: {fault}") from fault


def _lines(before: int, count: int, skipped: list[int]) -> np.ndarray:
    """Line numbers (from 1, the header is line 1) of `count` good rows among which some lines were skipped."""
    every = np.arange(before + 2, before + 2 + count + len(skipped))
    return every[~np.isin(every, skipped)][:count]


def _header(path: Path, delimiter: str) -> list[str]:
    try:
        with path.open("rb") as file:
            first = file.readline(65_536).decode("utf-8-sig").rstrip("\r\n")
    except OSError as fault:
        raise UnableToReadFileError(path.name, f"can't be opened: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise UnableToReadFileError(f"{path.name}:1", "not UTF-8; save it as UTF-8") from fault
    if not first.strip():
        raise UnableToReadFileError(f"{path.name}:1", f"expected a header line with {', '.join(NAMES)}")
    return [name.strip().strip('"') for name in first.split(delimiter)]


def read_parquet(path: Path, options: TableOptions) -> Iterator[Block]:
    """The rows of a Parquet file, a block at a time. Raises `UnableToReadFileError`."""
    try:
        file = pq.ParquetFile(path)
        header = file.schema_arrow.names
        wanted = {theirs: ours for ours, theirs in options.names.items()}
        missing = sorted(set(wanted) - set(header))
        if missing:
            raise UnableToReadFileError(path.name, f"there is no column {missing[0]!r}; it has {', '.join(header)}")
        names = {name: wanted.get(name, name.lower()) for name in header}
        keep = [name for name in header if names[name] in NAMES]
        read = 0
        for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=keep):
            table = pa.table([batch.column(name) for name in keep], [names[name] for name in keep])
            yield _block(path, table, options, np.arange(read + 1, read + 1 + batch.num_rows), [], word="row ")
            read += batch.num_rows
    except (pa.ArrowException, OSError) as fault:
        raise UnableToReadFileError(path.name, f"not readable as Parquet: {fault}") from fault


def _block(
    path: Path, table: pa.Table, options: TableOptions, lines: np.ndarray, lost: list[Lost], word: str = ""
) -> Block:
    if options.series is not None:
        if "series" in table.column_names:
            raise UnableToReadFileError(path.name, "has a column series; leave the option for one series away")
        table = table.append_column("series", pa.array([options.series] * table.num_rows, pa.string()))
    faults: list[Rejection] = []
    if options.zone is not None and "at" in table.column_names:
        at = table.column("at").combine_chunks()
        table = table.set_column(table.column_names.index("at"), "at", _civil(at, options.zone, faults))
    try:
        columns = from_arrow(table)
    except UnableToReadBatchError as fault:
        raise UnableToReadFileError(f"{path.name}:1" if not word else path.name, str(fault)) from fault
    doubted = {fault.row for fault in faults}
    columns.faults = faults + [fault for fault in columns.faults if fault.row not in doubted]
    return Block(columns, lambda row: f"{path.name}:{word}{int(lines[row])}", lost)


def _civil(column: pa.Array, zone: ZoneInfo, faults: list[Rejection]) -> pa.Array:
    """Naive civil times in UTC, as text or timestamps with a zone; everything else is left as it is."""
    if pa.types.is_timestamp(column.type):
        naive = column if column.type.tz is None else None
        where = np.ones(len(column), np.bool_)
    elif pa.types.is_string(column.type):
        where = np.asarray(pc.fill_null(pc.match_substring_regex(column, _NAIVE), False))
        naive = None
        if where.any():
            short = pc.replace_substring_regex(pc.if_else(pa.array(where), column, None), r"\.\d+$", "")
            naive = pc.cast(pc.replace_substring(short, "T", " "), pa.timestamp("s"))
    else:
        return column
    if naive is None:
        return column
    early = pc.assume_timezone(naive, str(zone), ambiguous="earliest", nonexistent="earliest")
    late = pc.assume_timezone(naive, str(zone), ambiguous="latest", nonexistent="latest")
    twice = np.asarray(pc.fill_null(pc.not_equal(early, late), False))
    if twice.any():
        faults.extend(
            Rejection(int(row), "at", f"this time is no single instant in {zone} (the clocks change); give an offset")
            for row in np.flatnonzero(twice)
        )
    seconds = pc.cast(pc.cast(early, pa.timestamp("s", "UTC"), safe=False), pa.int64())
    if pa.types.is_timestamp(column.type):
        return seconds
    return pc.if_else(pa.array(where), pc.cast(seconds, pa.string()), column)
