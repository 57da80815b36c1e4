"""What a provider file may say: every table and key of it, with what it means.

These tables are the format. The reader reads by them, `coulance schema` publishes them as JSON Schema for editors, and
`docs/plans.md` explains them; a test holds the three together. One notation throughout: money is "5.00 EUR", a price
"0.10 EUR/GB", a fee "6.00 EUR/month", a quantity "1000 GB", a percentage "21 %", a day 2026-01-31 without quotes.
"""

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from coulance.catalog.collector_tables import COLLECTOR
from coulance.catalog.driver_tables import DRIVER
from coulance.catalog.fields import (
    FAULTY,
    Choice,
    Day,
    Exact,
    Faulty,
    Field,
    Flag,
    Is,
    Json,
    Kind,
    ListOf,
    Name,
    Named,
    Reading,
    Table,
    Text,
    Variants,
    Whole,
    Zone,
)
from coulance.catalog.foreign import Foreign
from coulance.catalog.policy_tables import ADVICE, GOODWILL, OVERAGE, PAYMENTS, SENDING
from coulance.catalog.toml_tree import Node
from coulance.catalog.values import (
    Amount,
    Amounts,
    CurrencyCode,
    Percent,
    Price,
    UnitName,
)
from coulance_core.catalog.provider import PriceBasis, Resets, TaxKind, TaxRounding
from coulance_core.catalog.terms import (
    Aggregation,
    Beyond,
    BlockMode,
    CycleAlignment,
    Direction,
    Edges,
    GapPolicy,
    MeterKind,
    MissingSamples,
    OnChange,
    Proration,
    RankConvention,
    ResetPolicy,
    RunBy,
    ShortMonths,
    ZeroUsageFlat,
)
from coulance_core.kernel import Dimension, Rounding

MONTHS = {"month": 1, "quarter": 3, "half-year": 6, "year": 12}


@dataclass(frozen=True, slots=True)
class Fee:
    """A fee for an interval: `"6.00 EUR/month"`. Gives amount, currency and months."""

    intervals: tuple[str, ...] = tuple(MONTHS)

    def read(self, node: Node, reading: Reading) -> "tuple[Fraction, str, int] | Faulty":
        expected = f'a fee, such as "6.00 EUR/{self.intervals[0]}" (for each {", ".join(self.intervals)})'
        if not isinstance(node.value, str):
            return reading.wrong(node, expected)
        found = re.fullmatch(r"(\d+(?:\.\d+)? [A-Za-z]{3})/([a-z-]+)", node.value)
        if not found or found[2] not in self.intervals:
            return reading.fault(node, repr(node.value), expected)
        amount = Amount().read(Node(found[1], node.place, node.key, node.path), reading)
        return FAULTY if isinstance(amount, Faulty) else (*amount, MONTHS[found[2]])

    def schema(self) -> Json:
        return {"type": "string", "pattern": rf"^\d+(?:\.\d+)? [A-Z]{{3}}/(?:{'|'.join(self.intervals)})$"}


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts under names of the provider's own."""

    def read(self, node: Node, reading: Reading) -> "dict[str, str] | Faulty":
        if not isinstance(node.value, dict):
            return reading.wrong(node, 'a table of texts: invoice_footer = "..."')
        out = {key: Text(most=2000).read(child, reading) for key, child in node.value.items()}
        kept = {key: text for key, text in out.items() if isinstance(text, str)}
        return kept if len(kept) == len(out) else FAULTY

    def schema(self) -> Json:
        return {"type": "object", "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 2000}}


COUNTRY = Text('a country in two capital letters, such as "NL"', "[A-Z]{2}")
LANGUAGE = Text('a language, such as "nl" or "de-AT"', "[a-z]{2}(?:-[A-Z]{2})?")
_PRORATION = "how a part of a period counts: none, calendar_days, fixed_30 or seconds"
_SPEND_PRORATION = "how a part of a period counts for those two, and for the price of a level (a percentile, seats)"
_ZERO_USAGE = "whether the first tier's flat amount is due when nothing was used"
_KIND = "whether a value is a use (delta), a total (counter) or a level (gauge)"
_TAX_CLASS = Name("tax class")

_tier = Table(
    "tier",
    (
        Field("up_to", Amounts(), 'the quantity where the tier ends, such as "1000 GB"; the last tier has none'),
        Field("price", Price(), 'the price of a unit in this tier, such as "0.10 EUR/GB"'),
        Field("flat", Amount(), 'an amount due once the tier is entered, such as "5.00 EUR"'),
    ),
)
_tiers = ListOf(_tier, 1, "a list of tiers: [{ up_to = ..., price = ... }, { price = ... }]")
_tier_policies = (
    Field("zero_usage_flat", Choice(ZeroUsageFlat), _ZERO_USAGE),
    Field("edges", Choice(Edges), "where a quantity between two whole units belongs"),
)


def _model(name: str, about: str, *fields: Field) -> Table:
    return Table(about, (Field("model", Is(name), "which way of pricing this is", required=True), *fields))


PRICE_MODELS: dict[str, Table] = {
    "per_unit": _model(
        "per_unit",
        "the same price for every unit",
        Field("price", Price(), 'the price of a unit, such as "0.10 EUR/GB"', required=True),
    ),
    "graduated": _model(
        "graduated",
        "each unit at the price of the tier it falls in",
        Field("tiers", _tiers, "the tiers, lowest first", required=True),
        *_tier_policies,
    ),
    "volume": _model(
        "volume",
        "every unit at the price of the one tier the whole quantity falls in",
        Field("tiers", _tiers, "the tiers, lowest first", required=True),
        *_tier_policies,
    ),
    "package": _model(
        "package",
        "whole packages, one begun counts whole",
        Field("price", Amount(), 'the price of a package, such as "4.00 EUR"', required=True),
        Field("size", Amounts(), 'what is in a package, such as "100 GB"', required=True),
        Field("free", Amounts(), "units that come first, free"),
    ),
    "percentage": _model(
        "percentage",
        "a share of an amount that passes through",
        Field("rate", Percent(), 'the share, such as "1.5 %"', required=True),
        Field("fixed", Amount(fine=True), "a fixed part for each event"),
        Field("free_events", Whole(0, 1_000_000_000), "events that are free"),
        Field("free_amount", Amount(), "an amount that is free"),
        Field("event_minimum", Amount(fine=True), "the least an event costs"),
        Field("event_maximum", Amount(fine=True), "the most an event costs"),
    ),
    "graduated_percentage": _model(
        "graduated_percentage",
        "each part of an amount at the rate of the tier it falls in",
        Field(
            "tiers",
            ListOf(
                Table(
                    "tier",
                    (
                        Field("up_to", Amounts(), "where the tier ends; the last tier has none"),
                        Field("rate", Percent(), 'the rate in this tier, such as "1.5 %"'),
                        Field("flat", Amount(), "an amount due once the tier is entered"),
                    ),
                ),
                1,
            ),
            "the tiers, lowest first",
            required=True,
        ),
        *_tier_policies,
    ),
    "blocks": _model(
        "blocks",
        "tiers of blocks, a block begun counts whole",
        Field(
            "tiers",
            ListOf(
                Table(
                    "tier of blocks",
                    (
                        Field("size", Amounts(), 'what is in a block, such as "100 GB"', required=True),
                        Field("price", Amount(), 'the price of a block, such as "4.00 EUR"', required=True),
                        Field("max_blocks", Whole(1, 1_000_000_000), "how many blocks; the last tier has no end"),
                    ),
                ),
                1,
            ),
            "the tiers, lowest first",
            required=True,
        ),
        Field("mode", Choice(BlockMode), "whether each tier has its own price, or the highest reached prices all"),
        Field("beyond", Choice(Beyond), "what happens above the last tier that has an end"),
    ),
    "capacity": _model(
        "capacity",
        "one flat price, by the lowest tier that the figure fits in",
        Field(
            "tiers",
            ListOf(
                Table(
                    "tier",
                    (
                        Field("up_to", Amounts(), "the most that fits; the last tier has none"),
                        Field("price", Amount(), "the price of the tier", required=True),
                    ),
                ),
                1,
            ),
            "the tiers, lowest first",
            required=True,
        ),
    ),
    "dynamic": _model("dynamic", "each event brings its own amount"),
}
PRICE: Kind = Variants("model", PRICE_MODELS, short=Price())

INCLUDED = Table(
    "what is included",
    (
        Field("quantity", Amounts(), 'what a whole period includes, such as "1000 GB"', required=True),
        Field("proration", Choice(Proration), _PRORATION),
        Field("per_unit", Flag(), "whether it counts for each unit of the subscription"),
        Field("accrual_hours", Whole(1, 744), "accrue by the hour, to the whole after this many"),
    ),
    short=Amounts(),
)
BASE = Table(
    "base fee, billed in advance",
    (
        Field("price", Fee(), 'the fee, such as "6.00 EUR/month"', required=True),
        Field("proration", Choice(Proration), _PRORATION),
        Field("per_unit", Flag(), "whether it counts for each unit of the subscription (it does)"),
        Field("alignment", Choice(CycleAlignment), "where the first whole cycle of a longer interval begins"),
        Field("short_months", Choice(ShortMonths), "what billing days 29 to 31 do after a month that lacks them"),
    ),
    short=Fee(),
)
COMMITMENT = Table(
    "a quantity bought in advance",
    (
        Field("quantity", Amounts(), 'what is bought, such as "100 Mbit/s"', required=True),
        Field("fee", Fee(("month",)), 'what all of it costs, such as "95.00 EUR/month"', required=True),
        Field("proration", Choice(Proration), _PRORATION),
        Field("per_unit", Flag(), "whether both count for each unit of the subscription"),
    ),
)
PERCENTILE = Table(
    "a percentile's convention",
    (
        Field("rank", Choice(RankConvention), "which sample is the percentile", required=True),
        Field("p", Exact(), "the percentile; 95 unless said"),
        Field("missing", Choice(MissingSamples), "what samples that never came count as"),
    ),
)
_measure = (
    Field("meter", Name("meters"), "the meter, one of [meters.*]", required=True),
    Field("direction", Choice(Direction), "which of in and out counts"),
    Field("unit", UnitName(), "the unit it is priced in; the price's own unless said"),
)
CHARGE = Table(
    "usage charge",
    (
        Field("name", Text(), "what the invoice calls it", required=True),
        *_measure,
        Field("aggregation", Choice(Aggregation), "how a period's samples become one figure; sum unless said"),
        Field("percentile", PERCENTILE, "the convention of a percentile"),
        Field("round_to", Amounts(), 'the step that the figure is rounded to, such as "1 Mbit/s"'),
        Field("rounding", Choice(Rounding), "how it is rounded to that step; down unless said"),
        Field("included", INCLUDED, 'what is included, such as "1000 GB"'),
        Field("commitment", COMMITMENT, "what is bought in advance; only use above it is priced"),
        Field("price", PRICE, 'what a unit above that costs: "0.10 EUR/GB", or a table with a model'),
        Field("minimum_spend", Amount(), "the least a period's use costs"),
        Field("maximum_spend", Amount(), "the most a period's use costs"),
        Field("proration", Choice(Proration), _SPEND_PRORATION),
        Field("on_change", Choice(OnChange), "how a period is rated in which the terms change"),
        Field("pool", Name("pools"), "the pool that this allowance goes to, one of [pools.*]"),
        Field("tax_class", _TAX_CLASS, "its tax class; the plan's unless said"),
    ),
)
PLAN_VERSION = Table(
    "price version",
    (
        Field("from", Day(), "the day from which it holds, such as 2026-01-01", required=True),
        Field("currency", CurrencyCode(), "the currency of its prices; the provider's unless said"),
        Field("base", BASE, 'the base fee, such as "6.00 EUR/month"'),
        Field("charges", Named(CHARGE), "usage charges, each under a key of its own"),
    ),
)
PLAN = Table(
    "plan",
    (
        Field("name", Text(), "what the invoice calls it", required=True),
        Field("description", Text(most=2000), "what it is, for the customer"),
        Field("tax_class", _TAX_CLASS, "its tax class; standard unless said"),
        Field("versions", ListOf(PLAN_VERSION, 1, "a list of tables: [[...versions]]"), "its prices", required=True),
    ),
)
POOL_VERSION = Table(
    "pool version",
    (
        Field("from", Day(), "the day from which it holds, such as 2026-01-01", required=True),
        Field("currency", CurrencyCode(), "the currency of its prices; the provider's unless said"),
        *_measure,
        Field("price", PRICE, "what a unit above all allowances together costs", required=True),
        Field("minimum_spend", Amount(), "the least a period's use costs"),
        Field("maximum_spend", Amount(), "the most a period's use costs"),
        Field("proration", Choice(Proration), _SPEND_PRORATION),
        Field("tax_class", _TAX_CLASS, "its tax class; standard unless said"),
    ),
)
POOL = Table(
    "pool",
    (
        Field("name", Text(), "what the invoice calls it", required=True),
        Field("versions", ListOf(POOL_VERSION, 1, "a list of tables: [[...versions]]"), "its prices", required=True),
    ),
)
METER = Table(
    "meter",
    (
        Field("name", Text(), "what the invoice calls it", required=True),
        Field("kind", Choice(MeterKind), _KIND, required=True),
        Field("unit", UnitName(), "what a value counts, such as B or seat", required=True),
        Field("scale", Whole(0, 12), "decimals of the stored values: value = stored / 10^scale"),
        Field("interval", Amounts((Dimension.TIME,)), 'how often it is read, such as "5 min"'),
        Field("run_by", Choice(RunBy), "who runs it; decides how gaps may be resolved"),
        Field("gap", Choice(GapPolicy), "how use in unknown time is resolved"),
        Field("counter_bits", Whole(32, 64), "32 or 64; a counter needs it, to tell a wrap from a reset"),
        Field("max_rate", Amounts(), 'the fastest it can run, such as "10 Gbit/s"; a step above it is impossible'),
        Field("reset", Choice(ResetPolicy), "what an interval counts in which the counter was reset"),
        Field("silent_after", Whole(1, 100_000), "intervals without a sample after which a billed series is silent"),
    ),
)
TAX = Table(
    "tax rate",
    (
        Field("country", Text('two capital letters, such as "NL", or "*"', r"[A-Z]{2}|\*"), "where it holds", True),
        Field("class", Text("a tax class", r"[a-z0-9][a-z0-9_-]*"), "the tax class, such as standard", required=True),
        Field("rate", Percent(), 'the rate, such as "21 %"', required=True),
        Field("from", Day(), "the first day on which it holds", required=True),
        Field("until", Day(), "the first day on which it holds no more"),
        Field("code", Text(most=40), "its code, as it prints on the invoice", required=True),
        Field("kind", Choice(TaxKind), "why the tax is what it is"),
        Field("reason", Text(), "the reason that an invoice without tax must state"),
    ),
)
NUMBERS = Table(
    "number series",
    (
        Field("format", Text(most=60), 'how a number is written, such as "B{year}-{number:06d}"', required=True),
        Field("resets", Choice(Resets), "when it starts again: yearly or never"),
        Field("start", Whole(0, 1_000_000_000), "its first number"),
    ),
)
PROVIDER = Table(
    "who bills, and by which rules",
    (
        Field("name", Text(most=200), "the legal name, as it prints on the invoice", required=True),
        Field("country", COUNTRY, "the country it is established in", required=True),
        Field("currency", CurrencyCode(), "the currency of its prices and books, such as EUR", required=True),
        Field("zone", Zone(), "the time zone of its civil days, such as Europe/Amsterdam", required=True),
        Field("address", ListOf(Text(most=200)), "its lines, as they print"),
        Field("vat_id", Text(most=20), "VAT identification number"),
        Field("registration", Text(most=100), "registration, such as a chamber of commerce number"),
        Field("email", Text('an e-mail address, such as "billing@example.com"', r"[^@\s]+@[^@\s]+\.[^@\s]+"), "e-mail"),
        Field("phone", Text(most=40), "telephone"),
        Field("website", Text(most=200), "website"),
        Field("iban", Text(most=42), "bank account"),
        Field("bic", Text(most=11), "its bank"),
        Field("language", LANGUAGE, "the language of customers that name none"),
        Field("rounding", Choice(Rounding), "how an amount becomes whole cents"),
        Field("tax_rounding", Choice(TaxRounding), "where tax is rounded"),
        Field("prices", Choice(PriceBasis), "whether prices are without tax (net) or with it (gross)"),
        Field("payment_days", Whole(0, 365), "days from issue until an invoice is due"),
        Field("settle_after_days", Whole(0, 60), "days after a period's end before it may be closed"),
        Field("carry_forward_below", Amount(), "a smaller overage waits for the next invoice"),
        Field("back_billing_cap_months", Whole(0, 120), "use found later than this is not billed"),
        Field("national_currency", CurrencyCode(), "state the tax in this currency as well"),
        Field("texts", Texts(), "texts of the provider's own, such as invoice_footer"),
    ),
)
FOREIGN = (
    Foreign("arrears", "policies of arrears: which steps, when, and by which guards"),
    Foreign("disputes", "contested bills: within which days, who decides what amounts, who mediates"),
    Foreign("sla", "what is promised in uptime and response, and what is owed when it isn't kept"),
    Foreign("contracts", "service contracts: hours, retainers, cover and terms"),
)

ROOT = Table(
    "provider file",
    (
        Field("include", ListOf(Text('a path, such as "plans/*.toml"')), "other files that belong to this one"),
        Field("provider", PROVIDER, "[provider]: who bills, and by which rules", required=True),
        Field("tax", ListOf(TAX, 0, "a list of tables: [[tax]]"), "[[tax]]: rates by country and class", required=True),
        Field(
            "series",
            Table(
                "number series",
                tuple(
                    Field(key, NUMBERS, f"[series.{key}]: numbers of {what}", required=True)
                    for key, what in (
                        ("base", "base invoices"),
                        ("overage", "overage invoices"),
                        ("credit", "credit notes"),
                    )
                ),
            ),
            "[series.*]: how documents are numbered",
            required=True,
        ),
        Field("sending", SENDING, "[sending]: how documents are mailed"),
        Field("overage", OVERAGE, "[overage]: how far overage may go, and what happens there"),
        Field("advice", ADVICE, "[advice]: when customers are told of a cheaper plan"),
        Field("payments", PAYMENTS, "[payments]: how money is allocated, and by which rails it comes"),
        Field("goodwill", GOODWILL, "[goodwill]: how goodwill is proposed and bounded"),
        Field("meters", Named(METER), "[meters.KEY]: what is counted"),
        Field("pools", Named(POOL), "[pools.KEY]: allowances that services share"),
        Field("plans", Named(PLAN), "[plans.KEY]: what is sold, in price versions"),
        Field("collectors", Named(COLLECTOR), "[collectors.KEY]: where counters are read"),
        Field("drivers", Named(DRIVER), "[drivers.KEY]: what restricts the network of services"),
        *(Field(one.name, one, f"[{one.name}]: {one.about}") for one in FOREIGN),
    ),
)


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of a provider file; of one of its parts too, so nothing at the root is required."""
    root = ROOT.schema()
    root.pop("required", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Coulance provider file",
        "description": "Plans, prices, meters, tax and numbering of a hosting provider. See docs/plans.md.",
        **{key: value for key, value in root.items() if key != "title"},
    }


def schema_text() -> str:
    """The published JSON Schema as text: what `coulance schema` prints and docs/provider.schema.json holds."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
