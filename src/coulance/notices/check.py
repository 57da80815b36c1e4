"""The audit of the evidence: every chain recomputed from its first piece."""

from collections.abc import Iterator
from dataclasses import dataclass

from coulance.notices.models import Chain, Evidence
from coulance_core.notices import GENESIS, evidence_hash, personal_digest


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def check_evidence() -> Iterator[Fault]:
    """Every fault of every chain: changed, missing or foreign pieces."""
    chains = {chain.pk: chain for chain in Chain.objects.all()}
    heads: dict[int, tuple[int, bytes]] = dict.fromkeys(chains, (0, GENESIS))
    rows = Evidence.objects.select_related("message", "delivery").order_by("chain_id", "seq").iterator(chunk_size=2000)
    for row in rows:
        chain = chains[row.chain_id]
        seq, previous = heads[row.chain_id]
        where = f"evidence {row.pk} (no {row.seq} of chain {row.chain_id})"
        if row.seq != seq + 1:
            yield Fault(where, f"expected no {seq + 1}: pieces are missing")
        if bytes(row.previous_hash) != previous:
            yield Fault(where, "does not follow the piece before it")
        personal = bytes(row.personal_hash)
        kept = row.personal if chain.salt is not None else None
        if kept is not None and personal_digest(bytes(chain.salt or b""), kept) != personal:
            yield Fault(where, "what is personal in it was changed")
        own = evidence_hash(
            party=chain.pseudonym.bytes,
            seq=row.seq,
            message=row.message.key,
            delivery=row.delivery.header_id if row.delivery else "",
            kind=row.kind,
            at=row.at,
            recorded_at=row.recorded_at,
            fact={**row.fact, "channel": row.channel, "lasting": row.lasting, "source": row.source},
            personal=personal,
            previous=bytes(row.previous_hash),
        )
        if own != bytes(row.hash):
            yield Fault(where, "its hash does not fit its content")
        heads[row.chain_id] = (row.seq, bytes(row.hash))
    for pk, chain in chains.items():
        if heads[pk] != (chain.length, bytes(chain.head)):
            yield Fault(f"chain {pk}", f"ends at no {heads[pk][0]}, and says no {chain.length}")
