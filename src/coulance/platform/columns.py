"""Very many rows as columns: what PostgreSQL sends in binary becomes numpy arrays, without a Python object a row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connection

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEAD = 19  # signature, flags, length of an extension that is never there
_WIDTH = {"int8": 8, "date": 4, "timestamptz": 8}


def columns(select: str, parameters: Mapping[str, Any], names: Sequence[tuple[str, str]]) -> "dict[str, NDArray[Any]]":
    """The columns of a SELECT, each `int8`, `date` (`datetime64[D]`) or `timestamptz` (`datetime64[us]`, UTC).

    The SELECT casts each to its type and gives no nulls: use coalesce.
    """
    import numpy as np

    statement = f"COPY ({select}) TO STDOUT (FORMAT BINARY)"
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement, parameters) as copy,
    ):
        data = b"".join(bytes(part) for part in copy)
    fields: list[tuple[str, Any]] = [("fields", ">i2")]
    for name, kind in names:
        fields += [(f"{name}/length", ">i4"), (name, f">i{_WIDTH[kind]}")]
    row = np.dtype(fields)
    body = memoryview(data)[_HEAD:-2]
    if len(body) % row.itemsize:
        raise ValueError("a column is null, or of another type than was said")
    rows = np.frombuffer(body, row)
    out: dict[str, NDArray[Any]] = {}
    for name, kind in names:
        if len(rows) and not (rows[f"{name}/length"] == _WIDTH[kind]).all():
            raise ValueError(f"column {name} is null somewhere, or no {kind}")
        values = rows[name].astype(np.int64)
        if kind == "date":
            out[name] = np.datetime64("2000-01-01", "D") + values
        elif kind == "timestamptz":
            out[name] = np.datetime64("2000-01-01T00:00:00", "us") + values
        else:
            out[name] = values
    return out
