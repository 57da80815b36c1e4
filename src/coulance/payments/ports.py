"""What payments ask of a gateway (Stripe, Mollie): a page to pay on, a charge without the payer, refunds, facts.

A gateway is thin: it says what is so there, in our words and our units, and decides nothing. Whatever an event says,
what counts is what `fetch` gives afterwards; so events may come late, twice, or in any order. Amounts are `Money`: an
adapter alone knows what its gateway makes of them (whole minor units, or "10.00").

Every call that makes something there takes a `key` of ours. Made twice by one key, it is made once; and `find` gives
what became of a key whose answer was never read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from coulance_core.kernel import Money


class UnableToReachGatewayError(RuntimeError):
    """No answer, or one that says: later. Whether it was done there is unknown; asking again by its key is safe."""


class GatewayRefusedError(RuntimeError):
    """The gateway refuses, and would again: a wrong key, an amount it doesn't take, a method that is gone."""


class UnableToVerifyEventError(ValueError):
    """An event that doesn't prove where it comes from, or is none."""


class SeenState(StrEnum):
    """Where a payment stands at the gateway."""

    OPEN = "open"
    """The payer has yet to act."""
    PENDING = "pending"
    """The gateway has it under way: its own word that money is coming, and may still fail."""
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing comes of it any more, or all came."""
        return self in (SeenState.PAID, SeenState.FAILED, SeenState.EXPIRED, SeenState.CANCELLED)


@dataclass(frozen=True, slots=True)
class SeenRefund:
    """A refund as the gateway has it. `failed`: the money came back to us."""

    ref: str
    amount: Money
    failed: bool
    key: str = ""


@dataclass(frozen=True, slots=True)
class SeenDispute:
    """A chargeback: the payer's bank took `amount` back on a day. `won`: it was given back to us since."""

    ref: str
    amount: Money
    on: date
    reason: str
    won: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A payment as the gateway has it now. `refs` are all names it has there, ours to know it by; `key` is ours.

    `method` is for people ("Visa 4242"). `method_ref` is given when the method may be charged again. `final_on` is the
    day by which a pending payment must have come or failed.
    """

    refs: tuple[str, ...]
    key: str
    state: SeenState
    amount: Money
    paid_on: date | None = None
    final_on: date | None = None
    method: str = ""
    method_ref: str = ""
    failure: str = ""
    refunds: tuple[SeenRefund, ...] = ()
    disputes: tuple[SeenDispute, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A payment to be made. `customer_ref` is the payer at the gateway; `store`: keep the method, for later."""

    key: str
    amount: Money
    description: str
    customer_ref: str = ""
    store: bool = False
    return_url: str = ""
    webhook_url: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Page:
    """A page at the gateway on which the payer pays."""

    ref: str
    url: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventSeen:
    """What an event is about: names to `fetch` by, the first the surest. `id` is the gateway's own, or made from it.

    One that isn't `proven` anybody may have sent.
    """

    id: str
    kind: str
    refs: tuple[str, ...]
    proven: bool = True


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """What one payment, refund or chargeback adds to a payout: `gross` as the payer sees it, `fee` what was kept."""

    ref: str
    kind: str
    gross: Money
    fee: Money


@dataclass(frozen=True, slots=True)
class PayoutSeen:
    """Money that the gateway sent to our bank: gross of what it settles, less its fees, is `net`."""

    ref: str
    net: Money
    fees: Money
    arrived_on: date
    bank_reference: str
    lines: tuple[PayoutLine, ...]


class Gateway(Protocol):
    """A gateway. Every call may raise `UnableToReachGatewayError` or `GatewayRefusedError`."""

    name: str

    def make_customer(self, *, key: str, name: str, email: str) -> str:
        """The payer's name there."""
        ...

    def create_checkout(self, wanted: Wanted) -> Page:
        """A page for the payer to pay on."""
        ...

    def charge_stored(self, wanted: Wanted, *, method_ref: str) -> Seen:
        """Charge a stored method, the payer absent."""
        ...

    def fetch(self, ref: str) -> Seen:
        """A payment as it is there now, by any of its names."""
        ...

    def find(self, *, key: str, customer_ref: str) -> Seen | None:
        """The payment that was made there by that key, or none."""
        ...

    def refund(self, *, key: str, ref: str, amount: Money, reason: str) -> SeenRefund:
        """Pay back out of a payment."""
        ...

    def forget_method(self, *, customer_ref: str, method_ref: str) -> None:
        """Drop a stored method there too."""
        ...

    def verify_event(self, *, headers: Mapping[str, str], body: bytes, at: datetime) -> EventSeen:
        """What an event is about. Raises `UnableToVerifyEventError`."""
        ...

    def payouts(self, *, since: date) -> Sequence[PayoutSeen]:
        """What was paid out to our bank from that day on, the oldest first."""
        ...


@cache
def _made(path: str) -> Gateway:
    made: Gateway = import_string(path)()
    return made


def names() -> tuple[str, ...]:
    """The gateways that there are adapters for."""
    return tuple(getattr(settings, "GATEWAYS", {}))


def gateway(name: str) -> Gateway:
    """The gateway of that name, as the settings wire it. Raises `GatewayRefusedError` for an unknown one."""
    path = getattr(settings, "GATEWAYS", {}).get(name)
    if path is None:
        raise GatewayRefusedError(f"there is no gateway {name!r}; expected one of {', '.join(names()) or 'none'}")
    return _made(path)


def configured(known: Iterable[str]) -> tuple[str, ...]:
    """Which of these gateways have a secret key here, by their names."""
    from coulance.platform.secret_store import secret

    return tuple(name for name in known if name in names() and secret(name))
