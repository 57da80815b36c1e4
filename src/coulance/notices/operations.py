"""Writing notices: queueing messages, and what people decide about deliveries. Everything keyword-only."""

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from coulance.catalog import queries as catalog
from coulance.notices import evidence, outcomes
from coulance.notices.addresses import AddressFormError, header_text, mail_address, phone_number, same_address
from coulance.notices.bounces import BouncesRead, read_bounces
from coulance.notices.errors import (
    NoticesError,
    UnableToAttachError,
    UnableToChangeDeliveryError,
    UnableToFindMessageError,
    UnableToQueueError,
    UnableToReachServerError,
    UnableToReadBouncesError,
    UnableToReadTransportError,
)
from coulance.notices.hook_address import is_hook
from coulance.notices.models import DeadAddress, Delivery, Message, MessageFile, Verification
from coulance.notices.outcomes import Known
from coulance.notices.phone_codes import UnableToVerifyPhoneError, confirm_phone, send_phone_code
from coulance.notices.posting import record_posted
from coulance.notices.sender import Sent, clear_up, send_due
from coulance.notices.states import State
from coulance.notices.terms import Attachment, File, NewMessage, Recipient
from coulance.platform import audit
from coulance_core.kernel import require_aware
from coulance_core.notices import Channel, EvidenceKind, MessageKind

__all__ = [
    "Attachment",
    "BouncesRead",
    "File",
    "NewMessage",
    "NoticesError",
    "Recipient",
    "Sent",
    "UnableToAttachError",
    "UnableToChangeDeliveryError",
    "UnableToFindMessageError",
    "UnableToQueueError",
    "UnableToReachServerError",
    "UnableToReadBouncesError",
    "UnableToReadTransportError",
    "UnableToVerifyPhoneError",
    "clear_up",
    "confirm_phone",
    "nudge",
    "nudge_texts",
    "queue_message",
    "queue_messages",
    "read_bounces",
    "record_human_act",
    "record_posted",
    "release_address",
    "send_again",
    "send_due",
    "send_phone_code",
    "settle_as_arrived",
    "verify_address",
    "withdraw",
]

_MOST_BYTES = 20 * 1024 * 1024
MOST_TO_A_HOOK = 20_000
MOST_OF_A_TEXT = 1000
"""Letters of a text message: some seven parts."""


def queue_message(
    *,
    key: str,
    account: int | None,
    kind: str,
    to: Sequence[Recipient],
    language: str,
    subject: str,
    text: str,
    html: str = "",
    attachments: Sequence[Attachment] = (),
    at: datetime,
    about: str = "",
    actor: str = "worker",
    reason: str = "",
) -> int:
    """Queue a message in the caller's transaction, to be sent once that is committed; gives its id.

    Idempotent by `key`: a message that is there stays as it is, and its id is given. Raises `UnableToQueueError`.
    """
    new = NewMessage(
        key=key,
        account=account,
        kind=kind,
        to=to,
        language=language,
        subject=subject,
        text=text,
        html=html,
        attachments=attachments,
        about=about,
        reason=reason,
    )
    return queue_messages([new], at=at, actor=actor)[key]


def queue_messages(new: Sequence[NewMessage], *, at: datetime, actor: str = "worker") -> dict[str, int]:
    """Queue many messages in the caller's transaction, in a few statements; gives their ids by key.

    Raises `UnableToQueueError` for the first that can't be; nothing is queued then.
    """
    require_aware(at)
    ready = [_Checked(one) for one in new]
    if not ready:
        return {}
    with transaction.atomic():
        made = _insert(ready, at, actor)
        deliveries: list[Delivery] = []
        files: list[MessageFile] = []
        for one in ready:
            if one.new.key not in made:
                continue
            message = made[one.new.key]
            deliveries += [_delivery(one, message, address, to, at, copy=False) for to, address in one.to]
            deliveries += [
                _delivery(one, message, address, Recipient(address), at, copy=True) for address in one.copies
            ]
            for no, attached in enumerate(one.new.attachments, 1):
                files.append(
                    MessageFile(
                        message_id=message,
                        no=no,
                        kind=attached.kind,
                        ref=attached.ref,
                        name=header_text(attached.name, most=150),
                        media_type=attached.media_type,
                        content=attached.content,
                    )
                )
        MessageFile.objects.bulk_create(files, batch_size=500)
        Delivery.objects.bulk_create(deliveries, batch_size=1000)
        by_id = {made[one.new.key]: one for one in ready if one.new.key in made}
        pieces = []
        for row in deliveries:
            one = by_id[row.message_id]
            pieces.append(
                evidence.New(
                    kind=EvidenceKind.QUEUED,
                    account=one.new.account,
                    message=row.message_id,
                    message_key=one.new.key,
                    delivery=row.pk,
                    header_id=row.header_id,
                    at=at,
                    fact={"by": actor, "copy": row.copy, "language": one.new.language, "contact": row.contact_ref},
                    personal={"to": row.address, "name": row.name},
                    channel=Channel(row.channel),
                )
            )
        evidence.record(pieces, at=at)
        if any(row.channel == Channel.EMAIL for row in deliveries):
            nudge()
        if any(row.channel == Channel.SMS for row in deliveries):
            nudge_texts()
        if any(row.channel == Channel.WEBHOOK for row in deliveries):
            nudge_hooks()
        keys = [one.new.key for one in ready]
        known = dict(Message.objects.filter(key__in=keys).values_list("key", "id"))
    return {key: known[key] for key in keys}


class _Checked:
    """A message whose every part can go into a mail. Raises `UnableToQueueError` where one can't."""

    def __init__(self, new: NewMessage) -> None:
        self.new = new

        def refuse(what: str) -> UnableToQueueError:
            return UnableToQueueError(f"message {new.key or '(without a key)'}: {what}")

        if not new.key or len(new.key) > 160:
            raise refuse("it needs a key of at most 160 characters")
        if new.kind not in set(MessageKind):
            raise refuse(f"kind {new.kind!r}: expected {', '.join(MessageKind)}")
        if not new.to:
            raise refuse("it goes to nobody")
        if new.channel == Channel.POST:
            self._as_letter(new)
            return
        if new.channel == Channel.WEBHOOK:
            self._as_hook(new)
            return
        if new.channel != Channel.EMAIL:
            self._as_text(new)
            return
        self.subject = header_text(new.subject)
        if not self.subject or not new.text.strip():
            raise refuse("it needs a subject and a text")
        size = sum(len(attached.content or b"") for attached in new.attachments)
        if size > _MOST_BYTES:
            raise refuse(f"{size:,} bytes are attached; most servers take no more than {_MOST_BYTES:,}")
        for attached in new.attachments:
            whole = attached.content is not None and attached.name and "/" in attached.media_type
            if (attached.kind == "bytes" and not whole) or (attached.kind != "bytes" and not attached.ref):
                raise refuse("an attachment needs bytes with a name and media type, or a kind and a ref")
        sender, self.sender_name = new.sender, new.sender_name
        self.reply_to, self.bounces_to = new.reply_to, new.bounces_to
        if not sender:
            sender, self.sender_name, self.reply_to, self.bounces_to = _providers_own(new)
        if not sender:
            raise refuse("there is no address to send from: give [sending] from in the provider file")
        try:
            self.sender = mail_address(sender)
            self.reply_to = mail_address(self.reply_to) if self.reply_to else ""
            self.bounces_to = mail_address(self.bounces_to) if self.bounces_to else ""
            found = {same_address(address := mail_address(one.address)): (one, address) for one in reversed(new.to)}
            self.to = list(found.values())[::-1]
            self.copies: list[str] = [
                a for a in dict.fromkeys(map(mail_address, new.copies)) if same_address(a) not in found
            ]
        except AddressFormError as error:
            raise refuse(str(error)) from error

    def _as_letter(self, new: NewMessage) -> None:
        """A letter by post: a subject, a text, and one postal address in a line. A person prints and posts it."""
        self.subject = header_text(new.subject)
        if not self.subject or not new.text.strip() or len(new.to) != 1 or not new.to[0].address.strip():
            raise UnableToQueueError(f"message {new.key}: a letter has a subject, a text, and one postal address")
        self.sender = self.sender_name = self.reply_to = self.bounces_to = ""
        self.copies = []
        self.to = [(new.to[0], new.to[0].address.strip()[:254])]

    def _as_text(self, new: NewMessage) -> None:
        """A text message: a telephone number, and few enough words."""

        def refuse(what: str) -> UnableToQueueError:
            return UnableToQueueError(f"message {new.key}: {what}")

        if new.channel != Channel.SMS:
            raise refuse(f"channel {new.channel!r}: expected email, sms, post or webhook")
        if not new.text.strip() or len(new.text) > MOST_OF_A_TEXT:
            raise refuse(f"a text message has 1 to {MOST_OF_A_TEXT} letters, not {len(new.text)}")
        if new.html or new.attachments or new.copies:
            raise refuse("a text message has no html, attachments or copies")
        self.subject = header_text(new.subject)
        self.sender = self.sender_name = self.reply_to = self.bounces_to = ""
        self.copies = []
        try:
            found = {number: (one, number) for one in reversed(new.to) for number in [phone_number(one.address)]}
        except AddressFormError as error:
            raise refuse(str(error)) from error
        self.to = list(found.values())[::-1]

    def _as_hook(self, new: NewMessage) -> None:
        """What a machine of the customer's is told: JSON, to one webhook of theirs."""
        if len(new.to) != 1 or not is_hook(new.to[0].address) or len(new.text) > MOST_TO_A_HOOK:
            raise UnableToQueueError(f"message {new.key}: a webhook gets one JSON text, at an address such as hook:17")
        try:
            json.loads(new.text)
        except ValueError as error:
            raise UnableToQueueError(f"message {new.key}: its text is no JSON: {error}") from error
        self.subject = header_text(new.subject)
        self.sender = self.sender_name = self.reply_to = self.bounces_to = ""
        self.copies = []
        self.to = [(new.to[0], new.to[0].address)]

    @property
    def domain(self) -> str:
        """The domain of its Message-IDs."""
        return self.sender.rpartition("@")[2] or self.new.channel


def _providers_own(new: NewMessage) -> tuple[str, str, str, str]:
    try:
        whole = catalog.catalog()
    except catalog.UnableToFindCatalogError:
        return "", "", "", ""
    sending, provider = whole.sending, whole.provider
    sender = sending.sender or provider.email
    return sender, sending.name or provider.name, new.reply_to or sending.reply_to, sending.bounces_to


_COLUMNS = (
    "key", "account_id", "kind", "about", "language", "sender", "sender_name", "reply_to", "bounces_to", "subject",
    "text", "html", "queued_by", "reason",
)  # fmt: skip


def _insert(ready: Sequence[_Checked], at: datetime, actor: str) -> dict[str, int]:
    """Write the messages whose keys are new; their ids by key."""
    rows: list[list[Any]] = [
        [
            one.new.key, one.new.account, one.new.kind, one.new.about, one.new.language, one.sender,
            header_text(one.sender_name, most=200), one.reply_to, one.bounces_to, one.subject,
            one.new.text.replace("\0", ""), one.new.html.replace("\0", ""), actor, one.new.reason,
        ]
        for one in ready
    ]  # fmt: skip
    types = ", ".join("%s::bigint[]" if name == "account_id" else "%s::text[]" for name in _COLUMNS)
    names = ", ".join(_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO notices_message ({names}, queued_at) SELECT {names}, %s FROM unnest({types})"  # noqa: S608
            f" AS new ({names}) ON CONFLICT (key) DO NOTHING RETURNING key, id",
            [at, *([row[i] for row in rows] for i in range(len(_COLUMNS)))],
        )
        return dict(cursor.fetchall())


def _delivery(one: _Checked, message: int, address: str, recipient: Recipient, at: datetime, *, copy: bool) -> Delivery:
    return Delivery(
        message_id=message,
        contact_ref=recipient.contact_ref,
        name=header_text(recipient.name, most=200) if recipient.name != recipient.address else "",
        address=address,
        copy=copy,
        header_id=f"<{secrets.token_hex(16)}@{one.domain}>",
        channel=one.new.channel,
        next_attempt_at=at if one.new.not_before is None else max(at, one.new.not_before),
        changed_at=at,
        resend_of_id=None if copy else one.new.resend_of,
    )


def nudge() -> None:
    """Have a job send what is due, in the caller's transaction. A job looks every minute in any case."""
    try:
        with transaction.atomic():
            app.configure_task("coulance.notices.tasks.send", queueing_lock="notices.send", lock="notices.send").defer()
    except AlreadyEnqueued:
        pass


def nudge_texts() -> None:
    """The same of text messages."""
    try:
        with transaction.atomic():
            app.configure_task(
                "coulance.notices.tasks.send_texts", queueing_lock="notices.texts", lock="notices.texts"
            ).defer()
    except AlreadyEnqueued:
        pass


def nudge_hooks() -> None:
    """The same of what goes to customers' webhooks."""
    try:
        with transaction.atomic():
            app.configure_task(
                "coulance.notices.tasks.send_hooks", queueing_lock="notices.hooks", lock="notices.hooks"
            ).defer()
    except AlreadyEnqueued:
        pass


def send_again(*, delivery: int, actor: str, reason: str, at: datetime) -> None:
    """Have a held or an uncertain delivery sent (again): of an uncertain one, its recipient may get a second copy.

    For one that was refused or came back make a new message to a mended address. Raises
    `UnableToChangeDeliveryError`.
    """
    with transaction.atomic():
        of = _one(delivery, reason)
        since = [State.HELD, State.UNCERTAIN]
        if not outcomes.move(of, to=State.WAITING, since=since, at=at, next_attempt_at=at, first_attempt_at=None):
            raise UnableToChangeDeliveryError(
                f"delivery {delivery} is {of.state}: only one that is held or uncertain can be sent again as it is"
            )
        fact = {"by": actor, "was": of.state, "reason": reason}
        evidence.record([outcomes.piece(of, EvidenceKind.RELEASED, at=at, fact=fact)], at=at)
        audit.record(actor=actor, act="message.sent_again", subject=f"delivery:{delivery}", at=at, reason=reason)
        nudge()


def settle_as_arrived(*, delivery: int, actor: str, reason: str, at: datetime) -> None:
    """Say that an uncertain delivery was taken: a person saw it in the server's log, or the recipient has it.

    Raises `UnableToChangeDeliveryError`.
    """
    with transaction.atomic():
        of = _one(delivery, reason)
        if not outcomes.arrived_after_all(of, how=f"{actor}: {reason}", at=at, now=at):
            raise UnableToChangeDeliveryError(f"delivery {delivery} is {of.state}, not uncertain")
        audit.record(actor=actor, act="message.settled", subject=f"delivery:{delivery}", at=at, reason=reason)


def withdraw(*, delivery: int, actor: str, reason: str, at: datetime) -> None:
    """Take back a delivery that waits, is held or is uncertain (which is then never sent again).

    Raises `UnableToChangeDeliveryError`.
    """
    with transaction.atomic():
        of = _one(delivery, reason)
        if not outcomes.move(of, to=State.WITHDRAWN, since=[State.WAITING, State.HELD, State.UNCERTAIN], at=at):
            raise UnableToChangeDeliveryError(f"delivery {delivery} is {of.state}: too late to take it back")
        fact = {"by": actor, "was": of.state, "reason": reason}
        evidence.record([outcomes.piece(of, EvidenceKind.WITHDRAWN, at=at, fact=fact)], at=at)
        audit.record(actor=actor, act="message.withdrawn", subject=f"delivery:{delivery}", at=at, reason=reason)


def _one(delivery: int, reason: str) -> Known:
    if not reason.strip():
        raise UnableToChangeDeliveryError("say why: the reason is kept as evidence")
    found = outcomes.known([delivery], lock=True)
    if not found:
        raise UnableToFindMessageError(f"there is no delivery {delivery}")
    return found[0]


def record_human_act(*, delivery: int, kind: EvidenceKind, by: str, at: datetime, source: str) -> bool:
    """Record that a person saw or acknowledged a message; once by `source`. Whether it was new.

    It also verifies the address, and settles an uncertain delivery: somebody has it.
    """
    if kind not in (EvidenceKind.SEEN, EvidenceKind.ACKNOWLEDGED):
        raise ValueError(f"{kind} is no human act")
    with transaction.atomic():
        found = outcomes.known([delivery], lock=True)
        if not found:
            raise UnableToFindMessageError(f"there is no delivery {delivery}")
        of = found[0]
        new = evidence.record([outcomes.piece(of, kind, at=at, fact={"by": by}, source=source)], at=at)
        if not new:
            return False
        outcomes.arrived_after_all(of, how=f"{kind.value} by {by}", at=at, now=at)
        if of.account is not None and kind is EvidenceKind.ACKNOWLEDGED:
            _verify(of.account, of.address, f"acknowledged delivery {delivery}", by, at)
        return True


def verify_address(*, account: int, address: str, how: str, actor: str, at: datetime) -> bool:
    """Say that an address reaches somebody at an account, and how that is known. Whether it was new."""
    with transaction.atomic():
        new = _verify(account, address, how, actor, at)
        if new:
            subject = f"account:{account}"
            audit.record(actor=actor, act="address.verified", subject=subject, at=at, reason=how)
    return new


def _verify(account: int, address: str, how: str, actor: str, at: datetime) -> bool:
    if not how.strip():
        raise UnableToChangeDeliveryError("say how the address is known to reach somebody")
    _, new = Verification.objects.get_or_create(
        account_id=account,
        address=same_address(address),
        defaults={"at": require_aware(at), "how": how[:60], "actor": actor},
    )
    return new


def release_address(*, address: str, actor: str, reason: str, at: datetime) -> int:
    """Write to a dead address again; what was held for it is due at once. Gives how many deliveries that are."""
    if not reason.strip():
        raise UnableToChangeDeliveryError("say why it will take mail again")
    with transaction.atomic():
        done = DeadAddress.objects.filter(address=same_address(address), released_at__isnull=True).update(
            released_at=at, released_by=actor, release_reason=reason
        )
        if not done:
            raise UnableToChangeDeliveryError(f"{address} is not among the addresses that refuse mail")
        audit.record(actor=actor, act="address.released", subject=f"address:{address}", at=at, reason=reason)
        held = Delivery.objects.filter(address__iexact=address, state=State.HELD.value).values_list("id", flat=True)
        for of in outcomes.known(list(held), lock=True):
            if outcomes.move(of, to=State.WAITING, since=[State.HELD], at=at, next_attempt_at=at):
                fact = {"by": actor, "was": of.state, "reason": reason}
                evidence.record([outcomes.piece(of, EvidenceKind.RELEASED, at=at, fact=fact)], at=at)
        nudge()
    return len(held)
