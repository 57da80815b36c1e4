"""Mail that came back: delivery status notifications (RFC 3464) from a mailbox, a Maildir, or a single file.

A report is believed when it quotes the Message-ID of something we sent, which nobody else can know or guess. Reading
the same report twice records it once. What is no report is left alone and counted; nothing is deleted from a mailbox.
"""

import mailbox
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import Message
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path

from django.db import transaction

from coulance.notices import evidence, outcomes, queries
from coulance.notices.addresses import same_address
from coulance.notices.by_smtp import dead_address
from coulance.notices.errors import UnableToReadBouncesError
from coulance_core.kernel import require_aware
from coulance_core.notices import EvidenceKind

_MOST = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says of one recipient: its action (failed, delayed, delivered, ...), status and words."""

    header_id: str
    recipient: str
    action: str
    status: str
    said: str
    reported_by: str
    at: datetime | None
    digest: str

    @property
    def lasting(self) -> bool:
        """Whether it would fail again: a status of class 5."""
        return not self.status.startswith("4")


@dataclass(slots=True)
class BouncesRead:
    """What reading a mailbox gave: reports that were new, known before, of mail that isn't ours; other mail."""

    bounced: int = 0
    delayed: int = 0
    delivered: int = 0
    known_before: int = 0
    not_ours: int = 0
    no_reports: int = 0
    lines: list[str] = field(default_factory=list)


def read_bounces(*, path: Path, at: datetime) -> BouncesRead:
    """Read every report in an mbox file, a Maildir or a single mail, and record what it says as evidence.

    Each mail is its own transaction. Raises `UnableToReadBouncesError` where there is no such mailbox.
    """
    require_aware(at)
    out = BouncesRead()
    for raw in _mails(path):
        reports = parse_report(raw)
        if not reports:
            out.no_reports += 1
        for report in reports:
            with transaction.atomic():
                _record(report, at, out)
    return out


def _mails(path: Path) -> Iterator[bytes]:
    if not path.exists():
        raise UnableToReadBouncesError(f"there is no mailbox {path}")
    try:
        if path.is_dir():
            if not all((path / part).is_dir() for part in ("cur", "new")):
                raise UnableToReadBouncesError(f"{path} is a directory and no Maildir: it has no cur and new")
            box: mailbox.Mailbox[mailbox.Message] = mailbox.Maildir(path, create=False)
            for key in sorted(box.keys()):
                yield box.get_bytes(key)[:_MOST]
            return
        with path.open("rb") as file:
            if file.read(5) != b"From ":
                file.seek(0)
                yield file.read(_MOST)
                return
        mbox = mailbox.mbox(path, create=False)
        try:
            for key in sorted(mbox.keys(), key=int):
                yield mbox.get_bytes(key)[:_MOST]
        finally:
            mbox.close()
    except OSError as fault:
        raise UnableToReadBouncesError(f"{path} can't be read: {fault.strerror or fault}") from fault


def parse_report(raw: bytes) -> list[Report]:
    """What a delivery report says, one item a recipient; nothing for a mail that is none or that names no mail."""
    whole = message_from_bytes(raw, policy=policy.compat32)
    if whole.get_content_type() != "multipart/report":
        return []
    status = next((p for p in whole.walk() if p.get_content_type() == "message/delivery-status"), None)
    original = _original_id(whole)
    if status is None or not original:
        return []
    blocks = _blocks(status)
    if not blocks:
        return []
    about, recipients = blocks[0], blocks[1:]
    by = _after_type(about.get("reporting-mta", ""))
    digest = sha256(raw).hexdigest()
    own = whole.get("Message-ID") or ""
    out = []
    for fields in recipients:
        if "action" not in fields:
            continue
        said = fields.get("diagnostic-code", "")
        out.append(
            Report(
                header_id=original,
                recipient=_after_type(fields.get("final-recipient", fields.get("original-recipient", ""))),
                action=fields["action"].strip().lower().split()[0] if fields["action"].strip() else "",
                status=(re.search(r"[245]\.\d{1,3}\.\d{1,3}", fields.get("status", "")) or [""])[0],
                said=_after_type(said) or fields.get("status", ""),
                reported_by=by,
                at=_instant(fields.get("last-attempt-date") or about.get("arrival-date") or whole.get("Date")),
                digest=sha256(own.encode("utf-8", "replace")).hexdigest() if own else digest,
            )
        )
    return out


def _blocks(status: Message) -> list[dict[str, str]]:
    """The groups of fields of a message/delivery-status part: the first about the mail, then one a recipient."""
    parts = status.get_payload()
    found = parts if isinstance(parts, list) else []
    out = []
    for part in found:
        if isinstance(part, Message):
            fields = {name.lower(): re.sub(r"\s+", " ", str(value)).strip() for name, value in part.items()}
            if fields:
                out.append(fields)
    return out


def _original_id(whole: Message) -> str:
    """The Message-ID of the mail that a report is about, from the copy of it (or of its headers) that it carries."""
    for part in whole.walk():
        kind = part.get_content_type()
        if kind == "message/rfc822":
            inner = part.get_payload()
            if isinstance(inner, list) and inner and isinstance(inner[0], Message):
                return (inner[0].get("Message-ID") or "").strip()
        if kind == "text/rfc822-headers":
            text = part.get_payload(decode=True)
            if isinstance(text, bytes):
                return (message_from_bytes(text).get("Message-ID") or "").strip()
    return ""


def _after_type(value: str) -> str:
    """What follows the type in `rfc822; name@example.com` and `smtp; 550 5.1.1 ...`."""
    return value.partition(";")[2].strip() if ";" in value else value.strip()


def _instant(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError):
        return None
    if found is None:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _record(report: Report, now: datetime, out: BouncesRead) -> None:
    row = queries.delivery_of(header_id=report.header_id)
    found = outcomes.known([row], lock=True) if row is not None else []
    if not found:
        out.not_ours += 1
        return
    of = found[0]
    # A clock that is ahead must not date a bounce after it was read, nor one before the mail was taken.
    at = min(report.at or now, now)
    source = f"dsn:{report.digest}:{sha256(same_address(report.recipient).encode()).hexdigest()[:16]}:{report.action}"
    fact = {"by": report.reported_by, "status": report.status, "how": "report"}
    said = f"{report.status} {report.said}".strip()
    if report.action == "failed":
        own = same_address(report.recipient) == same_address(of.address)
        code = int(report.said[:3]) if report.said[:3].isdigit() else 0
        dead = own and report.lasting and dead_address(code, f"{report.status} {report.said}")
        new = outcomes.came_back(
            of, why=said, at=at, now=now, lasting=report.lasting, dead=dead, source=source, fact=fact
        )
        if new:
            out.bounced += 1
            out.lines.append(f"{of.key} to {of.address} came back: {said}")
    else:
        kinds = {"delivered": EvidenceKind.DELIVERED, "delayed": EvidenceKind.DEFERRED}
        kind = kinds.get(report.action)
        if kind is None:  # relayed, expanded: it went on, to where nobody reports from
            out.no_reports += 1
            return
        new = bool(evidence.record([outcomes.piece(of, kind, at=at, fact=fact, said=said, source=source)], at=now))
        if new and kind is EvidenceKind.DELIVERED:
            outcomes.arrived_after_all(of, how=f"reported delivered by {report.reported_by}", at=at, now=now)
            out.delivered += 1
        elif new:
            # A server that reports a delay has the mail.
            outcomes.arrived_after_all(of, how=f"reported delayed by {report.reported_by}", at=at, now=now)
            out.delayed += 1
    out.known_before += not new
