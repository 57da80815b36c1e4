"""Tables of a provider file in few words: a meter, a plan or a pool in a call each, written as a person writes them."""

from collections.abc import Mapping
from typing import Any

SINCE = "2025-01-01"


def table(at: str, /, **keys: Any) -> str:
    """A table and its keys; `at` may be `[x]`, for one more of a list. A value in angle brackets is written bare."""
    return "\n".join([f"[{at}]", *(f"{key} = {_value(value)}" for key, value in keys.items()), ""])


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, str):
        return value[1:-1] if value.startswith("<") else f'"{value}"'
    return str(value)


def meter(key: str, name: str, kind: str = "delta", unit: str = "B", interval: str = "1 day", **more: Any) -> str:
    """A meter, of bytes a day unless said otherwise."""
    return table(f"meters.{key}", name=name, kind=kind, unit=unit, interval=interval, **more)


def plan(key: str, name: str, charge: str = "", base: Any = None, currency: str = "", **terms: Any) -> str:
    """A plan of one version: a base fee, and a charge named `charge` whose terms are the rest; its name is `label`."""
    version = {"from": f"<{SINCE}>"}
    if currency:
        version["currency"] = currency
    if base is not None:
        version["base"] = base
    text = table(f"plans.{key}", name=name) + table(f"[plans.{key}.versions]", **version)
    if charge:
        text += table(f"plans.{key}.versions.charges.{charge}", name=terms.pop("label"), **terms)
    return "\n" + text


def traffic_plan(key: str, name: str, **terms: Any) -> str:
    """A plan that charges for traffic out."""
    label = terms.pop("label", "Traffic out")
    return plan(key, name, "out", label=label, meter="traffic", direction="out", **terms)


def pooled_plan(key: str, name: str, included: str, pool: str = "fleet", **terms: Any) -> str:
    """A plan whose traffic goes into a pool."""
    return traffic_plan(key, name, label="Pooled traffic", unit="GB", included=included, pool=pool, **terms)


def pool(key: str, name: str, price: str) -> str:
    """A pool of traffic out."""
    version = table(f"[pools.{key}.versions]", **{"from": f"<{SINCE}>"}, meter="traffic", direction="out", price=price)
    return "\n" + table(f"pools.{key}", name=name) + version
