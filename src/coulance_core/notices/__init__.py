"""Which message goes to whom, when it is tried again, and what is proven of its arrival."""

from coulance_core.notices.backing_off import GIVE_UP_AFTER, next_attempt
from coulance_core.notices.chain import GENESIS, evidence_hash, personal_digest
from coulance_core.notices.evidence import Channel, Event, EvidenceKind, Rung, rung_of
from coulance_core.notices.judgement import VOIDS_WITHIN, DeemedRule, Judgement, delivered_spells, judge
from coulance_core.notices.recipients import Choice, MessageKind, Person, choose

__all__ = [
    "GENESIS",
    "GIVE_UP_AFTER",
    "VOIDS_WITHIN",
    "Channel",
    "Choice",
    "DeemedRule",
    "Event",
    "EvidenceKind",
    "Judgement",
    "MessageKind",
    "Person",
    "Rung",
    "choose",
    "delivered_spells",
    "evidence_hash",
    "judge",
    "next_attempt",
    "personal_digest",
    "rung_of",
]
