"""The access point over HTTP: hands documents to the Peppol network and asks what became of them.

Where it is and its token are one secret, `peppol`: `https://token:SECRET@access-point.example/v1`. What it must
speak is plain (docs/e-invoices.md): POST `/documents` with metadata and document as multipart, GET `/documents/{id}`.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx

from coulance.invoicing.einvoice.ubl_writer import CREDIT_NOTE, INVOICE, PEPPOL, PEPPOL_PROCESS
from coulance.invoicing.ports import AccessPointError, Answer, Outcome, Parcel
from coulance.platform.secret_store import secret
from coulance_core.invoicing.en16931_codes import Identifier

SECRET_NAME = "peppol"  # noqa: S105 - its name
_PARTICIPANT = "iso6523-actorid-upis"
_LONGEST = 200_000
_OUTCOMES = {
    "queued": Outcome.TAKEN,
    "accepted": Outcome.TAKEN,
    "processing": Outcome.TAKEN,
    "sent": Outcome.TAKEN,
    "delivered": Outcome.DELIVERED,
    "rejected": Outcome.REFUSED,
    "failed": Outcome.REFUSED,
}


class UnableToReachAccessPointError(RuntimeError):
    """The secret `peppol` is no address of an access point."""


class HttpAccessPoint:
    """An access point by its address and token. Follows no redirects; plain HTTP only to this machine."""

    def __init__(self, url: str, token: str, *, seconds: float = 20.0, transport: httpx.BaseTransport | None = None):
        self._client = httpx.Client(
            base_url=url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=seconds,
            follow_redirects=False,
            transport=transport,
            trust_env=False,
        )

    def submit(self, parcel: Parcel) -> Answer:
        """Hand over a document under its number as idempotency key."""
        about = {
            "number": parcel.number,
            "sender": _participant(parcel.sender),
            "receiver": _participant(parcel.receiver),
            "document_type": _document_type(parcel.credit_note),
            "process": f"cenbii-procid-ubl::{PEPPOL_PROCESS}",
        }
        return self._asked(
            "POST",
            "documents",
            headers={"Idempotency-Key": quote(parcel.number, safe="")},
            files={
                "metadata": ("metadata.json", json.dumps(about).encode(), "application/json"),
                "document": ("document.xml", parcel.xml, "application/xml"),
            },
        )

    def status(self, submission: str) -> Answer:
        """Ask what became of a submission."""
        return self._asked("GET", f"documents/{quote(submission, safe='')}")

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def _asked(self, method: str, path: str, **more: Any) -> Answer:
        try:
            answer = self._client.request(method, path, **more)
        except (httpx.HTTPError, OSError) as error:
            raise AccessPointError(f"the access point did not answer: {type(error).__name__}: {error}") from error
        body = _body(answer)
        said = _words(body)
        if answer.status_code in (401, 403):
            raise AccessPointError(f"the access point does not take our token ({answer.status_code}): {said}")
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500 or 300 <= answer.status_code < 400:
            raise AccessPointError(f"the access point answered {answer.status_code}: {said}")
        submission = str(body.get("id") or "")[:200]
        if answer.status_code == 409 and submission:
            return self.status(submission)
        if method == "GET" and answer.status_code in (404, 410):
            raise AccessPointError(f"the access point does not know its own submission ({answer.status_code}): {said}")
        if answer.status_code >= 400:
            return Answer(submission, Outcome.REFUSED, f"{answer.status_code}: {said}")
        outcome = _OUTCOMES.get(str(body.get("state") or ""))
        if outcome is None or not submission:
            raise AccessPointError(f"the access point's answer lacks an id or a known state: {str(body)[:300]}")
        return Answer(submission, outcome, said)


def access_point() -> HttpAccessPoint | None:
    """The one that the secret `peppol` names; none when it isn't set. Raises `UnableToReachAccessPointError`."""
    text = secret(SECRET_NAME)
    if not text:
        return None
    parts = urlsplit(text.strip())
    host = parts.hostname or ""
    here = host in ("127.0.0.1", "::1", "localhost")
    if parts.scheme not in ("https", "http") or not host or not parts.password or (parts.scheme == "http" and not here):
        raise UnableToReachAccessPointError(
            "the secret peppol is no address of an access point: expected https://token:SECRET@host/path"
        )
    place = f"[{host}]" if ":" in host else host
    place += f":{parts.port}" if parts.port else ""
    return HttpAccessPoint(urlunsplit((parts.scheme, place, parts.path, "", "")), unquote(parts.password))


def _participant(who: Identifier) -> str:
    return f"{_PARTICIPANT}::{who.scheme}:{who.value}"


def _document_type(credit_note: bool) -> str:
    space, name = (CREDIT_NOTE, "CreditNote") if credit_note else (INVOICE, "Invoice")
    return f"busdox-docid-qns::{space}::{name}##{PEPPOL}::2.1"


def _body(answer: httpx.Response) -> Mapping[str, Any]:
    if len(answer.content) > _LONGEST:
        raise AccessPointError(f"the access point's answer is longer than {_LONGEST} bytes")
    try:
        body = answer.json()
    except ValueError:
        return {"detail": answer.text[:300]}
    return body if isinstance(body, dict) else {}


def _words(body: Mapping[str, Any]) -> str:
    found = body.get("detail") or body.get("message") or body.get("title") or body.get("error") or ""
    return " ".join(str(found).split())[:500]
