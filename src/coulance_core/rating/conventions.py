"""Conventions in words, as they print on the invoice: what a gigabyte is, which direction, which rank."""

from coulance_core.catalog.terms import Aggregation, Direction, Measure, MissingSamples, RankConvention
from coulance_core.kernel import Dimension, Unit
from coulance_core.rating.sheet import text

_DIRECTION = {
    Direction.OUT: "outgoing traffic counts, incoming does not",
    Direction.IN: "incoming traffic counts, outgoing does not",
    Direction.BOTH: "incoming and outgoing traffic are added, sample by sample",
    Direction.GREATER: "incoming and outgoing are reckoned apart; the greater counts",
    Direction.SUM_OF_BOTH: "incoming and outgoing are reckoned apart; both count",
    Direction.SAMPLE_MAX: "of each sample the greater of incoming and outgoing counts",
}
_RANK = {
    RankConvention.DROP_FLOOR: "the highest floor({rest} n) samples are dropped, the next one counts",
    RankConvention.NEAREST_RANK: "the sample of rank ceil({part} n) from the lowest counts",
    RankConvention.LIBRENMS: "the sample of rank round({part} n) from the lowest counts (as LibreNMS)",
    RankConvention.RRDTOOL: "the sample of rank round({part} n) from the lowest counts (as rrdtool)",
    RankConvention.INTERPOLATED: "interpolated between the samples on either side of the rank",
    RankConvention.CACTI_1_2_20: "one sample higher than dropping floor({rest} n) of the highest (as Cacti 1.2.20)",
}
_MISSING = {
    MissingSamples.LOWEST: "missing samples count as the lowest",
    MissingSamples.DROPPED: "missing samples are left out",
    MissingSamples.AVERAGED: "a gap counts as one sample of its average",
}
_AGGREGATION = {
    Aggregation.SUM: "sum",
    Aggregation.PEAK: "highest sample",
    Aggregation.LAST: "last level",
    Aggregation.TIME_WEIGHTED: "level weighted by time",
    Aggregation.UNIQUE_COUNT: "different ones counted",
}
_POWERS = {"k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50}


def unit_words(unit: Unit) -> str | None:
    """What a unit of data or rate means; nothing for units that nobody mistakes.

    >>> from coulance_core.kernel import unit
    >>> unit_words(unit("GB")), unit_words(unit("GiB")), unit_words(unit("Mbit/s")), unit_words(unit("seat"))
    ('1 GB = 10^9 bytes', '1 GiB = 2^30 bytes', '1 Mbit/s = 10^6 bit/s', None)
    """
    if unit.dimension not in (Dimension.DATA, Dimension.RATE, Dimension.DATA_TIME):
        return None
    name = unit.name
    base = "bytes" if "B" in name else "bits"
    if unit.dimension is Dimension.RATE:
        base = "B/s" if "B" in name else "bit/s"
    head = name.partition("-")[0]
    words = None
    if head[:2] in _BINARY:
        words = f"1 {head} = 2^{_BINARY[head[:2]]} {base}"
    elif head[0] in _POWERS:
        words = f"1 {head} = 10^{_POWERS[head[0]]} {base}"
    if name.endswith("-month"):
        words = f"{words}; a month is 730 hours" if words else "a month is 730 hours"
    return words


def measure_words(measure: Measure) -> str:
    """Which figure of which meter it is, in a few words."""
    what = _AGGREGATION.get(measure.aggregation)
    if measure.percentile is not None:
        what = f"{text(measure.percentile.p)}th percentile"
    return f"meter {measure.meter}, {measure.direction.value.replace('_', ' ')}, {what}"


def measure_conventions(measure: Measure) -> tuple[str, ...]:
    """Every convention that the figure rests on."""
    words = []
    if measure.unit.dimension is not Dimension.COUNT:
        words.append(_DIRECTION[measure.direction])
    if (meaning := unit_words(measure.unit)) is not None:
        words.append(meaning)
    if measure.percentile is not None:
        part = measure.percentile.p / 100
        rank = _RANK[measure.percentile.rank].format(part=text(part), rest=text(1 - part))
        words.append(f"{text(measure.percentile.p)}th percentile: {rank}")
        words.append(_MISSING[measure.percentile.missing])
    if measure.round_step is not None:
        step, rule = text(measure.round_step), measure.round_rule.value.replace("_", " ")
        words.append(f"rounded {rule} to steps of {step} {measure.unit.name}")
    return tuple(words)
