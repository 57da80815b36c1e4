"""Reading notices: messages, where each delivery stands, the evidence, and what it amounts to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from coulance.notices.addresses import same_address
from coulance.notices.models import DeadAddress, Delivery, Evidence, Message, MessageFile, Verification
from coulance.notices.states import State
from coulance_core.notices import (
    VOIDS_WITHIN,
    Channel,
    DeemedRule,
    Event,
    EvidenceKind,
    Judgement,
    delivered_spells,
    judge,
)


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One message to one address, where it stands, and what was said last."""

    id: int
    message: int
    key: str
    kind: str
    about: str
    account: int | None
    subject: str
    language: str
    address: str
    name: str
    contact_ref: str
    copy: bool
    state: State
    header_id: str
    attempts: int
    queued_at: datetime
    next_attempt_at: datetime
    accepted_at: datetime | None
    changed_at: datetime
    answer: str
    resend_of: int | None
    resent: bool
    """Whether a later delivery makes it good."""


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A piece of evidence as recorded. `personal` is empty once it was erased."""

    seq: int
    kind: EvidenceKind
    at: datetime
    recorded_at: datetime
    delivery: int | None
    address: str
    channel: str
    lasting: bool
    fact: dict[str, Any]
    said: str
    hash: str


@dataclass(frozen=True, slots=True)
class MessageText:
    """What a message says."""

    id: int
    key: str
    subject: str
    text: str
    html: str
    sender: str
    reply_to: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MailState:
    """How mail stands: counts by state, what is due now, and since when the oldest of it waits."""

    waiting: int
    due: int
    oldest_due: datetime | None
    under_way: int
    uncertain: int
    held: int
    refused: int
    bounced: int


@dataclass(frozen=True, slots=True)
class DeadRow:
    """An address that is written to no more."""

    address: str
    since: datetime
    why: str


_DELIVERY = (
    "SELECT d.id, d.message_id, m.key, m.kind, m.about, m.account_id, m.subject, m.language, d.address, d.name,"
    " d.contact_ref, d.copy, d.state, d.header_id, d.attempts, m.queued_at, d.next_attempt_at, d.accepted_at,"
    " d.changed_at, d.answer, d.resend_of_id, EXISTS (SELECT 1 FROM notices_delivery r WHERE r.resend_of_id = d.id)"
    " FROM notices_delivery d JOIN notices_message m ON m.id = d.message_id"
)


def _rows(statement: str, values: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[Any] = cursor.fetchall()
        return rows


def _delivery(row: Sequence[Any]) -> DeliveryRow:
    values = list(row)
    values[12] = State(values[12])
    return DeliveryRow(*values)


def messages(
    *,
    account: int | None = None,
    state: str | Collection[str] | None = None,
    kind: str | None = None,
    about: str | Collection[str] | None = None,
    text: str = "",
    copies: bool = False,
    limit: int = 100,
    offset: int = 0,
) -> list[DeliveryRow]:
    """Deliveries by what is given, newest first. `text` is looked for in address and subject; `copies`: the provider's
    own blind copies too."""
    where, values = _where(account, state, kind, about, text, copies)
    return [
        _delivery(row)
        for row in _rows(f"{_DELIVERY}{where} ORDER BY d.id DESC LIMIT %s OFFSET %s", [*values, limit, offset])
    ]


def count_messages(
    *,
    account: int | None = None,
    state: str | Collection[str] | None = None,
    kind: str | None = None,
    about: str | Collection[str] | None = None,
    text: str = "",
    copies: bool = False,
) -> int:
    """How many `messages` has in all."""
    where, values = _where(account, state, kind, about, text, copies)
    counted = f"SELECT count(*) FROM notices_delivery d JOIN notices_message m ON m.id = d.message_id{where}"  # noqa: S608
    return int(_rows(counted, values)[0][0])


def _where(
    account: int | None,
    state: str | Collection[str] | None,
    kind: str | None,
    about: str | Collection[str] | None,
    text: str,
    copies: bool,
) -> tuple[str, list[Any]]:
    terms: list[str] = [] if copies else ["NOT d.copy"]
    values: list[Any] = []
    for column, asked in (("d.state", state), ("m.about", about)):
        if asked is not None:
            terms.append(f"{column} = ANY(%s)")
            values.append([str(asked)] if isinstance(asked, str) else [str(one) for one in asked])
    for column, one in (("m.account_id", account), ("m.kind", kind)):
        if one is not None:
            terms.append(f"{column} = %s")
            values.append(one)
    if text:
        like = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        terms.append("(d.address ILIKE %s OR m.subject ILIKE %s)")
        values += [f"%{like}%"] * 2
    return (" WHERE " + " AND ".join(terms) if terms else ""), values


def delivery(delivery: int) -> DeliveryRow | None:
    """One delivery, or none."""
    rows = _rows(f"{_DELIVERY} WHERE d.id = %s", [delivery])
    return _delivery(rows[0]) if rows else None


def delivery_of(*, header_id: str = "", provider_ref: str = "") -> int | None:
    """The delivery with that Message-ID (with or without its angles), or that the provider knows by that name."""
    if header_id:
        found = Delivery.objects.filter(header_id=f"<{header_id.strip().strip('<>')}>")
    elif provider_ref:
        found = Delivery.objects.filter(provider_ref=provider_ref)
    else:
        return None
    return found.order_by("-id").values_list("id", flat=True).first()


def about_of(*, header_id: str) -> str:
    """What the message was about of which a delivery has this Message-ID; "" for none of ours."""
    found = Delivery.objects.filter(header_id=f"<{header_id.strip().strip('<>')}>").order_by("-id")
    return found.values_list("message__about", flat=True).first() or ""


def deliveries_of(*, key: str) -> list[int]:
    """The deliveries of a message, without the provider's own copies."""
    found = Delivery.objects.filter(message__key=key, copy=False).order_by("id")
    return list(found.values_list("id", flat=True))


def text_of(*, message: int) -> MessageText | None:
    """What a message says, or none."""
    row = Message.objects.filter(id=message).first()
    if row is None:
        return None
    files = MessageFile.objects.filter(message=row).order_by("no").values_list("name", "kind", "ref")
    named = tuple(name or f"{kind} {ref}" for name, kind, ref in files)
    return MessageText(row.pk, row.key, row.subject, row.text, row.html, row.sender, row.reply_to, named)


def about_known(about: Collection[str]) -> set[str]:
    """Which of these have a message about them, whatever became of it."""
    return set(Message.objects.filter(about__in=list(about)).values_list("about", flat=True))


def about_keys(keys: Collection[str]) -> set[str]:
    """Those of these keys by which a message is known."""
    return set(Message.objects.filter(key__in=list(keys)).values_list("key", flat=True))


def evidence(key: str) -> list[EvidenceRow]:
    """All that is known about a message, in the order in which it became known; empty for an unknown key."""
    return _evidence(Evidence.objects.filter(message__key=key))


def evidence_of(*, delivery: int) -> list[EvidenceRow]:
    """All that is known about a delivery."""
    return _evidence(Evidence.objects.filter(delivery=delivery))


def _evidence(rows: Any) -> list[EvidenceRow]:
    return [
        EvidenceRow(
            seq=row.seq,
            kind=EvidenceKind(row.kind),
            at=row.at,
            recorded_at=row.recorded_at,
            delivery=row.delivery_id,
            address=(row.personal or {}).get("to", ""),
            channel=row.channel,
            lasting=row.lasting,
            fact=row.fact,
            said=(row.personal or {}).get("said", ""),
            hash=bytes(row.hash).hex(),
        )
        for row in rows.order_by("chain_id", "seq")
    ]


def judgement(
    key: str, *, at: datetime, deemed: DeemedRule | None = None, known_by: datetime | None = None
) -> Judgement:
    """Whether a message was delivered, reached anybody or is deemed to have, at an instant.

    With `known_by` only from what was recorded by then. The provider's own copies prove nothing.
    """
    rows = Evidence.objects.filter(message__key=key).exclude(delivery__copy=True)
    if known_by is not None:
        rows = rows.filter(recorded_at__lte=known_by)
    events = [
        Event(EvidenceKind(kind), instant, str(delivery or ""), Channel(channel), lasting)
        for kind, instant, delivery, channel, lasting in rows.order_by("seq").values_list(
            "kind", "at", "delivery_id", "channel", "lasting"
        )
    ]
    owners = Delivery.objects.filter(message__key=key, copy=False).values_list("id", "address", "message__account_id")
    since = {
        (account, address): found
        for account, address, found in Verification.objects.filter(
            account__in={account for _, _, account in owners if account is not None}
        ).values_list("account_id", "address", "at")
    }
    verified = {
        str(row): since[account, same_address(address)]
        for row, address, account in owners
        if account is not None and (account, same_address(address)) in since
    }
    return judge(events, at=at, verified=verified, deemed=deemed)


def mail_state(*, at: datetime) -> MailState:
    """How mail stands."""
    row = _rows(
        "SELECT count(*) FILTER (WHERE state = 'waiting'),"
        " count(*) FILTER (WHERE state = 'waiting' AND next_attempt_at <= %(at)s),"
        " min(next_attempt_at) FILTER (WHERE state = 'waiting' AND next_attempt_at <= %(at)s),"
        " count(*) FILTER (WHERE state IN ('claimed', 'sending')), count(*) FILTER (WHERE state = 'uncertain'),"
        " count(*) FILTER (WHERE state = 'held'),"
        " count(*) FILTER (WHERE state = 'refused' AND NOT resent),"
        " count(*) FILTER (WHERE state = 'bounced' AND NOT resent)"
        " FROM (SELECT d.state, d.next_attempt_at, EXISTS ("
        "   SELECT 1 FROM notices_delivery r WHERE r.resend_of_id = d.id) AS resent"
        "  FROM notices_delivery d WHERE d.channel = 'email' AND d.state IN ("
        "   'waiting', 'claimed', 'sending', 'uncertain', 'held', 'refused', 'bounced') AND NOT d.copy) AS open",
        {"at": at},  # type: ignore[arg-type]
    )[0]
    return MailState(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7])


def dead_addresses() -> list[DeadRow]:
    """The addresses that are written to no more, newest first."""
    rows = DeadAddress.objects.filter(released_at__isnull=True).order_by("-since")
    return [DeadRow(row.address, row.since, row.why) for row in rows]


def dead_among(addresses: Collection[str]) -> dict[str, str]:
    """Which of these addresses are written to no more, by their compared form, and why."""
    asked = {same_address(address) for address in addresses}
    rows = DeadAddress.objects.filter(address__in=asked, released_at__isnull=True)
    return {row.address: row.why for row in rows}


def verified_addresses(*, account: int) -> dict[str, datetime]:
    """An account's addresses that are known to reach somebody, and since when."""
    return dict(Verification.objects.filter(account=account).values_list("address", "at"))


Spells = list[tuple[datetime, datetime | None]]
"""Times [from, until); without an end it lasts."""


def delivered_spans(keys: Collection[str]) -> dict[str, Spells]:
    """When each of these messages counts as delivered or reached, from all that is recorded now."""
    owners = list(
        Delivery.objects.filter(message__key__in=list(keys), copy=False).values_list(
            "id", "address", "message__account_id", "message__key"
        )
    )
    since = {
        (account, address): found
        for account, address, found in Verification.objects.filter(
            account__in={account for _, _, account, _ in owners if account is not None}
        ).values_list("account_id", "address", "at")
    }
    key_of = {row: key for row, _, _, key in owners}
    verified = {
        str(row): since[account, same_address(address)]
        for row, address, account, _ in owners
        if (account, same_address(address)) in since
    }
    events: dict[str, list[Event]] = {}
    rows = Evidence.objects.filter(delivery__in=list(key_of)).order_by("chain_id", "seq")
    for kind, at, of, channel, lasting in rows.values_list("kind", "at", "delivery_id", "channel", "lasting"):
        events.setdefault(key_of[of], []).append(Event(EvidenceKind(kind), at, str(of), Channel(channel), lasting))
    return {key: delivered_spells(found, verified=verified) for key, found in events.items()}


def dead_spans(addresses: Collection[str]) -> dict[str, Spells]:
    """When each of these addresses was written to no more, by their compared form."""
    asked = {same_address(address) for address in addresses}
    out: dict[str, Spells] = {}
    rows = DeadAddress.objects.filter(address__in=asked).order_by("since")
    for address, since, released in rows.values_list("address", "since", "released_at"):
        out.setdefault(address, []).append((since, released))
    return out


def verified_since(accounts: Collection[int]) -> dict[tuple[int, str], datetime]:
    """Since when addresses of these accounts are known to reach somebody, by account and compared form."""
    rows = Verification.objects.filter(account__in=list(accounts)).values_list("account_id", "address", "at")
    return {(account, address): at for account, address, at in rows}


def compared(address: str) -> str:
    """The form by which addresses are compared."""
    return same_address(address)


def texts_open(*, at: datetime) -> tuple[int, int]:
    """(text messages that are due, those that were taken and may be asked about now)."""
    row = _rows(
        "SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'accepted' AND"
        " accepted_at > %s AND provider_ref <> '') FROM notices_delivery WHERE channel = 'sms'"
        " AND state IN ('waiting', 'accepted') AND next_attempt_at <= %s",
        [at - VOIDS_WITHIN, at],
    )[0]
    return int(row[0]), int(row[1])


def any_standing(*, keys: Collection[str]) -> bool:
    """Whether one of these messages is still under way, or was taken and has not come back."""
    states = ["waiting", "claimed", "sending", "accepted", "uncertain"]
    return Delivery.objects.filter(message__key__in=list(keys), copy=False, state__in=states).exists()


def returned(*, keys: Collection[str]) -> dict[str, datetime]:
    """When it was last recorded that one of these messages came back, was refused or unwanted; by key."""
    rows = Evidence.objects.filter(
        message__key__in=list(keys),
        kind__in=[EvidenceKind.BOUNCED, EvidenceKind.REFUSED, EvidenceKind.COMPLAINED],
    ).values_list("message__key", "recorded_at")
    out: dict[str, datetime] = {}
    for key, recorded in rows:
        out[key] = max(recorded, out.get(key, recorded))
    return out


def keys_about(about: Collection[str], *, kind: str) -> dict[str, list[str]]:
    """The keys of the messages of a kind about each of these, oldest first; those without any are left out."""
    out: dict[str, list[str]] = {}
    rows = Message.objects.filter(about__in=list(about), kind=kind).order_by("id")
    for of, key in rows.values_list("about", "key"):
        out.setdefault(of, []).append(key)
    return out


def events_of(keys: Collection[str]) -> dict[str, tuple[tuple[Event, ...], dict[str, datetime]]]:
    """By message, all evidence but the provider's own copies', and since when each delivery's address is verified.

    What `judge` takes; for whoever judges at another instant, or with a law's own rule of what is deemed received.
    """
    owners = list(
        Delivery.objects.filter(message__key__in=list(keys), copy=False).values_list(
            "id", "address", "message__account_id", "message__key"
        )
    )
    since = verified_since({account for _, _, account, _ in owners if account is not None})
    events: dict[str, list[Event]] = {key: [] for key in keys}
    verified: dict[str, dict[str, datetime]] = {key: {} for key in keys}
    key_of: dict[int, str] = {}
    for row, address, account, key in owners:
        key_of[row] = key
        if (account, same_address(address)) in since:
            verified[key][str(row)] = since[account, same_address(address)]
    rows = Evidence.objects.filter(delivery__in=list(key_of)).order_by("chain_id", "seq")
    for kind, at, of, channel, lasting in rows.values_list("kind", "at", "delivery_id", "channel", "lasting"):
        events[key_of[of]].append(Event(EvidenceKind(kind), at, str(of), Channel(channel), lasting))
    return {key: (tuple(found), verified[key]) for key, found in events.items()}
