"""Writing evidence: one chain an account, extended in the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from coulance.customers import queries as customers
from coulance.notices.models import Chain, Evidence
from coulance_core.kernel import require_aware
from coulance_core.notices import GENESIS, Channel, EvidenceKind, evidence_hash, personal_digest


@dataclass(frozen=True, slots=True)
class New:
    """A piece of evidence to record. `fact` and `personal` are JSON; addresses and a server's words are personal.

    `source` names where it came from if that may tell it twice: what is known by that name already is left out.
    """

    kind: EvidenceKind
    account: int | None
    message: int
    message_key: str
    delivery: int | None
    header_id: str
    at: datetime
    fact: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, Any] = field(default_factory=dict)
    channel: Channel = Channel.EMAIL
    lasting: bool = True
    source: str | None = None


def record(new: Sequence[New], *, at: datetime) -> int:
    """Add evidence to the chains of its accounts; `at` is now. Gives how many were new.

    Locks the chains in the order of their ids, until the transaction ends.
    """
    require_aware(at)
    told = {one.source for one in new if one.source}
    known = set(Evidence.objects.filter(source__in=told).values_list("source", flat=True)) if told else set()
    found = []
    for one in new:
        if one.source is None or one.source not in known:
            found.append(one)
            known |= {one.source} - {None}
    if not found:
        return 0
    chains = _locked({one.account for one in found})
    rows = []
    for one in found:
        chain = chains[one.account]
        previous = bytes(chain.head)
        personal = dict(one.personal) if chain.salt is not None else {}
        digest = personal_digest(bytes(chain.salt or b""), personal)
        chain.length += 1
        chain.head = evidence_hash(
            party=chain.pseudonym.bytes,
            seq=chain.length,
            message=one.message_key,
            delivery=one.header_id,
            kind=one.kind,
            at=one.at,
            recorded_at=at,
            fact=_hashed(one),
            personal=digest,
            previous=previous,
        )
        rows.append(
            Evidence(
                chain_id=chain.pk,
                seq=chain.length,
                message_id=one.message,
                delivery_id=one.delivery,
                kind=one.kind,
                channel=one.channel,
                lasting=one.lasting,
                at=one.at,
                recorded_at=at,
                fact=dict(one.fact),
                personal=personal,
                personal_hash=digest,
                source=one.source,
                previous_hash=previous,
                hash=chain.head,
            )
        )
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE notices_chain SET length = %s, head = %s WHERE id = %s",
            [(chain.length, bytes(chain.head), chain.pk) for chain in chains.values()],
        )
    Evidence.objects.bulk_create(rows, batch_size=1000)
    return len(rows)


def _hashed(one: New) -> dict[str, Any]:
    return {**one.fact, "channel": one.channel.value, "lasting": one.lasting, "source": one.source}


def _locked(accounts: set[int | None]) -> dict[int | None, Chain]:
    """The chains of these accounts, made where missing, locked in the order of their ids."""
    ids = sorted(account for account in accounts if account is not None)
    held = {chain.account_id: chain for chain in _lock(ids, None in accounts)}
    missing = accounts - held.keys()
    if missing:
        pseudonyms = {row.id: row.pseudonym for row in customers.accounts([i for i in missing if i is not None])}
        with connection.cursor() as cursor:
            for account in sorted(missing, key=lambda one: -1 if one is None else one):
                cursor.execute(
                    "INSERT INTO notices_chain (account_id, pseudonym, head, length)"
                    " VALUES (%s, coalesce(%s, gen_random_uuid()), %s, 0) ON CONFLICT (account_id) DO NOTHING",
                    [account, pseudonyms.get(account) if account is not None else None, GENESIS],
                )
        held = {chain.account_id: chain for chain in _lock(ids, None in accounts)}
    return held


def _lock(ids: Sequence[int], own: bool) -> list[Chain]:
    chains = list(Chain.objects.select_for_update().filter(account__in=ids).order_by("id")) if ids else []
    if own:
        chains += Chain.objects.select_for_update().filter(account__isnull=True)
    return chains
