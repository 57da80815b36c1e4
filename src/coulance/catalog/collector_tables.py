"""What a provider file says of collectors: [collectors.KEY], one table for each kind of source, and how it is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coulance.catalog.building import PriceBuilder
from coulance.catalog.fields import (
    FAULTY,
    Choice,
    Exact,
    Faulty,
    Field,
    Flag,
    Is,
    Json,
    ListOf,
    Name,
    Reading,
    Record,
    Table,
    Text,
    Variants,
    Whole,
)
from coulance.catalog.toml_tree import Node
from coulance.catalog.values import Amounts
from coulance_core.catalog import terms as core
from coulance_core.kernel import Dimension, unit

_LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
_SECRET = Text("the name of a secret, such as proxmox-ams1 (coulance secret set)", r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_SPAN = Amounts((Dimension.TIME,))


@dataclass(frozen=True, slots=True)
class Patterns:
    """A table of regular expressions by label: `{ device = "eth.*" }`."""

    def read(self, node: Node, reading: Reading) -> "tuple[tuple[str, str], ...] | Faulty":
        if not isinstance(node.value, dict):
            return reading.wrong(node, 'a table of regular expressions, such as { device = "eth.*" }')
        out: dict[str, str] = {}
        sound = True
        for label, child in node.value.items():
            if not re.fullmatch(_LABEL, label):
                reading.faults.add(child.key, child.path, f"{label!r} as a label", "letters, digits and _")
                sound = False
            value = Text('a regular expression, such as "eth.*"').read(child, reading)
            if isinstance(value, str):
                try:
                    re.compile(value)
                except re.error as error:
                    value = reading.fault(child, f"{value!r}: {error}", 'a regular expression, such as "eth.*"')
            if isinstance(value, Faulty):
                sound = False
            else:
                out[label] = value
        return tuple(out.items()) if sound else FAULTY

    def schema(self) -> Json:
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^{_LABEL}$"},
            "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 500, "format": "regex"},
        }


_METRIC = Text('the name of a metric, such as "node_network_receive_bytes_total"', r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_METER = Field("meter", Name("meters"), "the meter that its series are assigned to, one of [meters.*]", required=True)
_SERIES = Field("series", Text('a template, such as "{instance}:{device}"'), "the key of the series", required=True)
_CHOOSING = (
    Field("include", Patterns(), "labels that must match, whole; a group in it is what `series` gets of the label"),
    Field("exclude", Patterns(), "labels that must not match"),
    Field("scale", Exact(), 'what a reading is multiplied by, such as "0.125" for bits; 1 unless said'),
)
METRIC_RULE = Table(
    "which metrics are which series; the first rule that fits holds",
    (
        Field("in", _METRIC, "the metric that counts what comes in"),
        Field("out", _METRIC, "the metric that counts what goes out; with `in`, both make one series"),
        Field("value", _METRIC, "the metric of a meter with one value"),
        _SERIES,
        _METER,
        *_CHOOSING,
    ),
)
PORT_RULE = Table("which interfaces are which series; the first rule that fits holds", (_SERIES, _METER, *_CHOOSING))

_INTERVAL = Field("interval", _SPAN, 'how often it is asked, such as "1 min"; 5 min unless said')
_TIMEOUT = Field("timeout", _SPAN, 'how long an answer may take, such as "20 s"')


def _rules(table: Table) -> Field:
    return Field("rules", ListOf(table, 1, "a list of tables: [[...rules]]"), table.title, required=True)


def _kind(kind: core.CollectorKind) -> Field:
    return Field("kind", Is(kind.value), "which kind of source this is", required=True)


_URL = Text("an address, such as https://prometheus.example.net", r"https?://[^\s/?#@]+(?:/[^\s?#]*)?")
_HTTP = (
    Field("verify", Flag(), "whether the server's certificate is checked; true unless said"),
    Field("ca_file", Text(most=300), "a file with the certificate of your own authority"),
)
COLLECTOR_TABLES: dict[str, Table] = {
    "prometheus_remote_write": Table(
        "collector: Prometheus sends to us",
        (
            _kind(core.CollectorKind.PROMETHEUS_REMOTE_WRITE),
            Field("max_wait", _SPAN, 'how long in without out waits for it, such as "1 h"'),
            _rules(METRIC_RULE),
        ),
    ),
    "prometheus": Table(
        "collector: Prometheus is asked for raw samples",
        (
            _kind(core.CollectorKind.PROMETHEUS),
            Field("url", _URL, "where it is, without /api/v1", required=True),
            Field("auth", Choice(core.HttpAuth), "how we sign in: none, bearer (a token), basic (user:password)"),
            Field("secret", _SECRET, "the name of the secret for that"),
            *_HTTP,
            _INTERVAL,
            _TIMEOUT,
            Field("window", _SPAN, "how much of the past one query asks for; 1 h unless said"),
            Field("lag", _SPAN, "how far behind the present it stays; 1 min unless said"),
            Field("back_fill", _SPAN, "how far back the first query begins; 1 h unless said"),
            _rules(METRIC_RULE),
        ),
    ),
    "snmp": Table(
        "collector: devices are asked by SNMP",
        (
            _kind(core.CollectorKind.SNMP),
            Field("targets", ListOf(Text("a host, or host:port"), 1), "the devices", required=True),
            Field("version", Choice(core.SnmpVersion), "v3 signs in and encrypts"),
            Field("secret", _SECRET, "v2c: the name of the secret that holds the community"),
            Field("user", Text(most=32), "v3: the user"),
            Field("auth_protocol", Choice(core.SnmpAuth), "v3: how it signs in"),
            Field("auth_secret", _SECRET, "v3: the name of the secret it signs in with"),
            Field("privacy_protocol", Choice(core.SnmpPrivacy), "v3: how it encrypts"),
            Field("privacy_secret", _SECRET, "v3: the name of the secret it encrypts with"),
            Field("bits", Whole(32, 64), "64, or 32 for devices that have no 64-bit counters"),
            _INTERVAL,
            _TIMEOUT,
            _rules(PORT_RULE),
        ),
    ),
    "librenms": Table(
        "collector: the ports of LibreNMS",
        (
            _kind(core.CollectorKind.LIBRENMS),
            Field("url", _URL, "where it is, without /api/v0", required=True),
            Field("secret", _SECRET, "the name of the secret that holds the API token", required=True),
            *_HTTP,
            _INTERVAL,
            _TIMEOUT,
            _rules(PORT_RULE),
        ),
    ),
    "proxmox": Table(
        "collector: the guests of a Proxmox VE cluster",
        (
            _kind(core.CollectorKind.PROXMOX),
            Field("url", _URL, "where it is, such as https://pve1.example.net:8006", required=True),
            Field("secret", _SECRET, "the name of the secret that holds USER@REALM!TOKENID=UUID", required=True),
            *_HTTP,
            _INTERVAL,
            _TIMEOUT,
            _rules(PORT_RULE),
        ),
    ),
}
COLLECTOR = Variants("kind", COLLECTOR_TABLES)

_SPANS = ("interval", "timeout", "window", "lag", "back_fill", "max_wait")
_OURS = {f"{name}_s": name for name in _SPANS} | {
    "metric_in": "in", "metric_out": "out", "metric_value": "value",
}  # fmt: skip


def collector(
    builder: PriceBuilder, meters: Mapping[str, core.Meter], key: str, record: Record
) -> core.Collector | None:
    """Core's collector from its table; what core finds wrong goes to the line it came from."""
    values: dict[str, Any] = dict(record.values)
    kind = core.CollectorKind(values.pop("kind"))
    for name in _SPANS:
        if name in values:
            seconds = values.pop(name).to(unit("s")).value
            if seconds.denominator != 1:
                builder.reading.fault(record.place(name), f"{seconds} seconds", "whole seconds")
                return None
            values[f"{name}_s"] = int(seconds)
    rules = [_rule(builder, rule) for rule in values.pop("rules")]
    if not all(rules):
        return None
    if "targets" in values:
        values["targets"] = tuple(values["targets"])
    if "url" in values:
        values["url"] = values["url"].rstrip("/")

    def make() -> core.Collector:
        made = core.Collector(key=key, kind=kind, rules=tuple(rule for rule in rules if rule is not None), **values)
        if faults := tuple(made.meter_faults(meters)):
            raise core.TermsError(key, faults)
        return made

    return builder.made(record.node, _OURS, make)


def _rule(builder: PriceBuilder, rule: Record) -> core.CollectorRule | None:
    if not rule.whole:
        return None
    named = {"in": "metric_in", "out": "metric_out", "value": "metric_value"}
    values = {named.get(name, name): value for name, value in rule.values.items()}
    return builder.made(rule.node, _OURS, lambda: core.CollectorRule(**values))
