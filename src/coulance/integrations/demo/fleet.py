"""Who the made-up provider's customers are and what they run: about 200 customers and 300 services, from one seed.

Most are ordinary. Some are the cases that billing gets wrong, and the demo's summary names them: a server attacked by
a flood, one whose process ran away in August, a colocated machine that used 400 GB a month until it used 3 TB once, a
customer who changes plan in mid-month, one who starts and one who leaves in mid-month, one whose collector's file came
after the month was closed, one whose log was counted again and again, and a few with a billing day of 15 or 31.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

FIRST = "Anna Bram Carla Daan Eva Femke Gijs Hanna Ivo Jet Kees Lotte Mees Noor Otto Pim Roos Sem Tess Wout Zoe".split()
LAST = "de Wit,Bakker,Visser,Smit,Mulder,Bos,Vos,Peters,Hendriks,Dekker,Brouwer,Kuipers,Prins,Post,Kok".split(",")
TRADE = "Webshop Atelier Studio Bakkerij Fietsen Advies Media Juweliers Tuinen Software Makelaars Drukkerij".split()
PLACE = "Noord Zuid Oost West Delta Polder Veluwe Amstel Maas Waal Vecht IJssel Duin Kade Gracht Sluis".split()
SUFFIX = {"NL": "BV", "BE": "BV", "DE": "GmbH", "FR": "SARL", "GB": "Ltd"}
CITY = {
    "NL": ("1012 AB", "Amsterdam"),
    "BE": ("9000", "Gent"),
    "DE": ("50667", "Köln"),
    "FR": ("59000", "Lille"),
    "GB": ("EC1A 1BB", "London"),
}


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """A customer: who they are, where, and on which day of the month they are billed."""

    external_id: str
    name: str
    kind: str
    country: str
    postcode: str
    city: str
    email: str
    contact: str
    language: str
    billing_day: int


@dataclass(frozen=True, slots=True)
class DemoService:
    """A service: its plan(s) over time, and how its traffic behaves.

    `plans` holds (plan key, quantity, from) in order: the first is ordered at the start, the others on their day, and
    `ended_on` is said on that day too. `profile` and `scale` shape the traffic; `incident` names what happens to it.
    """

    external_id: str
    account: str
    name: str
    kind: str
    plans: tuple[tuple[str, int, date], ...]
    profile: str
    scale: float
    incident: str = ""
    ended_on: date | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of it."""

    accounts: tuple[DemoAccount, ...]
    services: tuple[DemoService, ...]


# Kind of service, how many, its plans with weights, its traffic profiles, and the median and spread of their scale.
_MIX: tuple[tuple[str, int, tuple[tuple[str, float], ...], tuple[str, ...], tuple[float, float]], ...] = (
    ("vps", 140, (("vps-s", 0.5), ("vps-m", 0.35), ("vps-l", 0.15)), ("web", "shop", "office", "game"), (1.4, 0.8)),
    ("colo", 22, (("colo-100", 0.6), ("colo-flex", 0.4)), ("port", "port", "stream", "backup"), (0.9, 0.5)),
    ("mgmt", 6, (("colo-management", 1.0),), ("quiet",), (2.0, 0.5)),
    ("fleet", 42, (("fleet-node", 1.0),), ("web", "shop", "game", "stream"), (1.4, 0.6)),
    ("objects", 26, (("objects", 1.0),), ("storage",), (900.0, 0.8)),
    ("mail", 24, (("mail", 1.0),), ("seats",), (9.0, 0.7)),
    ("seats", 8, (("seats", 1.0),), ("none",), (1.0, 0.1)),
    ("web", 28, (("web-basic", 1.0),), ("quiet", "web"), (0.8, 0.8)),
    ("shop", 5, (("web-shop", 1.0),), ("visits",), (1.0, 0.6)),
    ("managed", 3, (("managed", 1.0),), ("stream",), (0.8, 0.4)),
)
OPENING = date(2026, 7, 1)
"""The day the made-up provider opened: every service starts then, but for the one that starts later."""


def fleet(seed: int, *, accounts: int = 200) -> Fleet:
    """The same fleet for the same seed; `accounts` scales it, the services go along in proportion."""
    rng = np.random.default_rng([seed, 7])
    people = tuple(_accounts(rng, accounts))
    return Fleet(people, tuple(_services(rng, people, accounts / 200)))


def _accounts(rng: np.random.Generator, count: int) -> Iterator[DemoAccount]:
    taken: set[str] = set()
    for i in range(count):
        country = str(rng.choice(["NL", "NL", "NL", "NL", "NL", "NL", "NL", "BE", "DE", "FR", "GB"]))
        person = f"{rng.choice(FIRST)} {rng.choice(LAST)}"
        consumer = rng.random() < 0.28
        while True:
            name = person if consumer else f"{rng.choice(TRADE)} {rng.choice(PLACE)} {SUFFIX[country]}"
            if name not in taken:
                break
            person = f"{rng.choice(FIRST)} {chr(65 + int(rng.integers(26)))}. {rng.choice(LAST)}"
            name = f"{rng.choice(TRADE)} {person.split()[-1]} {rng.choice(PLACE)} {SUFFIX[country]}"
            if not consumer and name not in taken:
                break
        taken.add(name)
        code = f"C{1001 + i}"
        postcode, city = CITY[country]
        yield DemoAccount(
            external_id=code,
            name=name,
            kind="consumer" if consumer else ("public" if rng.random() < 0.05 else "business"),
            country=country,
            postcode=postcode,
            city=city,
            email=f"billing@{code.lower()}.example",
            contact=person,
            language="nl" if country in ("NL", "BE") and rng.random() < 0.6 else "en",
            billing_day=15 if i in (17, 90) else 31 if i == 46 else 1,
        )


def _services(rng: np.random.Generator, accounts: tuple[DemoAccount, ...], share: float) -> Iterator[DemoService]:
    number = 0
    for kind, count, plans, profiles, (center, spread) in _MIX:
        many = max(1, round(count * share))
        # A pool is only worth its name with several members: nodes come in threes, other services one a customer.
        owners = rng.permutation(len(accounts))
        for i in range(many):
            owner = accounts[int(owners[(i // 3 if kind == "fleet" else i) % len(owners)])]
            number += 1
            plan = str(rng.choice([p for p, _ in plans], p=[w for _, w in plans]))
            service = DemoService(
                external_id=f"{kind}-{number:04d}",
                account=owner.external_id,
                name=f"{kind}{i + 1}.{owner.external_id.lower()}.example",
                kind=kind,
                plans=((plan, int(rng.integers(3, 40)) if kind == "seats" else 1, OPENING),),
                profile=str(rng.choice(profiles)),
                scale=float(center * rng.lognormal(0, spread)),
            )
            yield _with_incident(service, i)


def _with_incident(service: DemoService, i: int) -> DemoService:
    """The stories of the demo, each at a fixed place in the fleet."""

    def change(**fields: object) -> DemoService:
        values = {name: getattr(service, name) for name in DemoService.__slots__}
        return DemoService(**(values | fields))

    match service.kind, i:
        case "vps", 3:
            return change(incident="flood", profile="web", plans=(("vps-s", 1, OPENING),), scale=0.6)
        case "vps", 7:
            return change(incident="runaway", profile="web", plans=(("vps-s", 1, OPENING),), scale=0.5)
        case "vps", 11:
            plans = (("vps-s", 1, OPENING), ("vps-m", 1, date(2026, 8, 12)))
            return change(incident="plan change", profile="shop", plans=plans, scale=2.6)
        case "vps", 15:
            return change(incident="starts mid-month", plans=(("vps-m", 1, date(2026, 7, 10)),))
        case "vps", 19:
            return change(incident="ends mid-month", ended_on=date(2026, 9, 20))
        case "vps", 23:
            return change(incident="counter reset")
        case "vps", 35:
            return change(incident="unknown series")
        case "mgmt", 2:
            return change(incident="32-bit counter wraps", scale=6.0)
        case "web", 3:
            return change(incident="counted again", profile="web", scale=2.4)
        case "web", 6:
            return change(incident="late files", profile="web", scale=4.0)
        case "colo", 5:
            return change(incident="3 TB once", profile="quiet", scale=20.0, plans=(("colo-flex", 1, OPENING),))
    return service
