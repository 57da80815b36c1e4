"""An account's evidence as others may check it: its whole chain, opened only where a message is asked for."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from coulance.notices.models import Chain, Delivery, Evidence, Message, MessageFile


def chain_of(*, account: int, opened: Collection[str]) -> dict[str, Any]:
    """An account's evidence in the order of its chain, as JSON, with all that its hashes are taken of.

    What is personal (addresses, a server's words) is there for the messages in `opened` (their keys), and stays a
    salted hash for all others. `salt` opens the hashes of this account and of nobody else's.
    """
    chain = Chain.objects.filter(account=account).first()
    if chain is None:
        return {"schema": "coulance.evidence-chain/1", "party": "", "salt": "", "pieces": []}
    rows = Evidence.objects.filter(chain=chain).order_by("seq").select_related("message", "delivery")
    return {
        "schema": "coulance.evidence-chain/1",
        "party": chain.pseudonym.hex,
        "salt": bytes(chain.salt).hex() if chain.salt is not None else "",
        "pieces": [
            {
                "seq": row.seq,
                "message": row.message.key,
                "delivery": row.delivery.header_id if row.delivery else "",
                "kind": row.kind,
                "at": _instant(row.at),
                "recorded_at": _instant(row.recorded_at),
                "fact": {**row.fact, "channel": row.channel, "lasting": row.lasting, "source": row.source},
                "personal": row.personal if row.message.key in opened else None,
                "personal_hash": bytes(row.personal_hash).hex(),
                "previous": bytes(row.previous_hash).hex(),
                "hash": bytes(row.hash).hex(),
            }
            for row in rows
        ],
    }


def messages_about(*, account: int, about: Collection[str], keys: Collection[str]) -> list[dict[str, Any]]:
    """An account's messages about these, and those of these keys: what they said and to whom, oldest first."""
    rows = Message.objects.filter(account=account).order_by("queued_at", "id")
    asked = [row for row in rows if row.about in about or row.key in keys]
    files: dict[int, list[str]] = {}
    for of, name, kind, ref in (
        MessageFile.objects.filter(message__in=asked).order_by("no").values_list("message_id", "name", "kind", "ref")
    ):
        files.setdefault(of, []).append(name or f"{kind} {ref}")
    sent: dict[int, list[dict[str, Any]]] = {}
    for one in Delivery.objects.filter(message__in=asked, copy=False).order_by("id"):
        sent.setdefault(one.message_id, []).append(
            {"id": one.header_id, "channel": one.channel, "to": one.address, "state": one.state}
        )
    return [
        {
            "key": row.key,
            "kind": row.kind,
            "about": row.about,
            "language": row.language,
            "queued_at": _instant(row.queued_at),
            "subject": row.subject,
            "text": row.text,
            "files": files.get(row.pk, []),
            "deliveries": sent.get(row.pk, []),
        }
        for row in asked
    ]


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
