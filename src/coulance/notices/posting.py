"""Letters by post: queued like mail, printed and posted by a person, which is evidence, dated by that person."""

from datetime import datetime, timedelta

from django.db import transaction

from coulance.notices import evidence, outcomes
from coulance.notices.errors import UnableToChangeDeliveryError, UnableToFindMessageError
from coulance.notices.models import Delivery
from coulance.notices.states import State
from coulance.platform import audit
from coulance_core.kernel import require_aware
from coulance_core.notices import Channel, EvidenceKind


def record_posted(*, delivery: int, how: str, actor: str, posted_at: datetime, at: datetime) -> None:
    """A person posted a letter: `how` says by which service, with its number where it was registered.

    Raises `UnableToChangeDeliveryError` for what is no letter that waits, or was posted later than now, or before it
    was written: its days run from then. A day alone may be named; it counts from when it was written at the earliest.
    """
    require_aware(at)
    if posted_at > at:
        raise UnableToChangeDeliveryError("a letter was posted before that is recorded")
    if not how.strip():
        raise UnableToChangeDeliveryError("say how it was posted: by which service, and its number")
    with transaction.atomic():
        found = outcomes.known([delivery], lock=True)
        if not found:
            raise UnableToFindMessageError(f"there is no delivery {delivery}")
        of = found[0]
        if of.channel != Channel.POST.value:
            raise UnableToChangeDeliveryError(f"delivery {delivery} goes by {of.channel}, not by post")
        written = Delivery.objects.values_list("message__queued_at", flat=True).get(id=of.delivery)
        if posted_at < written - timedelta(days=1):
            raise UnableToChangeDeliveryError(f"delivery {delivery} was written on {written:%F}: no letter goes before")
        posted_at = max(posted_at, written)
        if not _through(of, at, posted_at):
            raise UnableToChangeDeliveryError(f"delivery {delivery} is {of.state}: it was posted or taken back before")
        fact = {"by": actor, "how": how.strip()}
        evidence.record([outcomes.piece(of, EvidenceKind.ACCEPTED, at=posted_at, fact=fact)], at=at)
        audit.record(actor=actor, act="letter.posted", subject=f"delivery:{delivery}", at=at, reason=how)


def _through(of: outcomes.Known, at: datetime, posted_at: datetime) -> bool:
    """The way every delivery goes; whether it waited."""
    rows = Delivery.objects.filter(id=of.delivery)
    if not rows.filter(state=State.WAITING.value).update(state="claimed", claim=of.delivery, changed_at=at):
        return False
    rows.update(state="sending")
    return bool(rows.update(state="accepted", claim=None, accepted_at=posted_at, changed_at=at))
