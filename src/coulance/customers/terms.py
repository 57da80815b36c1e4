"""General terms: what they say in each version and language, and which customer agreed to which, when and how.

An acceptance is a link of its account's chain: it names the hash of the text that was agreed to and the link before it,
so that neither can be changed afterwards. What is personal in it (who of the customer, and how it is known) is hashed
with a salt of its own; who wrote it down is in the audit log.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.db import transaction

from coulance.customers import checks
from coulance.customers.models import Account, TermsAcceptance, TermsDocument
from coulance.platform import audit
from coulance_core.kernel import require_aware

How = Literal["portal", "order", "paper", "taken_over"]
GENESIS = "00" * 32
LONGEST = 500_000
"""Characters of a document."""


class UnableToKeepTermsError(ValueError):
    """Terms that can't be kept, or agreed to: what was expected is in the message."""


@dataclass(frozen=True, slots=True)
class Terms:
    """General terms as they read in a language; `sha256` of the text in UTF-8."""

    version: str
    language: str
    title: str
    sha256: str
    valid_from: date
    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """That an account agreed to a text. `by` is who (external id of a contact), empty where they were erased.

    `on` is the day of it where the account is.
    """

    seq: int
    version: str
    language: str
    title: str
    sha256: str
    how: str
    at: datetime
    on: date
    by: str
    said: str
    hash: str


def add_terms(
    *, version: str, language: str, title: str, text: str, valid_from: date, actor: str, at: datetime
) -> Terms:
    """Keep a version of the general terms in a language. The same again is no fault; another text is.

    Raises `UnableToKeepTermsError`.
    """
    said = text.replace("\r\n", "\n").strip() + "\n"
    if not said.strip() or len(said) > LONGEST or "\x00" in said:
        raise UnableToKeepTermsError(f"terms are a plain text of 1 to {LONGEST} characters")
    if problem := checks.language(language):
        raise UnableToKeepTermsError(f"language: expected {problem}, not {language!r}")
    if not title.strip():
        raise UnableToKeepTermsError("terms have a title, such as General terms")
    if not version or not version.replace("-", "").replace(".", "").replace("_", "").isalnum() or len(version) > 40:
        raise UnableToKeepTermsError(f"a version is letters, digits and -._, such as 2026-01, not {version!r}")
    digest = hashlib.sha256(said.encode()).hexdigest()
    with transaction.atomic():
        before = TermsDocument.objects.filter(version=version, language=language).first()
        if before is not None:
            if before.sha256 != digest:
                raise UnableToKeepTermsError(
                    f"{version} ({language}) is kept with another text already: what was agreed to doesn't change."
                    " Give the new text a version of its own"
                )
            return _terms(before)
        days = {row.valid_from for row in TermsDocument.objects.filter(version=version)}
        if days and days != {valid_from}:
            raise UnableToKeepTermsError(f"{version} is in force from {min(days)}, in every language")
        row = TermsDocument.objects.create(
            version=version, language=language, title=title.strip()[:200], text=said, sha256=digest,
            valid_from=valid_from, added_at=require_aware(at), added_by=actor,
        )  # fmt: skip
        audit.record(
            actor=actor, act="terms.added", subject=f"terms:{version}", at=at,
            detail={"language": language, "sha256": digest, "from": valid_from.isoformat()},
        )  # fmt: skip
    return _terms(row)


def accept_terms(
    *,
    account: int,
    version: str,
    language: str,
    contact: str,
    how: How,
    actor: str,
    at: datetime,
    recorded_at: datetime | None = None,
    said: str = "",
    sha256: str = "",
) -> Accepted:
    """Write down that an account agreed to a version, in the language it read it in. Agreed to already: that one.

    `sha256`, where given, is of the text that was shown. `said` is how it is known, such as where the paper is. Raises
    `UnableToKeepTermsError`.
    """
    if not contact.strip():
        raise UnableToKeepTermsError("say who agreed to it")
    known, written = require_aware(at), require_aware(recorded_at or at)
    if written < known:
        raise UnableToKeepTermsError("it can't have been agreed to later than now")
    with transaction.atomic():
        owner = Account.objects.select_for_update(no_key=True).get(pk=account)
        document = TermsDocument.objects.filter(version=version, language=language).first()
        if document is None or (sha256 and document.sha256 != sha256):
            raise UnableToKeepTermsError(f"there are no general terms {version} in {language} with that text")
        chain = TermsAcceptance.objects.filter(account=account).order_by("seq")
        before = chain.filter(document__version=version).select_related("document").first()
        if before is not None:
            return _accepted(before)
        last = chain.last()
        row = TermsAcceptance(
            account=owner, seq=1 if last is None else last.seq + 1, document=document, how=how, at=known,
            recorded_at=written, personal={"contact": contact, "said": said.strip()[:500]},
            salt=secrets.token_bytes(32), previous=GENESIS if last is None else last.hash,
        )  # fmt: skip
        row.personal_hash = _personal_hash(bytes(row.salt or b""), row.personal or {})
        row.hash = _hash(row, owner.pseudonym.hex, document.sha256)
        row.save(force_insert=True)
        audit.record(
            actor=actor, act="terms.accepted", subject=f"account:{owner.external_id}", at=written, reason=said,
            detail={"version": version, "language": language, "sha256": document.sha256, "how": how},
        )  # fmt: skip
    return _accepted(row)


def terms(*, version: str, language: str = "") -> Terms:
    """A version in a language; in the first there is where it isn't in that one. Raises `UnableToKeepTermsError`."""
    rows = list(TermsDocument.objects.filter(version=version).order_by("id"))
    if not rows:
        raise UnableToKeepTermsError(f"there are no general terms {version}")
    return _terms(next((row for row in rows if row.language == language), rows[0]))


def all_terms() -> tuple[Terms, ...]:
    """Every version in every language, the newest first."""
    return tuple(_terms(row) for row in TermsDocument.objects.order_by("-valid_from", "-id"))


def in_force(*, on: date, language: str) -> Terms | None:
    """The general terms in force on a day, in a language where they are; none where none are kept."""
    row = TermsDocument.objects.filter(valid_from__lte=on).order_by("-valid_from", "-id").first()
    return None if row is None else terms(version=row.version, language=language)


def accepted(*, account: int) -> tuple[Accepted, ...]:
    """What an account agreed to, in order."""
    rows = TermsAcceptance.objects.filter(account=account).order_by("seq").select_related("document", "account")
    return tuple(_accepted(row) for row in rows)


def as_accepted(*, account: int, on: date) -> Accepted | None:
    """What was agreed to last, by that day."""
    return max((one for one in accepted(account=account) if one.on <= on), key=lambda one: one.at, default=None)


def chain_of(*, account: int) -> dict[str, Any]:
    """An account's acceptances as others may check them, with every text that was agreed to."""
    owner = Account.objects.get(pk=account)
    rows = list(TermsAcceptance.objects.filter(account=account).order_by("seq").select_related("document"))
    documents = {row.document_id: row.document for row in rows}
    return {
        "schema": "coulance.terms/1",
        "party": owner.pseudonym.hex,
        "documents": [
            {
                "version": one.version,
                "language": one.language,
                "title": one.title,
                "from": one.valid_from.isoformat(),
                "sha256": one.sha256,
                "text": one.text,
            }
            for one in documents.values()
        ],
        "acceptances": [
            {
                **_link(row, owner.pseudonym.hex, row.document.sha256),
                "salt": None if row.salt is None else bytes(row.salt).hex(),
                "personal": row.personal,
                "hash": row.hash,
            }
            for row in rows
        ],
    }


def check_terms() -> Iterator[str]:
    """Every fault of documents and chains; nothing for sound ones."""
    for document in TermsDocument.objects.order_by("id").iterator():
        if hashlib.sha256(document.text.encode()).hexdigest() != document.sha256:
            yield f"terms {document.version} ({document.language}): the text does not give its hash"
    previous: dict[int, tuple[int, str]] = {}
    rows = TermsAcceptance.objects.order_by("account_id", "seq").select_related("document", "account")
    for row in rows.iterator():
        where = f"account {row.account.external_id}, acceptance {row.seq}"
        seq, last = previous.get(row.account_id, (0, GENESIS))
        if row.seq != seq + 1 or row.previous != last:
            yield f"{where}: does not follow the one before it"
        if row.personal is not None and _personal_hash(bytes(row.salt or b""), row.personal) != row.personal_hash:
            yield f"{where}: its personal part does not give its hash"
        if _hash(row, row.account.pseudonym.hex, row.document.sha256) != row.hash:
            yield f"{where}: its content does not give its hash"
        previous[row.account_id] = (row.seq, row.hash)


def _personal_hash(salt: bytes, personal: Mapping[str, Any]) -> str:
    return hashlib.sha256(salt + b"\x00" + _canonical(personal)).hexdigest()


def _link(row: TermsAcceptance, party: str, sha256: str) -> dict[str, Any]:
    return {
        "party": party,
        "seq": row.seq,
        "version": row.document.version,
        "language": row.document.language,
        "sha256": sha256,
        "how": row.how,
        "at": row.at.astimezone(UTC).isoformat(),
        "recorded_at": row.recorded_at.astimezone(UTC).isoformat(),
        "personal_hash": row.personal_hash,
        "previous": row.previous,
    }


def _hash(row: TermsAcceptance, party: str, sha256: str) -> str:
    return hashlib.sha256(b"coulance.terms/1\n" + _canonical(_link(row, party, sha256))).hexdigest()


def _canonical(value: Mapping[str, Any] | Iterable[Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _terms(row: TermsDocument) -> Terms:
    return Terms(row.version, row.language, row.title, row.sha256, row.valid_from, row.text)


def _accepted(row: TermsAcceptance) -> Accepted:
    who = row.personal or {}
    of = row.document
    return Accepted(
        row.seq, of.version, of.language, of.title, of.sha256, row.how, row.at,
        row.at.astimezone(ZoneInfo(row.account.zone)).date(), str(who.get("contact", "")),
        str(who.get("said", "")), row.hash,
    )  # fmt: skip
