"""Requests and errors in: counted once however often they come, credited by the slice of their mean; silence is no
success."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coulance.flows.promises import intake
from coulance.integrations.uptime import reading
from coulance.notices import queries as sent
from coulance.platform import clock, tokens
from coulance.sla import operations, rates
from coulance.sla import queries as sla
from coulance.sla.errors import SlaError, UnableToTakeLooksError
from tests.closing.world import World, recompute_all
from tests.sla.office import OPENED, SLA, Office, instant

ERRORS = SLA.replace('target = "100"', 'target = "99.9"').replace(
    'kind = "multiple"\ntimes = 50',
    'kind = "error_tiers"\ntiers = [{ below = "99.9", credit = "10 %" }, { below = "99", credit = "25 %" }]',
)
FIVE = timedelta(minutes=5)
START, END = instant("2026-09-30T22:00"), instant("2026-10-31T23:00")
SLOTS = 8_940


@pytest.fixture
def office(world: World) -> Office:
    made = Office(world, ERRORS)
    operations.end_check(check=made.check, actor="test", at=OPENED)
    made.add_check(kind="requests", target="shop", every_s=300)
    return made


def counted(*bad: tuple[str, int, int], skip: tuple[int, int] = (0, 0)) -> list[tuple[str, Any, int, int]]:
    """100 requests a slot of October, none failed but where said: from when, how many slots, errors in each."""
    spans = [(instant(at), slots, errors) for at, slots, errors in bad]
    out = []
    for n in range(SLOTS):
        at = START + n * FIVE
        errors = next((errors for since, slots, errors in spans if since <= at < since + slots * FIVE), 0)
        if not skip[0] <= n < skip[1]:
            out.append(("shop", at, 100, errors))
    return out


def bring(rows: list[tuple[str, Any, int, int]], source: str = "api:main") -> intake.Brought:
    return intake.bring_counts(source=source, counted=rows, at=instant("2026-11-03T00:00"), actor="test")


def test_the_mean_of_error_rates_is_credited_by_its_slice_and_explained(office: Office) -> None:
    rows = counted(("2026-10-05T10:00", 20, 90))
    assert bring(rows[4_000:]) == (4_940, 0, ())
    assert bring(rows) == (4_000, 4_940, ())
    # The same by another Prometheus, which saw a little less of it: the fuller count counts, nothing is added up.
    bring([(name, at, 60, 60) for name, at, _, _ in rows[:500]], source="api:other")
    office.credit()
    # 20 slots at 90 % are 0.2013 % on the mean: below 99.9, so 10 % of 5.00.
    assert office.credits() == ["0.50"]
    (measure,) = sla.measures()
    recompute_all(measure.explanation)
    assert "slots with errors = 20" in measure.explanation.render()
    assert measure.explanation.recompute()["error rates together"] == 18
    (message,) = sent.messages(account=office.account)
    assert message.subject == "Requests to WEB failed; we credited €0.50"
    assert "too many requests to WEB failed in 2026-10 (gold@2026-10-01)" in str(office.world.snapshot("C2026-0001"))


def test_silence_fails_unless_somebody_saw_it_up_and_what_people_say_counts(office: Office) -> None:
    bring(counted(skip=(1_000, 1_090)))
    office.credit()
    assert office.credits() == ["1.25"], "90 of 8,940 slots failed whole: 1.007 %"
    assert office.credit("2026-11-05T06:00").credited == []
    late = [row for row in counted() if START + 1_000 * FIVE <= row[1] < START + 1_090 * FIVE]
    bring(late)
    office.credit("2026-11-06T06:00")
    measure = sla.newest_measure(office.service, "2026-10")
    assert measure is not None
    assert measure.amount.minor == 0, "it was counted after all; what was given stays"
    operations.say(
        service=office.service, says="outage", since=instant("2026-10-05T10:00"), until=instant("2026-10-05T18:00"),
        reason="the balancer answered for it", actor="operator:bo", at=instant("2026-11-06T00:00"),
    )  # fmt: skip
    office.credit("2026-11-07T06:00")
    measure = sla.newest_measure(office.service, "2026-10")
    assert measure is not None
    assert measure.explanation.recompute()["error rates together"] == 96
    assert office.credits() == ["1.25"]


def test_probes_that_saw_it_up_fill_the_silence_of_a_count(office: Office) -> None:
    office.check = office.add_check()
    office.october()
    bring(counted(skip=(1_000, 1_090)))
    office.credit()
    assert office.credits() == []


REFUSED: list[tuple[tuple[str, Any, int, int], str]] = [
    (("shop", START + timedelta(minutes=1), 5, 1), "begin every 300 s"),
    (("shop", START, 5, 6), "6 errors of 5 requests"),
    (("shop", instant("2027-10-05T10:00"), 5, 1), "can't be"),
]


def test_what_is_no_count_is_refused_whole(office: Office) -> None:
    for row, why in REFUSED:
        with pytest.raises(UnableToTakeLooksError, match=why):
            bring([("shop", START, 1, 0), row])
    assert rates.rates(checks=[c.id for c in sla.checks()], start=START, end=END) == []
    assert bring([("nobody", START, 1, 0)]) == (0, 0, ("nobody",))
    with pytest.raises(SlaError, match="another length"):
        office.add_check(kind="requests", target="api", every_s=600)
    with pytest.raises(SlaError, match="fill a day"):
        office.add_check(kind="requests", target="api", every_s=7_000)


def test_counts_come_by_rest_and_csv_and_from_prometheus_answers(office: Office, client: Any, tmp_path: Path) -> None:
    token = tokens.make_token(name="lb", scopes=["uptime:write"], at=clock.now(), actor="test")[0]
    body = {"slots": [{"name": "shop", "at": "2026-10-05T10:00:00Z", "requests": 7, "errors": 2}]}

    def post(given: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return client.post("/api/v1/uptime/requests", given, content_type="application/json", headers=headers)

    assert post(body).json() == {"accepted": 1, "doubles": 0, "unknown": []}
    assert post(body).json() == {"accepted": 0, "doubles": 1, "unknown": []}
    body["slots"][0]["at"] = "2026-10-05T10:01:00Z"
    assert post(body).status_code == 422
    text = "name,at,requests,errors\nshop,2026-10-05T10:00:00Z,5,1\n"
    assert reading.counts(text)
    assert reading.counted_table(text) == [("shop", instant("2026-10-05T10:00"), 5, 1)]
    with pytest.raises(reading.UnableToReadUptimeError, match="line 2"):
        reading.counted_table(text.replace(",5,", ",many,"))
    at = instant("2026-10-05T10:05").timestamp()

    def answer(*values: str) -> dict[str, Any]:
        points = [[at + 300 * n, value] for n, value in enumerate(values)]
        return {"status": "success", "data": {"result": [{"metric": {"job": "shop"}, "values": points}]}}

    none = {"status": "success", "data": {"result": []}}
    ten = instant("2026-10-05T10:00")
    assert reading.counted(answer("10.3448", "0"), answer("1.0344"), "job", 300) == [
        ("shop", ten, 10, 1),
        ("shop", ten + FIVE, 0, 0),
    ]
    assert reading.counted(answer("10"), none, "job", 300) == [("shop", ten, 10, 0)]
    for wrong in ("NaN", "-1", "+Inf"):
        with pytest.raises(reading.UnableToReadUptimeError, match="expected a count"):
            reading.counted(answer(wrong), none, "job", 300)
