"""What customers paid before is what the next bill says, to the cent: prices, discounts, options, domains, addons."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.take_over.prices import with_prices_judged
from coulance.integrations.takeover.reading import read_source
from coulance.payments import queries as payments
from coulance.services import queries as services
from coulance_core.taking_over import judge
from tests.takeover.move import move, read, report, stops
from tests.takeover.test_other_sources import fossbilling, written
from tests.takeover.whmcs_source import MAPPING, Whmcs, addon, domain, invoice, line, made_up, product

OPTIONS = {"configoption": [{"id": "1", "option": "Extra IP", "type": "quantity", "value": "2"},
                            {"id": "2", "option": "Backups", "type": "yesno", "value": "No"}]}  # fmt: skip


def priced(old: Whmcs) -> Whmcs:
    """Services at prices of their own, each for a reason of its own."""
    old.products += [
        product(21, 21, recurringamount="3.33"),  # agreed with this customer
        product(22, 22, recurringamount="9.50", configoptions=OPTIONS),
        product(23, 23, recurringamount="4.25", promoid="7"),
        product(24, 24, recurringamount="4.01"),  # of a group with 10 % off: 3.609, rounded 3.61
        product(25, 25, qty=3, recurringamount="13.37"),
    ]
    old.promotions = [
        {"id": "7", "code": "SUMMER", "type": "Percentage", "recurring": "1", "value": "15.00", "recurfor": "0"},
        {"id": "8", "code": "FIRST", "type": "Percentage", "recurring": "1", "value": "50.00", "recurfor": "3"},
    ]
    old.groups = [{"id": "4", "groupname": "Resellers", "groupcolour": "", "discountpercent": "10.00"}]
    old.client(24)["groupid"] = 4
    old.addons = [addon(1, 21, 21), addon(2, 22, 22, recurring="7.77"), addon(3, 23, 23, status="Cancelled")]
    old.domains = [
        domain(1, 21, "een.nl"),
        domain(2, 22, "two.co.uk", recurringamount="9.99", nextduedate="2026-11-15"),  # billed: paid once it is
        domain(3, 23, "drie.nl", donotrenew="1"),
        domain(4, 24, "vier.nl", status="Expired"),
    ]
    old.invoices.append(
        invoice(7001, 22, "9.99", [line("11.99", "Domain Renewal - two.co.uk - 1 Year/s (15/11/2026 - 14/11/2027)",
                                        "Domain", 2), line("-2.00", "Promotional Code: X", "PromoDomain", 2)])
    )  # fmt: skip
    return old


def test_every_service_costs_here_what_it_cost_there(provider: Any, old: Whmcs, folder: Path) -> None:
    done = move(read(priced(old), folder))
    assert ([str(one) for one in done.findings if one.stops], done.differences, done.applied) == ([], (), True)
    known = services.services_by_external_id(
        {"s21", "s22", "s23", "s24", "s25", "s1", "saddon-1", "saddon-2", "sdomain-1", "sdomain-2", "sdomain-3"}
    )
    agreed = services.agreed_prices([row.id for row in known.values()])
    assert {
        row.external_id: [(str(one.amount), one.words) for one in agreed.get(row.id, ())] for row in known.values()
    } == {
        "s1": [],  # the plan's own price
        "s21": [("3.33 EUR", "as agreed")],
        "s22": [("9.50 EUR", "as agreed; Extra IP: 2")],
        "s23": [("4.25 EUR", "as agreed; promotion SUMMER")],
        "s24": [("3.61 EUR", "as agreed; Resellers 10 %")],
        "s25": [("13.37 EUR", "as agreed")],
        "saddon-1": [],
        "saddon-2": [("7.77 EUR", "as agreed")],
        "sdomain-1": [],
        "sdomain-2": [("9.99 EUR", "as agreed")],
        "sdomain-3": [],
    }
    assert (known["sdomain-2"].billed_until, known["sdomain-3"].ended_on) == (date(2027, 11, 15), date(2026, 12, 15))
    assert known["sdomain-1"].started_on == date(2024, 12, 15)
    provider.close("2026-10")  # November in advance
    for account, said in (
        ("w21", "base s21 11-01..12-01 1 at 3.33: 3.33"),
        ("w21", "base saddon-1 11-01..12-01 1 at 5: 5.00"),
        ("w22", "base s22 11-01..12-01 1 at 9.5: 9.50"),
        ("w22", "base saddon-2 11-01..12-01 1 at 7.77: 7.77"),
        ("w23", "base s23 11-01..12-01 1 at 4.25: 4.25"),
        ("w24", "base s24 11-01..12-01 1 at 3.61: 3.61"),
        ("w25", "base s25 11-01..12-01 1 at 13.37: 13.37"),
    ):
        assert said in provider.papers(account)
    assert "domain" not in provider.papers("w22")  # its open invoice bills it until November 2027
    again = move(read(old, folder))
    assert (again.applied, sum(again.fresh.values()), again.differences) == (True, 0, ())
    old.product(21)["recurringamount"] = "3.99"
    told = report(read(old, folder)).reconciliation
    assert told is not None
    assert [(one.name, one.field) for one in told.differences] == [("s21", "price")]


def test_a_provider_may_choose_their_own_prices_and_sees_whom_that_touches(
    provider: Any, old: Whmcs, folder: Path
) -> None:
    old.mapping = MAPPING.replace("dates = ", 'prices = "ours"\ndates = ')
    done = move(read(priced(old), folder))
    assert (done.applied, done.differences) == (True, ())
    touched = {one.where.name for one in done.findings if one.code == "price-differs"}
    assert {"product 21", "product 22", "product 25", "addon 2", "domain 2"} <= touched
    provider.close("2026-10")
    assert "base s21 11-01..12-01 1 at 5: 5.00" in provider.papers("w21")


def test_mandates_come_from_the_fields_that_modules_keep_them_in(provider: Any, old: Whmcs, folder: Path) -> None:
    old.mapping = MAPPING + "\n[mandates]\niban = 5\nreference = 6\nsigned_on = 7\n"
    old.client(3)["customfields"] = [{"id": 5, "value": "NL91 ABNA 0417 1643 00"}, {"id": 6, "value": "WH-3"},
                                     {"id": 7, "value": "01/05/2023"}]  # fmt: skip
    old.client(4)["customfields"] = [{"id": 5, "value": ""}]
    done = move(read(old, folder))
    assert (stops(done), done.differences) == ([], ())
    [row] = payments.mandates(accounts=[customers.account("w3").id])
    assert (row.reference, row.iban, row.signed_on, row.holder) == (
        "WH-3", "NL91ABNA0417164300", date(2023, 5, 1), "Jan Client 3",
    )  # fmt: skip


Plant = Callable[[Whmcs], Any]
FAULTS: list[tuple[str, Plant, str, str]] = [
    ("a price that an open invoice contradicts", lambda o: o.product(2).update(recurringamount="6.00"),
     "price-differs", "products.json:2 (product 2)"),
    ("a promotion that ends", lambda o: o.product(23).update(promoid="8"),
     "promotion-ends", "products.json:16 (product 23)"),
    ("a cycle that the plan does not have", lambda o: o.product(21).update(billingcycle="Annually",
     nextduedate="2027-11-01", pid=2), "unmapped-cycle", "products.json:14 (product 21)"),
    ("a domain of two years on a plan of one", lambda o: (o.domains[0].update(regperiod="2"), setattr(o, "mapping",
     MAPPING.replace('[domains.nl]', '[domains.nl]\ncycles = { Biennially = "domain" }'))),
     "cycle-differs", "domains.json:1 (domain 1)"),
    ("a domain whose ending nobody mapped", lambda o: o.domains[0].update(domainname="een.de"),
     "unknown-product", "domains.json:1 (domain 1)"),
    ("a domain of a state nobody knows", lambda o: o.domains[0].update(status="Parked"),
     "unknown-status", "domains.json:1 (domain 1)"),
    ("a domain of an unknown client", lambda o: o.domains[0].update(userid="999"),
     "service-of-nobody", "domains.json:1 (domain 1)"),
    ("an addon that nobody mapped", lambda o: o.addons[0].update(addonid="9"),
     "unknown-product", "addons.json:1 (addon 1)"),
    ("an addon without a day it is due", lambda o: o.addons[0].update(nextduedate="0000-00-00"),
     "bad-date", "addons.json:1 (addon 1)"),
    ("an addon at a price below zero", lambda o: o.addons[0].update(recurring="-1.00"),
     "bad-amount", "addons.json:1 (addon 1)"),
    ("an addon at a price that is no amount", lambda o: o.addons[0].update(recurring="five"),
     "bad-amount", "addons.json:1 (addon 1)"),
    ("a domain whose period nobody knows", lambda o: o.domains[0].update(regperiod="eleven"),
     "unknown-cycle", "domains.json:1 (domain 1)"),
    ("prices with tax where ours are without", lambda o: (setattr(o, "mapping", MAPPING.replace("exclusive",
     "inclusive"))), "price-and-tax", "products.json:14 (product 21)"),
    ("a mandate in a field whose IBAN is mistyped", lambda o: (setattr(o, "mapping", MAPPING
     + '\n[mandates]\niban = 5\nreference = 6\nsigned_on = 7\n'), o.client(3).update(customfields5="NL92ABNA0417164300",
     customfields6="R", customfields7="2023-05-01")), "bad-iban", "clients-1.json:3 (client 3)"),
    ("a mandate in a field without its signature", lambda o: (setattr(o, "mapping", MAPPING
     + '\n[mandates]\niban = 5\nreference = 6\nsigned_on = 7\n'), o.client(3).update(customfields5="NL91ABNA0417164300",
     customfields6="R")), "mandate-unsigned", "clients-1.json:3 (client 3)"),
    ("a mapping of mandates that lacks a field", lambda o: setattr(o, "mapping", MAPPING + "\n[mandates]\niban = 5\n"),
     "bad-mapping", "whmcs.toml (mandates)"),
    ("a price of a service that is not there", lambda o: o.texts.update({"prices.csv":
     "service,currency,amount\ns999,EUR,5.00\n"}), "price-of-nobody", "prices.csv:2 (service s999)"),
    ("a service that is priced twice", lambda o: o.texts.update({"prices.csv":
     "service,currency,amount\ns21,EUR,5.00\ns21,EUR,6.00\n"}), "duplicate-price", "prices.csv:3 (service s21)"),
    ("a price in another currency's name", lambda o: o.texts.update({"prices.csv":
     "service,currency,amount\ns21,EUX,5.00\n"}), "unknown-currency", "prices.csv:2 (service s21)"),
    ("a price every so many months that no plan bills", lambda o: o.texts.update({"prices.csv":
     "service,currency,amount,months\ns21,EUR,5.00,7\n"}), "cycle-differs", "products.json:14 (product 21)"),
]  # fmt: skip


def test_each_planted_fault_is_named_by_file_and_row(provider: Any, tmp_path: Path) -> None:
    """Nothing is written: one plan a fault, without a transaction of its own to take back."""
    terms = catalog.catalog()
    for number, (what, plant, code, where) in enumerate(FAULTS):
        old = priced(made_up())
        plant(old)
        place, mapping = old.write(tmp_path / str(number) / "whmcs")
        source = read_source(place, mapping)
        assert source.book is not None
        book, found = with_prices_judged(source.book, terms)
        told = {
            (one.code, str(one.where)) for one in (*source.findings, *found, *judge(book, terms.series)) if one.stops
        }
        assert (code, where) in told, (what, told)


def test_fossbilling_renews_at_price_times_number_less_a_promotion_that_recurs(provider: Any, tmp_path: Path) -> None:
    lists = fossbilling()
    lists["orders"][0].update(price="5.50", discount="1.50", promo_id=3, promo_recurring=1)
    lists["orders"][1].update(price="5.00", discount="1.00", promo_id=3, promo_recurring=0)
    source = written(tmp_path / "foss", lists, tables=False)
    assert source.book is not None
    assert {row.service: str(row.price) for row in source.book.services} == {
        "o7": "9.50 EUR a month (as agreed; promotion)",
        "o8": "5.00 EUR a month (as agreed)",
    }
    move(source)
    known = services.services_by_external_id({"o7", "o8"})
    assert [str(one.amount) for one in services.agreed_prices([known["o7"].id])[known["o7"].id]] == ["9.50 EUR"]
    assert services.agreed_prices([known["o8"].id]) == {}  # the plan's own price
    (tmp_path / "foss" / "prices.csv").write_text("service,currency,amount,words\no8,EUR,4.44,zoals afgesproken\n")
    again = read_source(tmp_path / "foss", tmp_path / "foss.toml")
    assert again.book is not None
    assert [str(row.price) for row in again.book.services if row.service == "o8"] == [
        "4.44 EUR a month (zoals afgesproken)"
    ]


def test_whmcs_exports_tell_prices_domains_and_addons_too(provider: Any, tmp_path: Path) -> None:
    folder = tmp_path / "whmcs"
    folder.mkdir()
    (tmp_path / "whmcs.toml").write_text(MAPPING.replace('"customer/40" = "a test account of ours"', ""))
    for name, text in {
        "clients": "ID,First Name,Last Name,Company Name,Country,Currency,Credit\n1,An,Lee,,NL,EUR,0.00\n",
        "services": "ID,Client ID,Product ID,Product Name,Recurring Amount,Billing Cycle,Next Due Date,"
        "Registration Date,Status\n1,1,1,VPS S,4.20,Monthly,01/12/2026,01/01/2025,Active\n",
        "invoices": "ID,Client ID,Creation Date,Due Date,Subtotal,Credit,Tax,Tax2,Total,Balance,Status\n",
        "transactions": "ID,Invoice ID,Amount In,Amount Out\n",
        "domains": "ID,Client ID,Domain Name,Registration Period,Registration Date,Next Due Date,Recurring Amount,"
        "Status\n5,1,an.nl,1,15/12/2024,15/12/2026,12.00,Active\n",
        "addons": "ID,Addon ID,Client ID,Name,Recurring,Billing Cycle,Status,Registration Date,Next Due Date\n"
        "8,2,1,Backups,6.00,Monthly,Active,01/01/2025,01/12/2026\n",
    }.items():
        (folder / f"{name}.csv").write_text(text)
    done = move(read_source(folder, tmp_path / "whmcs.toml"))
    assert (stops(done), done.applied, done.differences) == ([], True, ())
    assert {row.service: str(row.price) for row in done.book.services} == {
        "s1": "4.20 EUR a month (as agreed)", "sdomain-5": "None", "saddon-8": "6.00 EUR a month (as agreed)",
    }  # fmt: skip
