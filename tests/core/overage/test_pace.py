"""Forecasts in a service's own rhythm, and unusual hours on labelled real series."""

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance_core.overage.pace import DAY, WEEK, Rhythm, Sensitivity, expected, forecast, unusual
from coulance_core.usage.samples import SamplesError

OFFICE = [100 if 8 <= h % 24 < 18 and h // 24 % 7 < 5 else 5 for h in range(4 * WEEK)]


def test_a_week_repeats() -> None:
    coming, rhythm = expected(OFFICE, WEEK)
    assert (coming, rhythm) == (OFFICE[:WEEK], Rhythm.WEEK)


def test_it_crosses_on_monday_morning_and_not_in_the_weekend() -> None:
    friday_evening = OFFICE[: 3 * WEEK + 4 * DAY + 18]
    found = forecast(friday_evening, used=0, until=1000, hours=5 * DAY)
    # The rest of Friday, a weekend and the night bring 62 hours at 5 = 310; then 100 an hour.
    assert found.crosses_in == 62 + 7
    even_pace = forecast([sum(friday_evening) // len(friday_evening)] * 60, used=0, until=1000, hours=5 * DAY)
    assert even_pace.crosses_in is not None
    assert even_pace.crosses_in < 40


def test_todays_level_counts() -> None:
    doubled = OFFICE[: 3 * WEEK + 2 * DAY] + [2 * v for v in OFFICE[2 * DAY : 3 * DAY]]
    coming, _ = expected(doubled, DAY)
    assert coming == [2 * v for v in OFFICE[3 * DAY : 4 * DAY]]


def test_little_history_is_an_even_pace() -> None:
    assert forecast([7, 9, 8], used=24, until=64, hours=10).crosses_in == 5
    assert forecast([], used=0, until=10, hours=5) == forecast([0], used=0, until=10, hours=5)


@given(st.lists(st.integers(0, 10**12), max_size=400), st.integers(0, 10**12), st.integers(1, 100))
def test_a_forecast_is_consistent(history: list[int], until: int, hours: int) -> None:
    coming, _ = expected(history, hours)
    found = forecast(history, used=0, until=until, hours=hours)
    assert found.at_end == sum(coming)
    if found.crosses_in is None:
        assert sum(coming) < until
    elif found.crosses_in:
        assert sum(coming[: found.crosses_in]) >= until > sum(coming[: found.crosses_in - 1])


def test_use_below_nothing_is_refused() -> None:
    with pytest.raises(SamplesError):
        expected([1, -1], 3)


def test_rhythm_is_no_news_and_a_runaway_is() -> None:
    assert not any(unusual(OFFICE))
    runaway = [*OFFICE, *[400] * 5]
    flagged = unusual(runaway)
    assert flagged[len(OFFICE) :] == [True] * 5
    assert unusual(runaway, Sensitivity(hours=3))[len(OFFICE) :] == [False, False, True, True, True]


SERIES = {
    # series: (labelled windows, windows hit, alarms raised, alarms inside a window)
    "ec2_network_in_257a54": (1, 1, 1, 1),
    "elb_request_count_8c0756": (2, 2, 2, 2),
    "iio_us-east-1_i-a2eb1cd9_NetworkIn": (2, 0, 0, 0),  # both windows lie in the first two days: there is no past yet
}


def _hourly(rows: list[tuple[str, str]]) -> tuple[list[datetime], list[int]]:
    hourly: dict[datetime, int] = {}
    for when, value in rows:
        hour = datetime.fromisoformat(when).replace(minute=0, second=0)
        hourly[hour] = hourly.get(hour, 0) + int(float(value))
    first = min(hourly)
    hours = [first + timedelta(hours=i) for i in range(int((max(hourly) - first).total_seconds() // 3600) + 1)]
    return hours, [hourly.get(hour, 0) for hour in hours]


@pytest.mark.data
def test_labelled_series(cases: Path) -> None:
    """Precision 3 of 3 alarms, recall 3 of 5 windows (3 of the 3 that have two days before them), on the three network
    and request series of the Numenta Anomaly Benchmark (MIT). They were looked at when choosing the defaults, and are
    few; the other test says how quiet it is on traffic that nobody labelled."""
    folder = cases / "traffic" / "nab"
    whole = [0, 0, 0, 0]
    for name, figures in SERIES.items():
        windows = next(v for k, v in json.loads((folder / "combined_windows.json").read_text()).items() if name in k)
        spans = [(datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in windows]
        with (folder / f"{name}.csv").open() as file:
            hours, values = _hourly([(row["timestamp"], row["value"]) for row in csv.DictReader(file)])
        flags = unusual(values)
        alarms = [hours[i] for i in range(len(hours)) if flags[i] and not (i and flags[i - 1])]
        inside = [alarm for alarm in alarms if any(a <= alarm <= b for a, b in spans)]
        hit = [s for s in spans if any(f and s[0] <= h <= s[1] for f, h in zip(flags, hours, strict=True))]
        found = (len(spans), len(hit), len(alarms), len(inside))
        assert found == figures, name
        whole = [a + b for a, b in zip(whole, found, strict=True)]
    print(f"unusual hours on NAB: precision {whole[3]}/{whole[2]}, recall {whole[1]}/{whole[0]}")
    assert whole == [5, 3, 3, 3]


@pytest.mark.data
def test_seven_weeks_of_a_providers_traffic_are_no_news(cases: Path) -> None:
    """An ISP's transatlantic link, hour by hour, with its nights, mornings and weekends: nothing labelled, no alarm."""
    path = cases / "traffic" / "isp_tsdl" / "isp_eu_hourly_internet-traffic-data-in-bits-fr.csv"
    with path.open() as file:
        rows = [(row[0], row[1]) for row in list(csv.reader(file))[1:] if len(row) == 2 and row[1]]
    _, values = _hourly(rows)
    assert len(values) > 1200
    assert not any(unusual(values))
