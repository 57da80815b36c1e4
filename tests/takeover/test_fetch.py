"""WHMCS asked live, by calls that only read; the folder it leaves is read as any other, and none is left half."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from coulance.integrations.takeover.reading import read_source
from coulance.integrations.takeover.whmcs_api import READS, UnableToFetchError, WhmcsApi, fetch
from tests.takeover.whmcs_source import Whmcs

ASKED = {"identifier": "id-1", "secret": "very-secret"}


class Server:
    """The old system behind its API: pages of at most three, whatever is asked for."""

    def __init__(self, old: Whmcs) -> None:
        self.old, self.asked, self.down_after = old, [], 10**9
        self.lists = {
            "GetClients": ("clients", "client", old.clients),
            "GetContacts": ("contacts", "contact", old.contacts),
            "GetClientsProducts": ("products", "product", old.products),
            "GetClientsAddons": ("addons", "addon", old.addons),
            "GetClientsDomains": ("domains", "domain", old.domains),
            "GetPromotions": ("promotions", "promotion", old.promotions),
            "GetClientGroups": ("groups", "group", old.groups),
            "GetInvoices": ("invoices", "invoice", [{**one, "id": one["invoiceid"]} for one in old.invoices]),
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = {key: values[0] for key, values in parse_qs(request.content.decode()).items()}
        self.asked.append(form["action"])
        assert (form["identifier"], form["secret"], form["responsetype"]) == ("id-1", "very-secret", "json")
        assert request.method == "POST"
        if len(self.asked) > self.down_after:
            return httpx.Response(503, text="down for maintenance")
        return httpx.Response(200, json={"result": "success", **self.answer(form)})

    def answer(self, form: dict[str, str]) -> dict[str, Any]:
        action = form["action"]
        if action in self.lists:
            plural, singular, rows = self.lists[action]
            start, most = int(form.get("limitstart", "0")), 3 if "limitstart" in form else len(rows)
            part = [{key: value for key, value in row.items() if key not in ("items", "transactions", "balance")}
                    for row in rows[start : start + most]]  # fmt: skip
            return {"totalresults": str(len(rows)), "startnumber": start, plural: {singular: part}}
        if action == "GetClientsDetails":
            return {"client": {**self.old.client(int(form["clientid"])), "password": "$2y$10$hash", "notes": "private"}}
        if action == "GetInvoice":
            return self.old.invoice(int(form["invoiceid"]))
        if action == "GetCredits":
            rows = self.old.credits.get(form["clientid"], [])
            return {
                "totalresults": len(rows),
                "clientid": form["clientid"],
                "credits": {"credit": rows} if rows else "",
            }
        if action == "GetPayMethods":
            return {"clientid": form["clientid"], "paymethods": []}
        return {"totalresults": 1, "currencies": {"currency": [{"id": 1, "code": "EUR"}]}}


def api(server: Server) -> WhmcsApi:
    return WhmcsApi("https://old.example/whmcs", **ASKED, transport=httpx.MockTransport(server))


def test_what_is_fetched_is_what_files_say(provider: Any, old: Whmcs, folder: Path, tmp_path: Path) -> None:
    where, mapping = old.write(folder)
    server = Server(old)
    with api(server) as asked:
        done = fetch(asked, tmp_path / "live", paid_since="2025-10-01")
    assert not (tmp_path / "live" / "invoice-5007.json").exists()  # paid in 2024
    assert (done.calls, set(server.asked) <= READS) == (len(server.asked), True)
    for name in ("mandates.csv", "clauses.csv"):
        (tmp_path / "live" / name).write_text((where / name).read_text())
    live, files = read_source(tmp_path / "live", mapping), read_source(where, mapping)
    assert live.book is not None and files.book is not None  # noqa: PT018
    assert [one for one in live.findings if one.stops] == []
    for rows in ("customers", "services", "items", "prepaid", "clauses", "contacts"):
        ours, theirs = ([{k: getattr(row, k) for k in row.__slots__ if k != "where"} for row in getattr(book, rows)]
                        for book in (live.book, files.book))  # fmt: skip
        assert sorted(map(str, ours)) == sorted(map(str, theirs)), rows
    kept = "".join(path.read_text() for path in (tmp_path / "live").iterdir())
    assert not any(secret in kept for secret in ("$2y$10$hash", "private", "very-secret"))


def test_a_fetch_that_fails_leaves_no_folder(old: Whmcs, tmp_path: Path) -> None:
    server = Server(old)
    server.down_after = 30
    with api(server) as asked, pytest.raises(UnableToFetchError, match="status 503") as fault:
        fetch(asked, tmp_path / "live")
    assert "very-secret" not in str(fault.value)
    assert list(tmp_path.iterdir()) == []


def test_only_calls_that_read_are_made(old: Whmcs) -> None:
    with api(Server(old)) as asked, pytest.raises(UnableToFetchError, match="only calls that read"):
        asked.call("DeleteClient", clientid="1")
    with pytest.raises(UnableToFetchError, match="https"):
        WhmcsApi("http://old.example", **ASKED)


def test_a_folder_that_holds_files_is_not_touched(old: Whmcs, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with api(Server(old)) as asked, pytest.raises(UnableToFetchError, match="holds files"):
        fetch(asked, tmp_path)
    assert (tmp_path / "kept.txt").read_text() == "mine"


def test_the_pace_is_kept(old: Whmcs, tmp_path: Path) -> None:
    pauses: list[int] = []
    server = Server(old)
    with WhmcsApi("https://old.example", **ASKED, transport=httpx.MockTransport(server),
                  pause=lambda: pauses.append(1)) as asked:  # fmt: skip
        done = fetch(asked, tmp_path / "live")
    assert len(pauses) == done.calls - 1


def test_an_answer_that_is_no_json_is_told(tmp_path: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
    asked = WhmcsApi("https://old.example", **ASKED, transport=transport)
    with asked, pytest.raises(UnableToFetchError, match="it is no JSON"):
        fetch(asked, tmp_path / "live")
