"""In and out that come apart: each reading of one direction finds the one of the other at the same instant.

Prometheus sends what it scraped over several connections, so that the two halves of a reading may arrive in different
requests, in any order, minutes apart after a jam. A half waits in the database, committed like everything that was
acknowledged, until the other comes or its time is over.
"""

import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]

IN, OUT = 0, 1
"""A half's direction."""


@dataclass(frozen=True, slots=True)
class Halves:
    """Readings of one direction each: series key (index into `names`), instant, value, `IN` or `OUT`."""

    names: list[str]
    series: Int32s
    at: Int64s
    value: Int64s
    side: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, which: NDArray[np.intp]) -> "Halves":
        """Some of them."""
        return Halves(self.names, self.series[which], self.at[which], self.value[which], self.side[which])

    def encoded(self) -> bytes:
        """As kept in the database."""
        keys = pa.DictionaryArray.from_arrays(pa.array(self.series), pa.array(self.names, pa.string()))
        table = pa.table({"key": keys, "at": self.at, "value": self.value, "side": self.side})
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()


@dataclass(frozen=True, slots=True)
class Pairs:
    """Whole readings: series (index into the same names), instant, in, out; sorted by series and instant."""

    series: Int32s
    at: Int64s
    v_in: Int64s
    v_out: Int64s

    def __len__(self) -> int:
        return len(self.at)


def decoded(data: bytes) -> Halves:
    """The reverse of `Halves.encoded`."""
    table = pa.ipc.open_stream(data).read_all().combine_chunks()
    keys = table.column("key").chunk(0) if table.num_rows else pa.array([], pa.string()).dictionary_encode()
    return Halves(
        keys.dictionary.to_pylist(),
        keys.indices.to_numpy(zero_copy_only=False).astype(np.int32),
        table.column("at").to_numpy(),
        table.column("value").to_numpy(),
        table.column("side").to_numpy(),
    )


def joined(parts: list[Halves]) -> Halves:
    """Several lots as one, earlier ones first."""
    number: dict[str, int] = {}
    series = []
    for part in parts:
        codes = np.array([number.setdefault(name, len(number)) for name in part.names], np.int32)
        series.append(codes[part.series])
    return Halves(
        list(number),
        np.concatenate(series).astype(np.int32),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.side for part in parts]).astype(np.int8),
    )


def paired(halves: Halves) -> tuple[Pairs, NDArray[np.intp]]:
    """(whole readings, numbers of the halves that are still alone). Of two readings of one direction, series and
    instant the last one holds.

    >>> at, side = np.array([5, 5, 6]), np.array([IN, OUT, IN], np.int8)
    >>> pairs, alone = paired(Halves(["a"], np.zeros(3, np.int32), at, np.array([1, 2, 3]), side))
    >>> pairs.at.tolist(), pairs.v_in.tolist(), pairs.v_out.tolist(), alone.tolist()
    ([5], [1], [2], [2])
    """
    low = int(halves.at.min()) if len(halves) else 0
    width = (int(halves.at.max()) - low).bit_length() + 1 if len(halves) else 1
    key = (halves.series.astype(np.int64) << width) | (halves.at - low)
    ins, outs = _newest(key, halves.side == IN), _newest(key, halves.side == OUT)
    if len(ins) == len(outs) and (key[ins] == key[outs]).all():
        both_in, both_out, alone = ins, outs, np.empty(0, np.intp)
    else:
        _, i, o = np.intersect1d(key[ins], key[outs], assume_unique=True, return_indices=True)
        both_in, both_out = ins[i], outs[o]
        left = np.zeros(len(halves), np.bool_)
        left[ins] = left[outs] = True
        left[both_in] = left[both_out] = False
        alone = np.flatnonzero(left)
    return Pairs(halves.series[both_in], halves.at[both_in], halves.value[both_in], halves.value[both_out]), alone


def _newest(key: Int64s, mine: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows marked `mine`, sorted by key, the last of equal ones."""
    rows = np.flatnonzero(mine)
    keys = key[rows]
    if len(rows) > 1 and not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        rows, keys = rows[order], keys[order]
        rows = rows[np.append(keys[1:] != keys[:-1], True)]
    return rows
