"""What the provider's file says of collectors: where counters are read, and which series each of them is.

A rule turns what a source calls a counter (labels such as `instance`, `device`, `ifname`, `vmid`) into the key of a
series, by a template: `"{instance}:{device}"`. A regular expression in `include` must match a label's whole value; when
it has a group, the group is what the template gets: `instance = "([^:]+):9100"` makes `web1` of `web1:9100`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from string import Formatter

from coulance_core.catalog.faults import Fault, refuse
from coulance_core.catalog.meters import Meter, MeterKind

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LONGEST_KEY = 200
_LONGEST_PATTERN = 500


class CollectorKind(StrEnum):
    """Where a collector's readings come from."""

    PROMETHEUS_REMOTE_WRITE = "prometheus_remote_write"
    PROMETHEUS = "prometheus"
    SNMP = "snmp"
    LIBRENMS = "librenms"
    PROXMOX = "proxmox"

    @property
    def has_metrics(self) -> bool:
        """Whether its rules choose metrics by name; the others have counters in and out by nature."""
        return self in (CollectorKind.PROMETHEUS, CollectorKind.PROMETHEUS_REMOTE_WRITE)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels its readings have; none: whatever the source sends."""
        return _LABELS.get(self, ())


_LABELS = {
    CollectorKind.SNMP: ("target", "sysname", "ifname", "ifalias", "ifdescr"),
    CollectorKind.LIBRENMS: ("hostname", "sysname", "device_id", "port_id", "ifname", "ifalias", "ifdescr"),
    CollectorKind.PROXMOX: ("vmid", "name", "node", "type", "pool", "tags"),
}


class HttpAuth(StrEnum):
    """How a collector shows who it is to an HTTP server that leaves the choice."""

    NONE = "none"
    BEARER = "bearer"
    BASIC = "basic"
    """The secret is user:password."""


class SnmpVersion(StrEnum):
    """Version 3 is authenticated and encrypted; v2c sends its community in the clear."""

    V2C = "v2c"
    V3 = "v3"


class SnmpAuth(StrEnum):
    """How SNMPv3 authenticates."""

    SHA = "sha"
    SHA256 = "sha256"
    SHA512 = "sha512"
    MD5 = "md5"


class SnmpPrivacy(StrEnum):
    """How SNMPv3 encrypts."""

    AES = "aes"
    AES256 = "aes256"
    DES = "des"


Labels = Mapping[str, str]


@dataclass(frozen=True)
class CollectorRule:
    """Which readings of a source become which series.

    `metric_in` and `metric_out` are metrics that make one series together; one of them alone leaves the other side 0;
    `metric_value` is for a meter with one value. `meter` is what the series must be assigned to. A reading times
    `scale`, rounded down, is what is stored.

    >>> rule = CollectorRule("port", "{instance}:{device}", include=(("instance", "([^:]+):.*"),))
    >>> rule.key_of({"instance": "web1:9100", "device": "eth0"})
    'web1:eth0'
    >>> rule.key_of({"instance": "web1", "device": "eth0"}) is None
    True
    """

    meter: str
    series: str
    metric_in: str = ""
    metric_out: str = ""
    metric_value: str = ""
    include: tuple[tuple[str, str], ...] = ()
    exclude: tuple[tuple[str, str], ...] = ()
    scale: Fraction = field(default=Fraction(1))

    def __post_init__(self) -> None:
        refuse(f"rule for {self.meter!r}", self.faults())

    @property
    def names(self) -> tuple[str, ...]:
        """The labels that the template names."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.series) if name)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics it takes."""
        return tuple(name for name in (self.metric_in, self.metric_out, self.metric_value) if name)

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        try:
            parts = list(Formatter().parse(self.series))
        except ValueError as error:
            yield Fault("series", f"not a template such as {{instance}}:{{device}}: {error}")
            parts = []
        names = [name for _, name, _, _ in parts if name is not None]
        for _, name, spec, conversion in parts:
            if name is not None and (spec or conversion or not _LABEL.fullmatch(name)):
                yield Fault("series", f"{{{name}}}: expected the name of a label between braces, such as {{device}}")
        if not names and parts:
            yield Fault("series", "a template without a label would make one series of all readings")
        if not self.series:
            yield Fault("series", "expected a template such as {instance}:{device}")
        for place in ("include", "exclude"):
            for label, pattern in getattr(self, place):
                if not _LABEL.fullmatch(label):
                    yield Fault(place, f"{label!r} can't be a label")
                yield from _pattern_faults(f"{place}.{label}", pattern)
        for place, metric in (("in", self.metric_in), ("out", self.metric_out), ("value", self.metric_value)):
            if metric and not _NAME.fullmatch(metric):
                yield Fault(place, f"{metric!r} can't be a metric's name")
        if self.metric_value and (self.metric_in or self.metric_out):
            yield Fault("value", "value goes alone: a rule has in and out, or value")
        if self.metric_in and self.metric_in == self.metric_out:
            yield Fault("out", f"{self.metric_in!r} is counted in already")
        if self.scale <= 0:
            yield Fault("scale", "expected more than 0")

    @cached_property
    def _tests(self) -> tuple[list[tuple[str, re.Pattern[str]]], list[tuple[str, re.Pattern[str]]]]:
        wanted, unwanted = (
            [(label, re.compile(pattern, re.DOTALL)) for label, pattern in pairs]
            for pairs in (self.include, self.exclude)
        )
        return wanted, unwanted

    def key_of(self, labels: Labels) -> str | None:
        """The key of the series that these labels are, or `None` when the rule is not about them.

        A label that the template names must be there and not be empty; a key is at most 200 characters.
        """
        wanted, unwanted = self._tests
        seen = dict(labels)
        for label, pattern in wanted:
            match = pattern.fullmatch(labels.get(label, ""))
            if match is None:
                return None
            if match.re.groups:
                seen[label] = match[1] or ""
        if any(pattern.fullmatch(labels.get(label, "")) for label, pattern in unwanted):
            return None
        parts = []
        for text, name, _, _ in Formatter().parse(self.series):
            parts.append(text)
            if name:
                if not (value := seen.get(name, "")):
                    return None
                parts.append(value)
        key = "".join(parts)
        return key if 0 < len(key) <= _LONGEST_KEY and key.isprintable() else None


def _pattern_faults(path: str, pattern: str) -> Iterator[Fault]:
    if len(pattern) > _LONGEST_PATTERN:
        yield Fault(path, f"a regular expression has at most {_LONGEST_PATTERN} characters")
        return
    try:
        re.compile(pattern, re.DOTALL)
    except re.error as error:
        yield Fault(path, f"{pattern!r} is no regular expression: {error}")


@dataclass(frozen=True)
class Collector:
    """A source of readings and how it is asked. `secret` and the like are names of secrets, never secrets.

    `interval_s` is how often it is asked, `timeout_s` how long an answer may take. `window_s` is how much of the past
    one query asks for, `lag_s` how far behind the present a query stays (what was scraped a moment ago may still be on
    its way), `back_fill_s` how far back the first one begins. `max_wait_s` is for remote write: how long half a reading
    (in without out) waits for its other half.
    """

    key: str
    kind: CollectorKind
    rules: tuple[CollectorRule, ...] = ()
    url: str = ""
    targets: tuple[str, ...] = ()
    interval_s: int = 300
    timeout_s: int = 20
    auth: HttpAuth = HttpAuth.NONE
    secret: str = ""
    verify: bool = True
    ca_file: str = ""
    window_s: int = 3600
    lag_s: int = 60
    back_fill_s: int = 3600
    max_wait_s: int = 3600
    version: SnmpVersion = SnmpVersion.V2C
    user: str = ""
    auth_protocol: SnmpAuth = SnmpAuth.SHA256
    privacy_protocol: SnmpPrivacy = SnmpPrivacy.AES
    auth_secret: str = ""
    privacy_secret: str = ""
    bits: int = 64

    def __post_init__(self) -> None:
        refuse(f"collector {self.key!r}", self.faults())

    @property
    def pulls(self) -> bool:
        """Whether we ask; remote write is sent to us."""
        return self.kind is not CollectorKind.PROMETHEUS_REMOTE_WRITE

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not self.rules:
            yield Fault("rules", "a collector needs a rule, or nothing it reads has a series")
        if self.kind.has_metrics:
            for i, rule in enumerate(self.rules):
                if not rule.metrics:
                    yield Fault(f"rules[{i}]", "expected the metrics it takes: in and out, or value")
        else:
            known = self.kind.labels
            for i, rule in enumerate(self.rules):
                for place in ("in", "out", "value"):
                    if getattr(rule, f"metric_{place}"):
                        yield Fault(f"rules[{i}].{place}", f"{self.kind} has no metrics to choose: leave it out")
                for name in rule.names:
                    if name not in known:
                        yield Fault(f"rules[{i}].series", _no_label(self.kind, name))
                for place in ("include", "exclude"):
                    for label, _ in getattr(rule, place):
                        if label not in known:
                            yield Fault(f"rules[{i}].{place}.{label}", _no_label(self.kind, label))
        if self.kind is CollectorKind.SNMP:
            yield from self._snmp_faults()
        elif self.pulls:
            yield from self._http_faults()
        for place, value, least, most in (
            ("interval_s", self.interval_s, 10, 86_400),
            ("timeout_s", self.timeout_s, 1, 300),
            ("window_s", self.window_s, 60, 86_400),
            ("lag_s", self.lag_s, 0, 3600),
            ("back_fill_s", self.back_fill_s, 0, 90 * 86_400),
            ("max_wait_s", self.max_wait_s, 60, 86_400),
        ):
            if not least <= value <= most:
                yield Fault(place, f"expected {least} to {most} seconds, not {value}")

    def _http_faults(self) -> Iterator[Fault]:
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", self.url):
            yield Fault("url", f"expected an address such as https://prometheus.example.net, not {self.url!r}")
        own = self.kind in (CollectorKind.LIBRENMS, CollectorKind.PROXMOX)
        if (own or self.auth is not HttpAuth.NONE) and not self.secret:
            yield Fault("secret", "expected the name of the secret it signs in with (coulance secret set NAME)")

    def _snmp_faults(self) -> Iterator[Fault]:
        if not self.targets:
            yield Fault("targets", 'expected the devices to ask, such as ["switch1.example.net"]')
        seen: set[str] = set()
        for i, target in enumerate(self.targets):
            if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)(:\d{1,5})?", target):
                yield Fault(f"targets[{i}]", f"{target!r}: expected a host, or host:port")
            if target in seen:
                yield Fault(f"targets[{i}]", f"{target!r} is there twice")
            seen.add(target)
        if self.bits not in (32, 64):
            yield Fault("bits", f"expected 64 or 32, not {self.bits}")
        if self.version is SnmpVersion.V2C:
            if not self.secret:
                yield Fault("secret", "expected the name of the secret that holds the community")
            return
        for place, value in (
            ("user", self.user), ("auth_secret", self.auth_secret), ("privacy_secret", self.privacy_secret),
        ):  # fmt: skip
            if not value:
                yield Fault(place, "version 3 signs in with a user, auth_secret and privacy_secret")

    def meter_faults(self, meters: Mapping[str, Meter]) -> Iterator[Fault]:
        """What its rules ask of meters that they can't give. Unknown meters are found where names are."""
        for i, rule in enumerate(self.rules):
            meter = meters.get(rule.meter)
            if meter is None:
                continue
            if not self.kind.has_metrics and meter.kind is not MeterKind.COUNTER:
                yield Fault(
                    f"rules[{i}].meter",
                    f"{self.kind} reads counters, and meter {rule.meter!r} is a {meter.kind}: a reading would be "
                    "taken for use",
                )
            elif meter.kind is MeterKind.DELTA:
                yield Fault(
                    f"rules[{i}].meter",
                    f"a metric is a counter or a level, and meter {rule.meter!r} is a delta: expected a counter or "
                    "a gauge",
                )

    def match(self, labels: Labels) -> "tuple[int, str] | None":
        """(number of the rule, key) of the first rule that is about these labels."""
        for i, rule in enumerate(self.rules):
            if (key := rule.key_of(labels)) is not None:
                return i, key
        return None


def _no_label(kind: CollectorKind, name: str) -> str:
    return f"{kind} has no label {name!r}: expected one of {', '.join(kind.labels)}"


def scaled(reading: int, scale: Fraction) -> int:
    """A reading times a rule's scale, rounded down: what a counter loses once it gets back with the next reading.

    >>> scaled(17, Fraction(1, 8)), scaled(2**63, Fraction(1))
    (2, 9223372036854775808)
    """
    return reading * scale.numerator // scale.denominator
