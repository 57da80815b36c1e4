"""The reference of the provider file as Markdown, written from the very tables that the reader reads by."""

from collections.abc import Iterator
from fractions import Fraction

from coulance.catalog import collector_tables as c
from coulance.catalog import driver_tables as d
from coulance.catalog import fields as f
from coulance.catalog import policy_tables as t
from coulance.catalog import provider_file as p
from coulance.catalog import values as v
from coulance_core.catalog import terms as core

_TABLES: tuple[tuple[str, f.Table, tuple[type, ...]], ...] = (
    ("[provider]", p.PROVIDER, (core.ProviderTerms,)),
    ("[series.base], [series.overage], [series.credit]", p.NUMBERS, (core.NumberSeries,)),
    ("[[tax]]", p.TAX, (core.TaxRate,)),
    ("[sending]", t.SENDING, (core.SendingTerms,)),
    ("[overage]", t.OVERAGE, (core.OverageTerms,)),
    ("[[overage.credit]]", t.CREDIT_RULE, (core.CreditRule,)),
    ("[advice]", t.ADVICE, (core.AdviceTerms,)),
    ("[goodwill]", t.GOODWILL, (core.GoodwillTerms,)),
    ("[goodwill.budgets]", t.BUDGETS, ()),
    ("[payments]", t.PAYMENTS, (core.PaymentTerms,)),
    ("[meters.KEY]", p.METER, (core.Meter,)),
    ("[plans.KEY]", p.PLAN, (core.PlanVersion,)),
    ("[[plans.KEY.versions]]", p.PLAN_VERSION, ()),
    ("base", p.BASE, (core.BaseFee,)),
    ("[plans.KEY.versions.charges.KEY]", p.CHARGE, (core.UsageCharge, core.Measure)),
    ("included", p.INCLUDED, (core.Allowance,)),
    ("commitment", p.COMMITMENT, (core.Commitment,)),
    ("percentile", p.PERCENTILE, (core.PercentileTerms,)),
    ("[pools.KEY]", p.POOL, ()),
    ("[[pools.KEY.versions]]", p.POOL_VERSION, (core.Pool, core.Measure)),
)
_MODELS: dict[str, type] = {
    "graduated": core.Graduated,
    "volume": core.Volume,
    "graduated_percentage": core.GraduatedPercentage,
    "blocks": core.TieredBlocks,
}
_OTHER_NAMES = {"rounding": "round_rule"}


def reference() -> str:
    """Every table and key of a provider file, as Markdown."""
    return "\n".join(_reference()).rstrip() + "\n"


def _reference() -> Iterator[str]:
    for heading, table, kinds in _TABLES:
        short = f" Short: `{_plain(table.short)}`." if table.short is not None else ""
        yield from (f"### `{heading}`", "", f"{table.title[0].upper()}{table.title[1:]}.{short}", "")
        yield from _rows(table, kinds)
    yield from ("### `[collectors.KEY]`", "", "Where counters are read: [collectors](collectors.md).", "")
    for name, table in c.COLLECTOR_TABLES.items():
        yield from (f'#### `kind = "{name}"`', "", f"{table.title[0].upper()}{table.title[1:]}.", "")
        yield from _rows(
            f.Table(table.title, tuple(each for each in table.fields if each.key != "kind")), (core.Collector,)
        )
    for heading, table in (("of metrics", c.METRIC_RULE), ("of interfaces and guests", c.PORT_RULE)):
        yield from (f"Rules {heading} say {table.title}:", "")
        yield from _rows(table, (core.CollectorRule,))
    yield from ("### `[drivers.KEY]`", "", "What restricts the network of services: [enforcement](enforcement.md).", "")
    for name, table in d.DRIVER_TABLES.items():
        yield from (f'#### `kind = "{name}"`', "", f"{table.title[0].upper()}{table.title[1:]}.", "")
        plain = tuple(each for each in table.fields if each.key != "kind")
        if plain:
            yield from _rows(f.Table(table.title, plain), (core.Driver,))
    yield from ("### Price models", "", f"Short, for one price a unit: `{_plain(v.Price())}`.", "")
    for name, table in p.PRICE_MODELS.items():
        yield from (f'#### `model = "{name}"`', "", f"{table.title[0].upper()}{table.title[1:]}.", "")
        plain = tuple(field for field in table.fields if field.key != "model")
        if plain:
            yield from _rows(f.Table(table.title, plain), (_MODELS[name],) if name in _MODELS else ())
        for field in plain:
            if isinstance(field.kind, f.ListOf) and isinstance(field.kind.kind, f.Table):
                yield from ("Each of its `tiers`:", "")
                yield from _rows(field.kind.kind, ())


def _rows(table: f.Table, kinds: tuple[type, ...]) -> Iterator[str]:
    yield from ("| key | value | unless said | meaning |", "| --- | --- | --- | --- |")
    for field in table.fields:
        unless = "**required**" if field.required else _default(field, kinds)
        yield f"| `{field.key}` | {notation(field.kind)} | {unless} | {field.about} |"
    yield ""


def _default(field: f.Field, kinds: tuple[type, ...]) -> str:
    """What core takes when the key is not there: told by core's own defaults."""
    if field.key == "interval":
        return "`5 min`"
    for kind in kinds:
        for name in (field.key, _OTHER_NAMES.get(field.key, field.key)):
            known = kind.__dataclass_fields__.get(name)  # type: ignore[attr-defined]
            value = None if known is None else known.default
            if isinstance(value, bool):
                return f"`{str(value).lower()}`"
            if isinstance(value, str | int | Fraction) and str(value):
                return f"`{value}`"
    return ""


def notation(kind: f.Kind | None) -> str:
    """How a value of a kind is written, in a cell of a table."""
    match kind:
        case f.Choice():
            return ", ".join(f"`{name}`" for name in kind.names)
        case f.Whole():
            return f"{kind.least} to {kind.most}"
        case f.Flag():
            return "`true` or `false`"
        case f.Name():
            return "a tax class" if kind.table == "tax class" else f"one of `[{kind.table}.*]`"
        case f.Named():
            return "tables"
        case f.ListOf():
            if isinstance(kind.kind, f.Choice):
                return f"a list of {notation(kind.kind)}"
            return "a list of tables" if isinstance(kind.kind, f.Table) else "a list of texts"
        case f.OneOrMore():
            return f"{notation(kind.kind)}, or a list of such"
        case f.Variants():
            return f"`{_plain(v.Price())}`, or a table with a `model`"
        case f.Table():
            return f"`{_plain(kind.short)}`, or a table" if kind.short is not None else "a table"
        case p.Texts():
            return "a table of texts"
        case c.Patterns():
            return "a table of regular expressions"
        case f.Text():
            return kind.expected.replace('"', "`") if "such as" in kind.expected else "text"
    return f"`{_plain(kind)}`"


def _plain(kind: f.Kind | None) -> str:
    match kind:
        case f.Day():
            return "2026-01-31"
        case f.Exact():
            return "95"
        case v.UnitName():
            return '"GB"'
        case f.Zone():
            return '"Europe/Amsterdam"'
        case v.CurrencyCode():
            return '"EUR"'
        case v.CreditorId():
            return '"NL79ZZZ999999990000"'
        case v.Percent():
            return '"21 %"'
        case v.QuietHours():
            return '"22:00-07:30"'
        case v.Price():
            return '"0.10 EUR/GB"'
        case v.Amount():
            return '"5.00 EUR"'
        case v.Amounts():
            return '"5 min"' if kind.dimensions else '"1000 GB"'
        case p.Fee():
            return '"6.00 EUR/month"'
    raise TypeError(f"no notation for {kind!r}")
