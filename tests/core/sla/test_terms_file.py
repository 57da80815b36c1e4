"""`[sla]` tables: published terms expressed, every fault named by its field, a tier table proved to the very tier."""

import tomllib
from fractions import Fraction
from typing import Any

import pytest

from coulance_core.kernel import Money
from coulance_core.sla.composite import quote
from coulance_core.sla.paying import Pays
from coulance_core.sla.terms import ErrorTiers, FreeSlots, Multiple, Steps, Tiers, Together, UptimeTerms
from coulance_core.sla.terms_file import judge, parse_sla

F = Fraction


def terms(body: str, head: str = "") -> UptimeTerms:
    """The terms of one table."""
    text = f'[[terms]]\nname = "t"\nfrom = 2026-01-01\n{head}\n{body}'
    data = tomllib.loads(text)
    assert not list(judge(data)), list(judge(data))
    (one,) = parse_sla(data).promises
    return one.terms


PUBLISHED = {
    "EC2 instance": (
        'target = "99.5"\nmaintenance = { credited = true }\ntogether = "best"',
        (
            '[[terms.credit]]\nkind = "tiers"\ntiers = [{ below = "99.5", credit = "10 %" }, '
            '{ below = "99", credit = "30 %" }, { below = "95", credit = "100 %" }]\n'
            '[[terms.credit]]\nkind = "free_slots"\nslot = "1 h"\nover = "6 min"'
        ),
        (Tiers, FreeSlots),
    ),
    "S3": (
        'target = "99.9"',
        (
            '[[terms.credit]]\nkind = "error_tiers"\ntiers = [{ below = "99.9", credit = "10 %" }, '
            '{ below = "99", credit = "25 %" }, { below = "95", credit = "100 %" }]'
        ),
        (ErrorTiers,),
    ),
    "DigitalOcean": (
        'target = "99.99"\nshortest = "5 min"',
        '[[terms.credit]]\nkind = "multiple"',
        (Multiple,),
    ),
    "OVH": (
        (
            'target = "99.95"\nbeyond_target = true\nshortest = "3 min"\nsupplier = "OVH"\ncounts_from = "reported"\n'
            'claim_days = 30\nfee = "100.00 EUR"\ncaps = { period = "30 %" }'
        ),
        '[[terms.credit]]\nkind = "steps"\nstep = "1 h"\ncredit = "5 %"\ncount = "started"',
        (Steps,),
    ),
    "Cloudflare Business": (
        'target = "100"\ncaps = { year = "100 %" }',
        '[[terms.credit]]\nkind = "multiple"\nby_affected = true',
        (Multiple,),
    ),
    "UpCloud": (
        'target = "100"\nshortest = "5 min"\ncaps = { before = "100 %" }',
        '[[terms.credit]]\nkind = "multiple"\ntimes = 50',
        (Multiple,),
    ),
    "GCE": (
        (
            'target = "99.99"\nwhole = "whole_minutes"\ncaps = { period = "50 %" }\nsupplier = "Google"\n'
            'claim_days = 30\nfee = "80.00 USD"'
        ),
        (
            '[[terms.credit]]\nkind = "tiers"\ntiers = [{ from = "99.99", credit = "0 %" }, '
            '{ from = "99", below = "99.99", credit = "10 %" }, { from = "95", below = "99", credit = "25 %" }, '
            '{ from = "0", below = "95", credit = "50 %" }]'
        ),
        (Tiers,),
    ),
    "a day for each half hour": (
        'target = "99.9"\nhours = { zone = "Europe/Amsterdam", mon = ["09:00-17:00"], holidays = ["2026-04-27"] }',
        '[[terms.credit]]\nkind = "steps"\nstep = "30 min"\ndays = 1\nper_outage = false',
        (Steps,),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_terms_are_expressed(name: str) -> None:
    head, body, kinds = PUBLISHED[name]
    assert tuple(type(model) for model in terms(body, head).models) == kinds


MODEL = '\n[[terms.credit]]\nkind = "multiple"'
FAULTY: list[tuple[str, str, str]] = [
    ("a gap", '{ from = "0", below = "98.9", credit = "25 %" }, { from = "99", credit = "0 %" }', "tiers[1]"),
    ("an overlap", '{ from = "0", below = "99.5", credit = "25 %" }, { from = "99", credit = "0 %" }', "tiers[1]"),
    ("less for more", '{ below = "99", credit = "10 %" }, { below = "95", credit = "5 %" }', "tiers"),
    ("said twice", '{ below = "99", credit = "10 %" }, { below = "99", credit = "5 %" }', "tiers[1]"),
]


def test_a_tier_table_is_proved_to_the_very_tier() -> None:
    for what, tiers, where in FAULTY:
        text = (
            '[[terms]]\nname = "t"\nfrom = 2026-01-01\ntarget = "99"\n[[terms.credit]]\nkind = "tiers"\n'
            f"tiers = [{tiers}]"
        )
        (fault, *_) = judge(tomllib.loads(text))
        assert fault.field.startswith(f"terms[0].credit[0].{where}"), (what, fault)


def test_every_fault_is_named_by_its_field() -> None:
    data: dict[str, Any] = {
        "pays": ["gold"],
        "terms": [
            {"name": "Gold!", "from": "2026-01-01", "target": 99.9, "odd": 1, "credit": [{"kind": "multiple"}]},
            {
                "name": "b",
                "from": "2026-01-01",
                "target": "99",
                "claim_days": 3,
                "credit": [{"kind": "steps", "step": 5}],
            },
            {"name": "c", "from": "2026-01-01", "target": "99", "supplier": "X", "credit": [{"kind": "multiple"}]},
            {"name": "d", "from": "2026-01-01", "target": "99", "credit": []},
        ],
        "composite": {"x": {"parts": [{"part": "nothing"}]}, "y": {"form": "k_of_n", "k": 3, "parts": []}},
    }
    found = {fault.field for fault in judge(data)}
    assert found >= {
        "pays[0]",
        "terms[0].name",
        "terms[0].target",
        "terms[0].odd",
        "terms[1].credit[0].step",
        "terms[2].fee",
        "terms[3]",
        "composite.x.parts[0].part",
        "composite.y.parts",
    }


def test_versions_plans_and_payment() -> None:
    table = parse_sla(
        tomllib.loads(
            'pays = ["wallet", "invoice"]\ncarry_below = ["1.00 EUR"]\n'
            '[[terms]]\nname = "gold"\nfrom = 2026-01-01\ntarget = "99"\nplans = ["vps"]\n[[terms.credit]]\n'
            'kind = "multiple"\n[[terms]]\nname = "gold"\nfrom = 2026-06-01\ntarget = "99.9"\nplans = ["vps"]\n'
            'together = "best"\n[[terms.credit]]\nkind = "multiple"\n'
            '[composite.site]\nparts = [{ part = "gold" }, { part = "net", availability = "99.6 %" }, '
            '{ form = "parallel", parts = [{ part = "a", availability = "99 %" }, '
            '{ part = "b", availability = "99 %" }] }]'
        )
    )
    from datetime import date

    old, new = table.of_plan("vps", date(2026, 5, 31)), table.of_plan("vps@2026-06-01", date(2026, 6, 1))
    assert old is not None
    assert new is not None
    assert (old.terms.target, new.terms.target, new.terms.together) == (F(99), F("99.9"), Together.BEST)
    assert table.of_plan("other", date(2026, 6, 1)) is None
    assert (table.pays, table.carry_below) == ((Pays.WALLET, Pays.INVOICE), (Money(100, "EUR"),))
    sold = table.composites["site"]
    found = quote(sold.whole, dict(sold.availability))
    assert found.independent == F("0.999") * F("0.996") * (1 - F("0.01") ** 2)
