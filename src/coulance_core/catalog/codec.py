"""Terms as canonical JSON and back: numbers exact as strings, units and enums by name, a digest over the whole.

Versions are stored and printed as this; equal terms give equal text and so the same digest.
"""

import hashlib
import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from coulance_core.catalog.prices import PriceModel
from coulance_core.kernel import Money, Quantity, Unit, exact, show, unit

_MODELS = {model.__name__: model for model in get_args(PriceModel)}
_T = TypeVar("_T")


def to_json(terms: Any, *, defaults: bool = False) -> dict[str, Any]:
    """Any of the catalog's terms as plain JSON values; fields at their default are left out, unless `defaults`."""
    return _dump_object(terms, defaults)


def from_json(kind: type[_T], data: Mapping[str, Any]) -> _T:
    """The terms that `to_json` wrote. Raises `TermsError` for faults in them, `ValueError` for what is no such JSON."""
    result = _load_object(kind, data)
    assert isinstance(result, kind)
    return result


def digest(terms: Any) -> str:
    """SHA-256 of the canonical JSON, in hex: the identity of exactly these terms."""
    return hashlib.sha256(canonical(terms).encode()).hexdigest()


def canonical(terms: Any) -> str:
    """The canonical JSON text: sorted keys, no spaces, ASCII."""
    return json.dumps(to_json(terms), sort_keys=True, separators=(",", ":"))


def _dump_object(value: Any, defaults: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if type(value).__name__ in _MODELS:
        out["model"] = type(value).__name__
    for field in fields(value):
        item = getattr(value, field.name)
        if defaults or field.default is MISSING or item != field.default:
            out[field.name] = _dump(item, defaults)
    return out


def _dump(value: Any, defaults: bool) -> Any:
    match value:
        case StrEnum():
            return value.value
        case None | bool() | int() | str():
            return value
        case Fraction():
            return show(value)
        case Unit():
            return value.name
        case Quantity() | Money():
            return str(value)
        case date():
            return value.isoformat()
        case tuple():
            return [_dump(item, defaults) for item in value]
    if is_dataclass(value):
        return _dump_object(value, defaults)
    raise TypeError(f"terms hold no {type(value).__name__}")


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _load_object(kind: Any, data: Any) -> Any:
    if not isinstance(data, Mapping):
        raise ValueError(f"expected an object for {kind.__name__}, not {data!r}")
    hints = _hints(kind)
    unknown = set(data) - set(hints) - {"model"}
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in data]
    if missing:
        raise ValueError(f"{kind.__name__} needs {', '.join(missing)}")
    return kind(**{name: _load(hints[name], data[name]) for name in hints if name in data})


def _load(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if isinstance(value, Mapping) and "model" in value:
            model = _MODELS.get(value["model"])
            if model is None:
                raise ValueError(f"unknown price model {value['model']!r}: expected one of {', '.join(_MODELS)}")
            return _load_object(model, value)
        if value is None:
            return None
        [hint] = [choice for choice in get_args(hint) if choice is not type(None)]
        return _load(hint, value)
    if origin is tuple:
        kinds = get_args(hint)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            return tuple(_load(kinds[0], item) for item in value)
        return tuple(_load(kind, item) for kind, item in zip(kinds, value, strict=True))
    return _load_plain(hint, value)


def _load_plain(hint: Any, value: Any) -> Any:
    if hint is Fraction:
        return exact(value)
    if hint is Unit:
        return unit(value)
    if hint is Quantity:
        number, _, name = value.partition(" ")
        return Quantity.of(number, name)
    if hint is Money:
        number, _, code = value.partition(" ")
        return Money.of(number, code)
    if hint is date:
        return date.fromisoformat(value)
    if is_dataclass(hint):
        return _load_object(hint, value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if not isinstance(value, hint):
        raise ValueError(f"expected {hint.__name__}, not {value!r}")
    return value
