"""Pictures say what the figures say: scales, thresholds, gaps and peaks; and they are well-formed, script-free SVG."""

import itertools
import xml.etree.ElementTree as ET
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from coulance.invoicing import chart, svg
from coulance.invoicing.chart_marks import Area, Band, Bars, Bracket, ChartModel, Note, Role, Rule
from tests.documents import samples

SVG = "{http://www.w3.org/2000/svg}"


def model_of(item: dict[str, Any], language: str = "en") -> ChartModel:
    made = chart.model(item, zone=samples.ZONE, language=language)
    assert made is not None
    return made


def marks(model: ChartModel, kind: type[Any]) -> list[Any]:
    return [m for panel in model.panels for m in panel.marks if isinstance(m, kind)]


def words_of(picture: str) -> list[str]:
    return [(t.text or "").replace("\u00a0", " ") for t in ET.fromstring(picture).iter(f"{SVG}text")]


def test_a_quota_shows_allowance_total_overage_and_the_day_it_ran_out() -> None:
    made = model_of(samples.quota_item())
    assert [r.value for r in marks(made, Rule)] == [1000.0]
    said = words_of(svg.svg(made))
    assert {"included 1,000 GB", "1,412.6 GB", "412.6 GB over", "all used on 25 Oct"} <= set(said)
    within, beyond = marks(made, Bars)
    assert sum(top - bottom for _, _, bottom, top in within.bars) == pytest.approx(1000)
    assert sum(top - bottom for _, _, bottom, top in beyond.bars) == pytest.approx(412.6, abs=0.1)
    assert (within.role, beyond.role) == (Role.USE, Role.OVER)


def test_a_quota_not_reached_has_nothing_over() -> None:
    made = model_of(samples.quota_item(total=612.4))
    assert not [a for a in marks(made, Area) if a.role is Role.OVER]
    assert "over" not in " ".join(words_of(svg.svg(made)))


def test_a_port_shows_commit_percentile_what_is_over_and_the_gap() -> None:
    made = model_of(samples.port_item())
    assert [(r.value, r.role) for r in marks(made, Rule)] == [(200.0, Role.LIMIT), (362.7, Role.FIGURE_OVER)]
    assert [(b.low, b.high) for b in marks(made, Bracket)] == [(200.0, 362.7)]
    assert len(marks(made, Band)) == 1
    assert [a for a in marks(made, Area) if a.role is Role.NOT_COUNTED]
    assert "highest 438 samples, not counted" in words_of(svg.svg(made))


def test_a_flood_does_not_flatten_the_month() -> None:
    made = model_of(samples.port_item(flood=True))
    assert made.panels[0].top < 1000
    clipped = [n for n in marks(made, Note) if n.clipped]
    assert len(clipped) == 1
    assert clipped[0].text.replace("\u00a0", " ").endswith("Mbit/s, 14 Oct")


def test_a_level_shows_its_average_against_what_is_included() -> None:
    made = model_of(samples.storage_item())
    labels = [r.label.replace("\u00a0", " ") for r in marks(made, Rule)]
    assert labels == ["included 350 GB", "average 367.8 GB"]
    seats = model_of(samples.seats_item(), "nl")
    assert "piek 14 plaatsen" in words_of(svg.svg(seats))


def test_a_pool_shows_members_and_sum() -> None:
    made = chart.pool(samples.pool_items(), name="europe")
    assert made is not None
    assert made.pool is not None
    assert len(made.pool.members) == 8
    assert sum(m.value for m in made.pool.members) == pytest.approx(made.pool.total.value)
    assert "5 others" in words_of(svg.svg(made))
    assert chart.pool(samples.pool_items(1), name="x") is None
    mixed = samples.pool_items(2)
    mixed[1]["unit"] = "TB"
    assert chart.pool(mixed, name="x") is None


@pytest.mark.parametrize("direction", ["out", "in", "both", "greater", "sum_of_both", "sample_max", "", "unknown"])
def test_each_direction_counts_its_own(direction: str) -> None:
    item = samples.quota_item() | {"measure": {"aggregation": "sum", "direction": direction}, "used": None}
    item["chart"] = {"kind": "daily", "unit": "GB", "points": [[p[0], 3, 5] for p in item["chart"]["points"]]}
    made = model_of(item)
    area = marks(made, Area)[0]
    each = {"in": 3, "both": 8, "sum_of_both": 8}.get(direction, 5)
    assert area.points[-1][1] == each * 31


def test_a_hostile_name_stays_text() -> None:
    items = samples.pool_items(3)
    items[0]["service"]["name"] = '"><script>alert(1)</script>&'
    made = chart.pool(items, name='<b onload="x">')
    assert made is not None
    picture = svg.svg(made)
    root = ET.fromstring(picture)
    assert not [e for e in root.iter() if e.tag in (f"{SVG}script", f"{SVG}style", f"{SVG}a", f"{SVG}image")]
    assert "<script" not in picture
    assert "style=" not in picture


@pytest.mark.parametrize(
    "points",
    [[], [[1790805600, 0, 0]], [[1790805600, 5, 0]], [[1790805600, "1.5", "2/3"], [1790892000, "x", None]]],
    ids=["none", "zero", "one", "odd"],
)
@pytest.mark.parametrize("kind", ["daily", "rate", "level"])
def test_few_and_odd_points_still_draw(points: list[Any], kind: str) -> None:
    item = samples.quota_item() | {"chart": {"kind": kind, "unit": "GB", "points": points}, "percentile": None}
    made = chart.model(item, zone=samples.ZONE)
    assert (made is None) == (not points)
    if made is not None:
        assert ET.fromstring(svg.svg(made)).tag == f"{SVG}svg"
        assert "nan" not in svg.svg(made)


def test_an_item_without_a_limit_or_measure_still_draws() -> None:
    item = {"chart": samples.quota_item()["chart"]}
    assert ET.fromstring(svg.svg(model_of(item))) is not None


def test_other_units_than_the_figure_leave_the_limits_out() -> None:
    item = samples.quota_item()
    item["chart"] = item["chart"] | {"unit": "GiB"}
    assert marks(model_of(item), Rule) == []


def test_labels_in_the_margin_do_not_cover_each_other() -> None:
    item = samples.port_item(commit=360)
    ys = [
        float(t.get("y") or 0)
        for t in ET.fromstring(svg.svg(model_of(item))).iter(f"{SVG}text")
        if (t.get("class") or "").startswith("label")
    ]
    assert len(ys) >= 3
    assert all(b - a >= 12 for a, b in zip(sorted(ys), sorted(ys)[1:], strict=False))


def test_daily_points_follow_civil_days_over_the_clock_change() -> None:
    first = int(samples.START.timestamp())
    at = np.arange(first, first + 31 * 86400 + 3600, 300, dtype=np.int64)
    ones = np.ones_like(at)
    points = chart.daily_points(at, ones, 2 * ones, samples.ZONE, 1)
    assert len(points) == 31
    assert sum(p[1] for p in points) == at.size
    assert points[24][1:] == [300, 600]  # 25 October 2026 has 25 hours
    assert chart.daily_points(at[:0], ones[:0], ones[:0], samples.ZONE) == []


def test_rate_points_keep_every_peak_within_the_limit() -> None:
    rng = np.random.default_rng(5)
    at = 1790805600 + 300 * np.arange(8928, dtype=np.int64)
    out = rng.integers(0, 10**9, at.size)
    out[4321] = 10**12
    points = chart.rate_points(at, out // 2, out, 300, 10**6)
    assert len(points) <= chart.MOST_POINTS
    assert max(p[2] for p in points) == pytest.approx(10**12 * 8 / 300 / 10**6, rel=1e-3)
    assert points[0][0] == at[0]
    assert all(b[0] > a[0] for a, b in itertools.pairwise(points))
    few = chart.rate_points(at[:10], out[:10], out[:10], 300, 1)
    assert len(few) == 10


def test_level_points_hold_the_highest_of_each_bucket() -> None:
    at = np.arange(0, 2000 * 60, 60, dtype=np.int64)
    value = np.arange(2000, dtype=np.int64)
    points = chart.level_points(at, value, 60, 10, limit=100)
    assert len(points) <= 100
    assert points[-1][1] == pytest.approx(199.9)


@pytest.mark.parametrize("make", [samples.quota_item, samples.port_item, samples.storage_item, samples.seats_item])
def test_a_sparkline_is_small_and_well_formed(make: Any) -> None:
    picture = svg.sparkline(model_of(make()))
    assert ET.fromstring(picture).get("aria-label")
    assert len(picture) < 9000


def test_a_day_is_as_wide_in_another_zone_and_no_wider_when_the_next_is_missing() -> None:
    item = samples.quota_item()
    item["chart"]["points"] = [p for i, p in enumerate(item["chart"]["points"]) if i != 10]
    for zone in (samples.ZONE, ZoneInfo("UTC"), ZoneInfo("America/New_York")):
        made = chart.model(item, zone=zone)
        assert made is not None
        for start, end, _, _ in marks(made, Bars)[0].bars:
            assert 86400 <= end - start <= 25 * 3600


def test_gb_months_stand_at_the_mean_level_that_makes_them() -> None:
    item = samples.storage_item() | {"unit": "GB-month", "used": "374.8", "allowance": "350", "overage": "24.8"}
    made = model_of(item)
    month = 730 * 3600 / (samples.END.timestamp() - samples.START.timestamp())  # 745 hours: the clock goes back
    assert [r.value for r in marks(made, Rule)] == pytest.approx([350 * month, 374.8 * month])
    assert "included 350 GB-month" in marks(made, Rule)[0].label.replace("\u00a0", " ")
    assert made.panels[0].caption == "GB"


def test_a_member_of_a_pool_has_no_limit_of_its_own() -> None:
    made = model_of(samples.quota_item() | {"pool": "Fleet"})
    assert marks(made, Rule) == []
    assert "over" not in made.alt
