"""The provider's own terms of payment: in which order money is allocated, and by which rails it may be collected."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from coulance_core.catalog.faults import Fault, refuse
from coulance_core.kernel import Money

CREDITOR_ID = r"[A-Z]{2}[0-9]{2}[A-Z0-9]{3}[A-Z0-9+?/:().,'-]{1,28}"
"""What a SEPA creditor identifier looks like (EPC262-08); its check digits are looked at where files are read."""


class AllocationPolicy(StrEnum):
    """The order in which debts are paid where the payer says nothing (or has more than they said)."""

    BASE_BEFORE_OVERAGE = "base_before_overage"
    """Fees before overage, so that money keeps the service running; costs and interest last. Within, what was due
    first, then the oldest."""
    DUE_THEN_OLDEST = "due_then_oldest"
    """What is due before what is not; within, the oldest by day of issue."""
    OLDEST = "oldest"
    """By day of issue alone."""
    PRO_RATA = "pro_rata"
    """To each its share of all that is open; leftover cents by the largest remainder."""
    MOST_ONEROUS = "most_onerous"
    """What weighs most on the debtor before anything; then as by law."""
    BW_6_43 = "bw_6_43"
    """Due, then the most onerous, then the oldest, and equal ones in proportion."""
    BW_6_44 = "bw_6_44"
    """Costs, then interest, then principal; within each as by BW 6:43."""
    INTEREST_COSTS_PRINCIPAL = "interest_costs_principal"
    """Interest, then costs, then principal, as Belgian practice goes; within each as by BW 6:43."""
    CONTRACT_THEN_LAW = "contract_then_law"
    """Fees before overage before interest before costs; what that leaves equal, as by BW 6:43."""
    LAW_PACK = "law_pack"
    """Each account by the law pack of its country (`LawOrder`), principal as the contract says, fees before overage.
    Where no pack says anything: as `CONTRACT_THEN_LAW`."""


class LawOrder(StrEnum):
    """How a country's law ranks costs, interest and principal, as its law pack says."""

    COSTS_INTEREST_PRINCIPAL = "costs_interest_principal"
    """NL (BW 6:44), DE (BGB 367)."""
    INTEREST_COSTS_PRINCIPAL = "interest_costs_principal"
    """BE: interest before principal by law (old Civil Code 1254); what recovery cost comes with it, after it."""
    DEBTOR_THEN_CREDITOR = "debtor_then_creditor"
    """UK: where the debtor says nothing the creditor may choose, which the contract did beforehand."""


class DebitFile(StrEnum):
    """The form of the file that collects by direct debit."""

    OLD = "pain.008.001.02"
    NEW = "pain.008.001.08"


class TransferFile(StrEnum):
    """The form of the file that pays back by credit transfer."""

    OLD = "pain.001.001.03"
    NEW = "pain.001.001.09"


class TopUpCounts(StrEnum):
    """When a top-up by direct debit is on the balance."""

    COLLECTED = "collected"
    """As soon as the bank credits it; what a return takes is taken off the balance again, and of what it paid."""
    FINAL = "final"
    """Once the days are over on which a bank returns it; until then it is money on hand."""


class GatewayName(StrEnum):
    """Gateways that customers may pay by."""

    STRIPE = "stripe"
    MOLLIE = "mollie"


@dataclass(frozen=True, slots=True)
class PaymentTerms:
    """How money comes in.

    `creditor_id` empty: nothing is collected by direct debit. `notice_days`: how many days ahead a collection is
    announced (SEPA: 14 unless the mandate agrees to fewer). `lead_days`: how many days of business before its day the
    file is at the bank. A collection that came back for want of money is tried `retries` times more, `retry_after` days
    later each. `return_fee` is what a contract agreed that a returned collection costs; none is charged without.
    `charge_notice_days`: how many days ahead a charge by agreement is announced. `apply_on_hand`: what an account has
    on hand (money left over, credit, prepaid) pays its new debts by itself; without it a person says so.

    `top_up_counts`: when a top-up by direct debit is on the balance. `answer_days`: after so many days of business past
    its day a collection that the bank said nothing of raises an alarm. Money that is paid back waits for
    `payback_people` (0 to 2) to approve it, and for two from `payback_two_above` on; `transfer_file` is the form of the
    file that pays it.
    """

    allocation: AllocationPolicy = AllocationPolicy.BASE_BEFORE_OVERAGE
    creditor_id: str = ""
    notice_days: int = 14
    lead_days: int = 2
    debit_file: DebitFile = DebitFile.NEW
    first_says_first: bool = False
    retries: int = 1
    retry_after: int = 7
    return_fee: Money | None = None
    gateways: tuple[GatewayName, ...] = ()
    charge_notice_days: int = 3
    top_up_least: Money | None = None
    top_up_most: Money | None = None
    apply_on_hand: bool = True
    top_up_counts: TopUpCounts = TopUpCounts.FINAL
    answer_days: int = 3
    payback_people: int = 1
    payback_two_above: Money | None = None
    transfer_file: TransferFile = TransferFile.NEW

    def __post_init__(self) -> None:
        refuse("payments", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if self.creditor_id and not re.fullmatch(CREDITOR_ID, self.creditor_id):
            yield Fault("creditor_id", f"expected a SEPA creditor identifier, not {self.creditor_id!r}")
        for name, least, most in (
            ("notice_days", 1, 60),
            ("lead_days", 1, 10),
            ("retries", 0, 5),
            ("retry_after", 1, 60),
            ("charge_notice_days", 0, 60),
            ("answer_days", 1, 20),
            ("payback_people", 0, 2),
        ):
            if not least <= getattr(self, name) <= most:
                yield Fault(name, f"expected {least} to {most}, not {getattr(self, name)}")
        for name in ("return_fee", "top_up_least", "top_up_most", "payback_two_above"):
            amount = getattr(self, name)
            if amount is not None and amount.minor <= 0:
                yield Fault(name, f"expected more than 0, not {amount}")
        if len(set(self.gateways)) < len(self.gateways):
            yield Fault("gateways", f"each once, not {', '.join(self.gateways)}")
        least_, most_ = self.top_up_least, self.top_up_most
        if least_ is not None and most_ is not None and (least_.currency != most_.currency or least_ > most_):
            yield Fault("top_up_most", f"expected at least top_up_least, {least_}")
