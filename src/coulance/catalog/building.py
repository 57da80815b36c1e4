"""Core's price terms from records; what core finds wrong goes to the line it came from."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

from coulance.catalog.fields import Reading, Record
from coulance.catalog.toml_tree import Node
from coulance_core.catalog import terms as core
from coulance_core.kernel import Dimension, Quantity, Unit, UnitError, UnitPrice

_T = TypeVar("_T")


class PriceBuilder:
    """Makes core objects and price models. A value that cannot be is a fault in `reading`, and None."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def made(self, node: Node, renamed: dict[str, str], make: Callable[[], _T]) -> _T | None:
        """What `make` gives; its faults go to the lines of the keys they are about. `renamed`: core name to ours."""
        try:
            return make()
        except core.TermsError as error:
            for fault in error.faults:
                path = rename(fault.field, renamed)
                at = node.at(path) if path else node
                self.reading.fault(at or node, fault.message)
        except UnitError as error:
            self.reading.fault(node, str(error))
        return None

    def same_currency(self, node: Node, named: str, code: str) -> bool:
        """Whether a price is in the version's currency; a fault when not."""
        if named != code:
            self.reading.fault(node, f"a price in {named}", f"{code}, the currency of this version")
        return named == code

    def price(self, record: Record, per: Unit, code: str) -> core.PriceModel | None:
        """A price as core takes it, from its short form or its table with a model."""
        said, node = record["price"], record.place("price")
        if isinstance(said, UnitPrice):
            price = self._per_unit(node, said, per, code)
            return None if price is None else self.made(node, {"unit_price": ""}, lambda: core.PerUnit(price))
        return self._model(said, per, code)

    def _model(self, said: Record, per: Unit, code: str) -> core.PriceModel | None:
        model = said["model"]
        values: dict[str, Any] = {}
        sound = True
        for key, value in said.values.items():
            if key == "model":
                continue
            if key == "tiers":
                tiers = [self._tier(model, tier, per, code) for tier in value]
                sound = sound and None not in tiers
                values[key] = tuple(tiers)
                continue
            converted = self._converted(said, key, value, per, code)
            sound = sound and converted is not None
            values[key] = converted
        if not sound:
            return None
        if model == "package":
            values = {"amount": values["price"], "size": values["size"], "free_units": values.get("free", Fraction(0))}
        elif model == "per_unit":
            values = {"unit_price": values["price"]}
        renamed = {"amount": "price", "free_units": "free", "unit_price": "price", "limits": "up_to"}
        return self.made(said.node, renamed, lambda: _MODELS[model](**values))

    def _tier(self, model: str, tier: Record, per: Unit, code: str) -> Any:
        values = {key: self._converted(tier, key, value, per, code) for key, value in tier.values.items()}
        if any(value is None for value in values.values()):
            return None
        up_to = values.get("up_to")
        if model in ("graduated", "volume"):
            return core.Tier(up_to, values.get("price", Fraction(0)), values.get("flat", Fraction(0)))
        if model == "graduated_percentage":
            return core.PercentTier(up_to, values.get("rate", Fraction(0)), values.get("flat", Fraction(0)))
        if model == "blocks":
            return core.BlockTier(values["size"], values["price"], values.get("max_blocks"))
        return core.CapacityTier((("", up_to),) if up_to is not None else (), values["price"])

    def _converted(self, record: Record, key: str, value: Any, per: Unit, code: str) -> Any:
        """As core takes it: quantities in the measure's unit, amounts in the version's currency; None: a fault."""
        node = record.place(key)
        if isinstance(value, UnitPrice):
            return self._per_unit(node, value, per, code)
        if isinstance(value, Quantity):
            return self.to(record, key, value, per)
        if isinstance(value, tuple):
            return value[0] if self.same_currency(node, value[1], code) else None
        return value

    def _per_unit(self, node: Node, price: UnitPrice, per: Unit, code: str) -> Fraction | None:
        if not self.same_currency(node, price.currency, code):
            return None
        if price.per.dimension is not per.dimension:
            self.reading.fault(node, f"a price for a {price.per.name}", f"for a {per.name}, or {_like(per)}")
            return None
        return price.amount * per.size / price.per.size

    def to(self, record: Record, key: str, quantity: Quantity, per: Unit) -> Fraction | None:
        """A quantity as a number of the measure's unit."""
        if quantity.unit.dimension is not per.dimension:
            self.reading.fault(record.place(key), str(quantity), f"a quantity in {per.name}, or {_like(per)}")
            return None
        return quantity.to(per).value


_MODELS: dict[str, Any] = {
    "per_unit": core.PerUnit,
    "graduated": core.Graduated,
    "volume": core.Volume,
    "package": core.Package,
    "percentage": core.Percentage,
    "graduated_percentage": core.GraduatedPercentage,
    "blocks": core.TieredBlocks,
    "capacity": core.Capacity,
    "dynamic": core.Dynamic,
}


def rename(path: str, renamed: dict[str, str]) -> str:
    for theirs, ours in renamed.items():
        path = re.sub(rf"(^|(?<=[.\]])){re.escape(theirs)}(?=$|[.\[]|(?<=\.))", ours, path)
    return path


def same_names(kind: type, renamed: dict[str, str]) -> dict[str, str]:
    """The fields of a core class and our keys for them."""
    return {name: renamed.get(name, name) for name in kind.__dataclass_fields__}  # type: ignore[attr-defined]


def _like(per: Unit) -> str:
    """Another unit of the same dimension, as an example."""
    examples = {
        Dimension.DATA: "TB",
        Dimension.RATE: "Gbit/s",
        Dimension.DATA_TIME: "GB-month",
        Dimension.TIME: "h",
        Dimension.COUNT: "another count",
    }
    return examples[per.dimension]
