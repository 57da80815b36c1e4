"""What a mail says: who wrote it, whether a machine did, what it answers, when it came; whatever bytes it is made of.

Read with the standard library (RFC 5322, RFC 2045), within bounds: a mail is bytes from a stranger. What can't be read
has a `fault` in words, and nothing raises. Headers are one line each of printable text; of an attachment nothing is
kept but its name, kind and size.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

from coulance_core.contracts.mail_terms import MailTerms
from coulance_core.kernel import require_aware

MOST_BYTES = 12 * 1024 * 1024
"""Larger mails are known by their headers alone, and held."""
MOST_HEADER_BYTES = 128 * 1024
MOST_FIELD = 12 * 1024
MOST_ADDRESSES = 4096
"""A longer field of addresses is searched for them, not parsed: what parses it takes the square of its length."""
MOST_FIELDS = 400
MOST_PARTS = 200
MOST_PART_BYTES = 32 * 1024
"""Of what the parts' own headers say, all together: what parses their parameters takes a second for a dozen KB."""
MOST_WORDS = 20_000
MOST_REFERENCES = 50
OLDEST = timedelta(days=7)
"""A `Received` that is older than this is no word on when a mail came."""

_PART = re.compile(rb"^content-[a-z-]+[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*", re.MULTILINE | re.IGNORECASE)
_FIELD = re.compile(rb"^[!-9;-~]+[ \t]*:", re.MULTILINE)
_ID = re.compile(r"<[^<>\s]{1,250}>")
_COMMENT = re.compile(r"\([^()]*\)")


@dataclass(frozen=True, slots=True)
class Attached:
    """What came along, by name, kind and size in bytes; its content isn't kept."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class ReadMail:
    """A mail as it was read. `key` names it once; `fault` says why it can't be judged, if it can't.

    `machine` says by which sign a machine wrote it ("" for a person). `arrived_at` and `arrived_by` are when it came,
    and what says so. `genuine`: whether our server found that it is from `sender`; None: it says nothing.
    """

    key: str
    message_id: str
    sender: str
    subject: str
    to: tuple[str, ...]
    references: tuple[str, ...]
    machine: str
    arrived_at: datetime
    arrived_by: str
    genuine: bool | None
    words: str
    attached: tuple[Attached, ...]
    size: int
    fault: str = ""


def read_mail(raw: bytes, terms: MailTerms, *, at: datetime) -> ReadMail:
    """Read a mail that was handed over at `at`. Never raises, whatever the bytes."""
    require_aware(at)
    raw = raw.removeprefix(b"\n")
    if raw.startswith((b"From ", b">From ")):  # the envelope line of an mbox
        raw = raw.partition(b"\n")[2]
    head = re.split(rb"\r?\n\r?\n", raw[: MOST_HEADER_BYTES + 4], maxsplit=1)[0]
    fault = _bounds(raw, head)
    message = _parsed(head + b"\r\n\r\n") if fault else _parsed(raw)
    if message is None:
        message, fault = _parsed(head[:MOST_FIELD] + b"\r\n\r\n") or EmailMessage(), "its parts can't be told apart"
    sender, whose = _sender(message)
    fault = fault or whose
    said = _one(message, "Message-ID")
    own = _ID.search(said)
    message_id = own.group() if own else ""
    named = f"{message_id}\n{sender.casefold()}" if message_id else ""
    digest = hashlib.sha256(named.encode() if named else b"\0" + _lasting(message, raw)).hexdigest()
    arrived_at, arrived_by = arrival(_all(message, "Received"), terms, at)
    words, attached = ("", ()) if fault else _content(message)
    answers = _ID.findall(_one(message, "In-Reply-To")) + _ID.findall(_one(message, "References"))[::-1]
    return ReadMail(
        key=digest, message_id=message_id, sender=sender, subject=_one(message, "Subject")[:300],
        to=_recipients(message), references=tuple(dict.fromkeys(answers))[:MOST_REFERENCES], machine=_machine(message),
        arrived_at=arrived_at, arrived_by=arrived_by, genuine=genuine(message, sender, terms), words=words,
        attached=attached, size=len(raw), fault=fault,
    )  # fmt: skip


def clean(text: str, most: int = 2000) -> str:
    """One line of printable text: what would end a line, turn it around or isn't text becomes a space.

    >>> clean("Hello\\r\\nBcc: a@b.example \\u202egnp")
    'Hello Bcc: a@b.example gnp'
    """
    kept = "".join(c if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF else " " for c in text[: 4 * most])
    return " ".join(kept.split())[:most]


def _bounds(raw: bytes, head: bytes) -> str:
    if len(raw) > MOST_BYTES:
        return f"it is larger than {MOST_BYTES // 1024 // 1024} MB"
    if len(head) > MOST_HEADER_BYTES:
        return "its headers have no end"
    starts = [m.start() for m in _FIELD.finditer(head)]
    if len(starts) > MOST_FIELDS:
        return f"it has more than {MOST_FIELDS} headers"
    if any(b - a > MOST_FIELD for a, b in pairwise([0, *starts, len(head)])):
        return f"a header of it is longer than {MOST_FIELD // 1024} KB"
    if raw[len(head) :].lower().count(b"\ncontent-type") > MOST_PARTS:
        return f"it has more than {MOST_PARTS} parts"
    if sum(m.end() - m.start() for m in _PART.finditer(raw, len(head))) > MOST_PART_BYTES:
        return f"the headers of its parts are longer than {MOST_PART_BYTES // 1024} KB"
    return ""


def _parsed(raw: bytes) -> EmailMessage | None:
    try:
        found = BytesParser(EmailMessage, policy=policy.default).parsebytes(raw)
        for part in found.walk():  # what nests too deep is found here
            part.get_content_type()
    except Exception:  # the parser meets bytes that nobody thought of; RecursionError among them
        return None
    return found


def _all(message: Message, name: str) -> list[str]:
    """Every header of a name, unfolded, as text of one line."""
    found = []
    for key, value in message.raw_items():
        if key.lower() == name.lower():
            try:
                text = str(message.policy.header_fetch_parse(key, value))
            except Exception:  # the parser of structured headers fails on some; then as it stands
                text = str(value)
            found.append(clean(text, MOST_FIELD))
    return found


def _one(message: Message, name: str) -> str:
    return next(iter(_all(message, name)), "")


def _addresses(message: Message, name: str) -> list[str]:
    found = []
    for key, value in message.raw_items():
        if key.lower() != name.lower():
            continue
        try:
            if len(value) > MOST_ADDRESSES:
                raise ValueError
            parsed: Any = message.policy.header_fetch_parse(key, value)
            found += [clean(a.addr_spec, 254) for a in parsed.addresses]
        except Exception:  # too long, or as above
            found += _words_with_at(r"[\s<>,;:\"()]+", clean(str(value), MOST_FIELD))
    return found


def _words_with_at(between: str, text: str) -> list[str]:
    """What may be addresses in a text, by cutting it: to search it for them takes the square of its length."""
    return [word for word in re.split(between, text) if "@" in word[1:-1]]


def _sender(message: Message) -> tuple[str, str]:
    """Who wrote it by `From`, and what is wrong with that."""
    whose = _addresses(message, "From")
    if sum(key.lower() == "from" for key in message.keys()) != 1 or len(whose) != 1:  # noqa: SIM118 - no mapping
        return "", "it names no sender, or several"
    if not re.fullmatch(r"[^\s@]+@[^\s@]+", whose[0]):
        return "", "its sender is no address"
    return whose[0], ""


def _recipients(message: Message) -> tuple[str, ...]:
    """Every address it was sent to, the envelope's as our server wrote it down among them."""
    names = ("Delivered-To", "X-Original-To", "To", "Cc")
    found = [a for name in names for a in _addresses(message, name)]
    for name in ("Delivered-To", "X-Original-To"):
        found += _words_with_at(r"[\s<>,;]+", " ".join(_all(message, name)))
    return tuple(dict.fromkeys(found))[:MOST_REFERENCES]


def _lasting(message: Message, raw: bytes) -> bytes:
    """What stays the same when a mail without a Message-ID comes again: who, when, what; not by which way."""
    head = "\n".join(_one(message, name) for name in ("From", "Date", "Subject")).encode("utf-8", "replace")
    body = re.split(rb"\r?\n\r?\n", raw, maxsplit=1)
    return head + b"\0" + (body[1].replace(b"\r\n", b"\n").strip() if len(body) > 1 else b"")


_MACHINES = ("mailer-daemon", "postmaster", "no-reply", "noreply", "do-not-reply", "donotreply", "bounce", "bounces")


def _machine(message: Message) -> str:
    """The sign by which a machine wrote it (RFC 3834, and what programs do in its place); "" for a person."""
    said = _one(message, "Auto-Submitted").lower()
    if said and not said.startswith("no"):
        return f"Auto-Submitted: {said[:40]}"
    for name in ("X-Auto-Response-Suppress", "X-Autoreply", "X-Autorespond", "X-Autogenerated", "X-Loop", "List-Id"):
        value = _one(message, name)
        if value and value.lower() not in ("no", "none"):
            return f"{name}: {value[:40]}"
    if (ranks := _one(message, "Precedence").lower()) in ("bulk", "junk", "list", "auto_reply"):
        return f"Precedence: {ranks}"
    if any(value in ("<>", "") for value in _all(message, "Return-Path")):
        return "it has no return path"
    if message.get_content_type() == "multipart/report":
        return "it is a report"
    sender, _ = _sender(message)
    name = sender.partition("@")[0].lower()
    return f"it is from {name}" if name.startswith(_MACHINES) else ""


def arrival(received: list[str], terms: MailTerms, at: datetime) -> tuple[datetime, str]:
    """When a mail came, and what says so: the first of our own servers that took it, else that it was handed over now.

    Only the topmost `hops` lines are ours, and each must name one of our servers: what is below them is the sender's
    word, and could make us late from the start. A line from the future, or from longer ago than a mail can take, is no
    word either.

    >>> terms = MailTerms("help@host.example", hosts=("mx.host.example",))
    >>> now = datetime(2026, 5, 4, 9, 5, tzinfo=UTC)
    >>> line = "from a.example (1.2.3.4) by mx.host.example (Postfix) with ESMTPS; Mon, 4 May 2026 09:01:00 +0000"
    >>> arrival([line, line.replace("09:01", "01:00")], terms, now)[0].isoformat()
    '2026-05-04T09:01:00+00:00'
    """
    hosts = {host.casefold() for host in terms.hosts}
    own = received[: terms.hops]
    when = _when(own[-1]) if hosts and len(own) == terms.hops and all(_by(line) in hosts for line in own) else None
    if when is None or when > at + timedelta(minutes=5) or when < at - OLDEST:
        return at, "when it was handed over"
    return min(when, at), f"Received by {_by(own[-1])}"[:120]


def _by(line: str) -> str:
    """The server that took it: the last name behind `by`, comments aside."""
    plain, before = line.rpartition(";")[0] or line, ""
    while plain != before:
        plain, before = _COMMENT.sub(" ", plain), plain
    found = re.findall(r"(?:^|\s)by\s+([A-Za-z0-9._-]+)", plain)
    return found[-1].casefold() if found else ""


def _when(line: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(line.rpartition(";")[2].strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def genuine(message: Message, sender: str, terms: MailTerms) -> bool | None:
    """Whether our own server found that it is from its sender: DMARC, DKIM of the same domain, or a log-in as them.

    Only its topmost line counts, and only where the terms name the server. None: there is none.
    """
    if not terms.authenticated_by or not sender:
        return None
    for line in _all(message, "Authentication-Results"):
        plain = _COMMENT.sub(" ", line)
        server, _, results = plain.partition(";")
        if (server.split() or [""])[0].casefold() == terms.authenticated_by.casefold():
            return any(_passes(one, sender) for one in results.split(";"))
    return None


def _passes(result: str, sender: str) -> bool:
    found = re.match(r"\s*(dmarc|dkim|auth)\s*=\s*pass\b", result, re.IGNORECASE)
    if found is None:
        return False
    of = {k.casefold(): v.strip('"').casefold() for k, v in re.findall(r"([\w.]+)\s*=\s*(\S+)", result)}
    domain = sender.rpartition("@")[2].casefold()
    match found.group(1).casefold():
        case "dmarc":
            return bool(of.get("header.from", domain) == domain)
        case "dkim":
            signed = of.get("header.d", of.get("header.i", "").rpartition("@")[2])
            return bool(signed) and (signed == domain or domain.endswith("." + signed))
    return bool(of.get("smtp.auth", of.get("smtp.mailfrom", "")) == sender.casefold())


def _content(message: EmailMessage) -> tuple[str, tuple[Attached, ...]]:
    """Its words (plain text before HTML), and what is attached, by name, kind and size."""
    plain = hyper = ""
    attached = []
    for part in _leaves(message):
        kind = part.get_content_type()
        named = part.get_filename() if _safe_name(part) else ""
        is_text = kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment" and not named
        if is_text and kind == "text/plain" and not plain:
            plain = _text(part)
        elif is_text and kind == "text/html" and not hyper:
            hyper = _untagged(_text(part))
        else:
            attached.append(Attached(clean(named or "", 120), clean(kind, 80), _size(part)))
    words = "\n".join(" ".join(line.split()) for line in (plain or hyper).splitlines())
    return re.sub(r"\n{3,}", "\n\n", words).strip()[:MOST_WORDS], tuple(attached[:50])


def _leaves(message: Message) -> Iterator[Message]:
    for part in message.walk():
        if not part.is_multipart():
            yield part


def _safe_name(part: Message) -> bool:
    try:
        return bool(part.get_filename())
    except Exception:  # parameters are parsed when they are asked for
        return False


def _text(part: Message) -> str:
    """The text of a part, whatever charset it says it has."""
    try:
        raw = part.get_payload(decode=True)
    except Exception:  # an encoding that isn't one
        raw = b""
    body = raw[: 40 * MOST_WORDS] if isinstance(raw, bytes) else b""
    for charset in (part.get_content_charset() or "utf-8", "utf-8"):
        try:
            text = body.decode(charset)
            break
        except (LookupError, UnicodeError, ValueError, TypeError):
            continue
    else:
        text = body.decode("utf-8", "replace")
    return "".join(c if (c.isprintable() or c in "\n\t") and not 0xD800 <= ord(c) <= 0xDFFF else " " for c in text)


def _size(part: Message) -> int:
    payload = part.get_payload()
    length = len(payload) if isinstance(payload, str | bytes) else 0
    return length * 3 // 4 if str(part.get("Content-Transfer-Encoding", "")).lower() == "base64" else length


class _Words(HTMLParser):
    """The words of HTML: no tags, no scripts, no styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - as it is called
        """Hide what isn't for reading; end lines where the page does."""
        self._hidden += tag in ("script", "style", "head")
        if tag in ("br", "p", "div", "tr", "li", "h1", "h2", "h3"):
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """What was hidden is over."""
        self._hidden = max(self._hidden - (tag in ("script", "style", "head")), 0)

    def handle_data(self, data: str) -> None:
        """Words."""
        if not self._hidden:
            self.found.append(data)


def _untagged(text: str) -> str:
    reader = _Words()
    with contextlib.suppress(Exception):  # what follows isn't HTML; the words before it stay
        reader.feed(text[: 10 * MOST_WORDS])
    return "".join(reader.found)
