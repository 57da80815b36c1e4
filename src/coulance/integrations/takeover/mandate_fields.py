"""Mandates that a system keeps in fields of its customers: modules for direct debit do so, as neither WHMCS nor
FOSSBilling has a place for them. The mapping says which field is what."""

import re
from collections.abc import Callable

from coulance.integrations.takeover.gathering import Gathered
from coulance_core.payments import MandateSequence, Scheme
from coulance_core.taking_over import TakenMandate, Where


def take_mandate(into: Gathered, where: Where, key: str, account: str, read: Callable[[str], str], holder: str) -> None:
    """The mandate in a customer's fields, where the mapping names those and an IBAN is in its field."""
    fields = into.mapping.mandates
    if not fields:
        return
    value = {name: into.text(read(field), where, 140) for name, field in fields.items()}
    if not value.get("iban"):
        return
    reference = value.get("reference", "")
    if into.asked_out(f"mandate/{reference or key}", where, account):
        return
    scheme = value.get("scheme", "").lower() or Scheme.CORE.value
    if scheme not in list(Scheme):
        into.find("bad-cell", where, f"scheme: {scheme!r}", " or ".join(Scheme))
        return
    into.mandates.append(
        TakenMandate(
            where=where,
            key=f"{into.mapping.system}/mandate/{reference or key}",
            account=account,
            reference=reference,
            iban=re.sub(r"\s", "", value["iban"]).upper(),
            holder=value.get("holder") or holder,
            signed_on=into.day(value.get("signed_on"), where, "signed_on"),
            scheme=Scheme(scheme),
            sequence=MandateSequence.RECURRING,
        )
    )
