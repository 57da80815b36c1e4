"""WHMCS live: its answers fetched into a folder by calls that only read, page by page, to be read from there.

A folder of answers is evidence: a plan and its apply read the very same. It comes into being whole: it is written
beside and renamed when everything is there. What no take-over needs (passwords, notes, logins) is not kept.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

READS = frozenset(
    "GetClients GetClientsDetails GetContacts GetClientsProducts GetInvoices GetInvoice GetCredits GetPayMethods "
    "GetCurrencies GetClientsAddons GetClientsDomains GetPromotions GetClientGroups".split()
)
"""The calls that are made, and no others."""
_SECRET = frozenset(
    "password passwordhash securityqans securityqid pwresetkey pwresetexpiry lastlogin cclastfour cctype cardnum "
    "expdate card_last_four expiry_date remote_token username subscriptionid notes ip host stats serverid serverip "
    "permissions".split()
)
_LARGEST = 64 * 1024 * 1024
_PAGE = 250
_OPEN = ("Unpaid", "Collections", "Payment Pending")


class UnableToFetchError(RuntimeError):
    """WHMCS could not be asked, or answered otherwise than expected; no folder was made."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched: calls made, and files written."""

    calls: int
    files: int


class WhmcsApi:
    """The API of one WHMCS, with the pace at which it is asked. Use it in a `with`."""

    def __init__(
        self,
        url: str,
        *,
        identifier: str,
        secret: str,
        access_key: str = "",
        pause: Callable[[], None] = lambda: None,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        place = urlsplit(url)
        if place.scheme != "https" and place.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise UnableToFetchError(f"{url}: expected an address that begins with https://")
        self.url = url.rstrip("/") + ("" if url.endswith(".php") else "/includes/api.php")
        self.pause, self.calls = pause, 0
        self._keys = {"identifier": identifier, "secret": secret, "responsetype": "json"}
        if access_key:
            self._keys["accesskey"] = access_key
        self._client = httpx.Client(
            timeout=timeout_s, follow_redirects=False, trust_env=False, transport=transport,
            headers={"User-Agent": "coulance", "Accept": "application/json"},
        )  # fmt: skip

    def __enter__(self) -> "WhmcsApi":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, action: str, **parameters: str) -> dict[str, Any]:
        """One answer. Raises `UnableToFetchError`; its message never holds a key."""
        if action not in READS:
            raise UnableToFetchError(f"{action}: only calls that read are made")
        if self.calls:
            self.pause()
        self.calls += 1
        try:
            with self._client.stream("POST", self.url, data={**self._keys, "action": action, **parameters}) as answer:
                body = bytearray()
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _LARGEST:
                        raise UnableToFetchError(f"{action}: the answer is larger than {_LARGEST} bytes")
        except httpx.HTTPError as error:
            raise UnableToFetchError(f"{action}: {type(error).__name__}: no answer from {self.url}") from error
        try:
            value = json.loads(bytes(body))
        except ValueError:
            value = None
        if answer.status_code != 200 or not isinstance(value, dict) or value.get("result") != "success":
            said = str(value.get("message", ""))[:200] if isinstance(value, dict) else "it is no JSON"
            hint = " (may the credential make this call, from this address?)" if answer.status_code == 403 else ""
            raise UnableToFetchError(f"{action}: status {answer.status_code}: {said}{hint}")
        return value

    def pages(self, action: str, plural: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """A list, page by page, until all that it says there are came."""
        start = 0
        while True:
            value = self.call(action, limitstart=str(start), limitnum=str(_PAGE), **parameters)
            value["startnumber"] = start
            count = _count(value.get(plural))
            yield value
            start += count
            total = str(value.get("totalresults", start))
            if start >= (int(total) if total.isdigit() else start):
                return
            if not count:
                raise UnableToFetchError(f"{action}: {start} of {total} came, and then an empty page: fetch again")


def fetch(api: WhmcsApi, folder: Path, *, paid_since: str = "") -> Fetched:
    """Fetch everything a take-over needs into a new folder. Raises `UnableToFetchError`; no folder is left then.

    Lines of paid invoices are asked of those issued from `paid_since` (2025-10-01) on: they tell what overage was paid.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UnableToFetchError(f"{folder} holds files already: name a folder that is not there")
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True, mode=0o700)
    try:
        for name, value in _answers(api, paid_since):
            path = beside / f"{name}.json"
            path.touch(mode=0o600)
            path.write_text(json.dumps(_kept(value), ensure_ascii=False, indent=1), encoding="utf-8")
        files = len(list(beside.iterdir()))
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return Fetched(api.calls, files)


def _answers(api: WhmcsApi, paid_since: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "currencies", api.call("GetCurrencies")
    clients: list[str] = []
    for page, value in enumerate(api.pages("GetClients", "clients"), 1):
        yield f"clients-{page}", value
        clients += [str(row["id"]) for row in _rows(value.get("clients")) if "id" in row]
    for client in clients:
        yield f"client-{client}", api.call("GetClientsDetails", clientid=client, stats="false")
        yield f"credits-{client}", api.call("GetCredits", clientid=client)
        yield f"paymethods-{client}", api.call("GetPayMethods", clientid=client)
    for page, value in enumerate(api.pages("GetContacts", "contacts"), 1):
        yield f"contacts-{page}", value
    for page, value in enumerate(api.pages("GetClientsProducts", "products"), 1):
        yield f"products-{page}", value
    yield "addons", api.call("GetClientsAddons")
    for page, value in enumerate(api.pages("GetClientsDomains", "domains"), 1):
        yield f"domains-{page}", value
    yield "promotions", api.call("GetPromotions")
    yield "groups", api.call("GetClientGroups")
    for page, value in enumerate(api.pages("GetInvoices", "invoices"), 1):
        yield f"invoices-{page}", value
        for row in _rows(value.get("invoices")):
            status, issued = str(row.get("status")), str(row.get("date", ""))
            if status in _OPEN or (status == "Paid" and issued >= paid_since):
                yield f"invoice-{row['id']}", api.call("GetInvoice", invoiceid=str(row["id"]))


def _rows(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        value = next((held for held in value.values() if isinstance(held, list)), [value] if "id" in value else [])
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _count(value: Any) -> int:
    return len(_rows(value))


def _kept(value: Any) -> Any:
    """An answer without what no take-over needs."""
    if isinstance(value, dict):
        return {key: _kept(held) for key, held in value.items() if key.lower() not in _SECRET}
    if isinstance(value, list):
        return [_kept(held) for held in value]
    return value
