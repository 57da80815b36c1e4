"""That a person saw what was written to them: they pressed a button on the page that shows it all."""

from datetime import datetime

from coulance.arrears import queries as records
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance_core.notices import EvidenceKind


def saw(*, account: int, contact: str, actor: str, at: datetime) -> int:
    """Keep it as evidence of each notice of the open case that went to this contact; how many it was new for.

    Opening a page is no evidence (mail programs open links by themselves); pressing a button is.
    """
    case = records.case(account)
    if case is None:
        return 0
    keys = dict.fromkeys(key for act in records.acts(cases=[case.id]) for key in act.messages)
    new = 0
    for key in keys:
        for number in sent.deliveries_of(key=key):
            found = sent.delivery(number)
            if found is None or found.contact_ref != contact:
                continue
            new += notices.record_human_act(
                delivery=number, kind=EvidenceKind.SEEN, by=actor, at=at, source=f"owed/{number}"
            )
    return new
