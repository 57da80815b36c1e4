"""Tables of a provider file that rooms above this one own: `[arrears]`, `[disputes]`, `[sla]`, `[contracts]`.

The catalog keeps them as plain values, with their history, and knows nothing of what they say. Who judges one is wired
in the settings (`PROVIDER_TABLES`: a table's name and its judge), so that `coulance check` names the file and line of
what their owner refuses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from coulance.catalog.fields import FAULTY, Faulty, Json, Reading
from coulance.catalog.toml_tree import Node
from coulance_core.catalog.faults import Fault


class Judge(Protocol):
    """What is wrong with a table's plain values: every fault, with the field's path inside the table."""

    def __call__(self, data: Mapping[str, Any]) -> Iterable[Fault]: ...


@dataclass(frozen=True, slots=True)
class Foreign:
    """A table of another room, as plain values (days as texts). Without a judge it is refused: nobody would read it."""

    name: str
    about: str

    def read(self, node: Node, reading: Reading) -> "dict[str, Any] | Faulty":
        if not isinstance(node.value, dict):
            return reading.wrong(node, f"a table: [{self.name}]")
        path = getattr(settings, "PROVIDER_TABLES", {}).get(self.name)
        if path is None:
            return reading.fault(node, f"[{self.name}]", "a table that something here reads")
        judge: Judge = import_string(path)
        plain: dict[str, Any] = _plain(node.plain())
        wrong = False
        for fault in judge(plain):
            wrong = True
            reading.fault(node.at(fault.field) or node, fault.message)
        return FAULTY if wrong else plain

    def schema(self) -> Json:
        return {"type": "object", "title": self.about}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value
