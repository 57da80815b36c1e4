"""How an amount is divided over debts: the payer's own choice first, then a named policy; never a cent lost.

The order of law is BW 6:43 (NL), and much the same elsewhere (BGB 366, Code civil 1342-10): what the debtor says, and
where they say nothing, an order that is agreed or laid down. Ours are named (`orders`), for a contract to name one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from coulance_core.catalog.paying import AllocationPolicy
from coulance_core.kernel import CurrencyMismatchError, Explanation, Money, currency
from coulance_core.kernel.explanation import ExplanationBuilder
from coulance_core.payments.orders import Order, convention, tiers, title
from coulance_core.payments.terms import Choice, OpenItem, Part


class AllocationError(ValueError):
    """An amount that can't be divided: below zero, or over items of several accounts, or one item twice."""


@dataclass(frozen=True, slots=True)
class Move:
    """One decision of an allocation: so much to this item, of which so much was open; `asked` when a choice capped it.

    `among` is what was payable in all, where the amount was shared pro rata. `held` was disputed of what was open, and
    left alone.
    """

    item: OpenItem
    before: int
    given: int
    chosen: bool
    asked: int | None = None
    among: int | None = None
    held: int = 0


@dataclass(frozen=True, slots=True)
class Allocation:
    """An amount divided: `parts` by item in the order they were paid, `rest` what nothing was open for.

    The parts and the rest sum to the amount, always. `unmet` names choices that are not open (any more).
    """

    amount: Money
    policy: Order
    parts: tuple[Part, ...]
    rest: Money
    moves: tuple[Move, ...]
    unmet: tuple[str, ...] = ()

    @property
    def explanation(self) -> Explanation:
        """The arithmetic, item by item, recomputable."""
        return _explain(self)


def allocate(
    amount: Money,
    items: Iterable[OpenItem],
    *,
    on: date,
    choice: Sequence[Choice | str] = (),
    policy: Order = AllocationPolicy.BASE_BEFORE_OVERAGE,
    beyond_choice: bool = True,
) -> Allocation:
    """Divide `amount` over the debts among `items` (all of one account): as chosen, then by `policy` as of day `on`.

    A choice is an item's ref, or with an amount; more than is open is not taken. What is left goes on by the policy,
    unless `beyond_choice` is false. Items with nothing open, or credit, take no part. What is disputed of an item is
    paid only by a choice that names it, once the rest of everything named is paid. Raises `AllocationError` for an
    amount below zero, an item twice or two accounts, and `CurrencyMismatchError` for another currency: nobody converts.

    >>> from coulance_core.payments.terms import ItemKind
    >>> def item(ref, kind, due, cents):
    ...     return OpenItem(ref, 1, kind, ref, date(2026, 10, 1), due, Money(cents, "EUR"), Money(cents, "EUR"))
    >>> debts = [item("o", ItemKind.OVERAGE, date(2026, 10, 15), 500)]
    >>> debts.append(item("b", ItemKind.BASE, date(2026, 11, 1), 1000))
    >>> done = allocate(Money(1200, "EUR"), debts, on=date(2026, 11, 2))
    >>> [(p.ref, p.amount.minor, p.left_open.minor) for p in done.parts], done.rest.minor
    ([('b', 1000, 0), ('o', 200, 300)], 0)
    >>> [(p.ref, p.amount.minor) for p in allocate(Money(700, "EUR"), debts, on=date(2026, 11, 2), choice=["o"]).parts]
    [('o', 500), ('b', 200)]
    """
    debts = _debts(amount, items)
    open_now = {item.ref: item.open.minor for item in debts}
    held = {item.ref: item.open.minor - item.payable.minor for item in debts}
    by_ref = {item.ref: item for item in debts}
    moves: list[Move] = []
    unmet: list[str] = []
    left = amount.minor
    chosen = [Choice(wanted) if isinstance(wanted, str) else wanted for wanted in choice]
    # Twice over the choices: what is disputed comes after the rest of everything that is named. An amount says enough.
    for one, spared in [(one, held) for one in chosen] + [(one, {}) for one in chosen if held.get(one.ref)]:
        if one.amount is not None and one.amount.currency != amount.currency:
            raise CurrencyMismatchError(one.amount.currency, amount.currency)
        if one.amount is not None and one.amount.minor <= 0:
            raise AllocationError(f"{one.ref}: a choice is of more than nothing, not {one.amount}")
        if one.amount is not None and spared is not held:
            continue
        if not open_now.get(one.ref):
            if spared is held:
                unmet.append(one.ref)
            continue
        asked = None if one.amount is None else one.amount.minor
        before, leave = open_now[one.ref], 0 if asked is not None else spared.get(one.ref, 0)
        given = min(max(before - leave, 0), left) if asked is None else min(before, left, asked)
        if given:
            moves.append(Move(by_ref[one.ref], before, given, True, asked, held=leave))
            open_now[one.ref] -= given
            left -= given
    if left and beyond_choice:
        payable = {ref: max(minor - held[ref], 0) for ref, minor in open_now.items()}
        moved = _by_policy(left, [i for i in debts if payable[i.ref]], payable, held, policy, on)
        moves += moved
        left -= sum(move.given for move in moved)
    return Allocation(
        amount, policy, _parts(moves, amount.currency), Money(left, amount.currency), tuple(moves), tuple(unmet)
    )


def _debts(amount: Money, items: Iterable[OpenItem]) -> list[OpenItem]:
    if amount.minor < 0:
        raise AllocationError(f"an amount below zero ({amount}) is divided over nothing: it is a refund or a reversal")
    debts: list[OpenItem] = []
    seen: set[str] = set()
    account: int | None = None
    for item in items:
        if item.open.currency != amount.currency:
            raise CurrencyMismatchError(item.open.currency, amount.currency)
        if item.ref in seen:
            raise AllocationError(f"{item.ref} is there twice")
        if account is not None and item.account != account:
            raise AllocationError(f"items of two accounts, {account} and {item.account}: money belongs to one")
        seen.add(item.ref)
        account = item.account
        if item.open.minor > 0:
            debts.append(item)
    return debts


def _by_policy(
    left: int,
    waiting: Sequence[OpenItem],
    payable: Mapping[str, int],
    held: Mapping[str, int],
    policy: Order,
    on: date,
) -> list[Move]:
    moves: list[Move] = []
    for tier in tiers(waiting, policy=policy, on=on):
        pay = _pro_rata if tier.shared and len(tier.items) > 1 else _in_turn
        moves += (moved := pay(left, tier.items, payable, held))
        left -= sum(move.given for move in moved)
        if not left:
            break
    return moves


def _in_turn(left: int, waiting: Sequence[OpenItem], payable: Mapping[str, int], held: Mapping[str, int]) -> list[Move]:
    moves: list[Move] = []
    for item in waiting:
        if not left:
            break
        given = min(payable[item.ref], left)
        moves.append(Move(item, payable[item.ref] + held[item.ref], given, False, held=held[item.ref]))
        left -= given
    return moves


def _pro_rata(
    left: int, waiting: Sequence[OpenItem], payable: Mapping[str, int], held: Mapping[str, int]
) -> list[Move]:
    total = sum(payable[item.ref] for item in waiting)
    if left >= total:
        return _in_turn(left, waiting, payable, held)
    # Hamilton's method: whole cents down, then one each to the largest remainders. A share with a remainder is below
    # its debt by at least one cent, so that no debt is overpaid by it.
    shares = [divmod(left * payable[item.ref], total) for item in waiting]
    lacking = left - sum(whole for whole, _ in shares)
    largest = sorted(range(len(shares)), key=lambda n: (-shares[n][1], n))[:lacking]
    extra = set(largest)
    return [
        Move(item, payable[item.ref] + held[item.ref], whole + (n in extra), False, among=total, held=held[item.ref])
        for n, (item, (whole, _)) in enumerate(zip(waiting, shares, strict=True))
        if whole or n in extra
    ]


def _parts(moves: Iterable[Move], code: str) -> tuple[Part, ...]:
    parts: dict[str, Part] = {}
    for move in moves:
        given, left = Money(move.given, code), Money(move.before - move.given, code)
        part = parts.get(move.item.ref)
        parts[move.item.ref] = (
            Part(move.item.ref, given, left)
            if part is None
            else replace(part, amount=part.amount + given, left_open=left)
        )
    return tuple(parts.values())


@dataclass(frozen=True, slots=True)
class SetOff:
    """Credit set against debts: `freed` says how much of each credit is used (parts below zero), `allocation` for what.

    What is freed and not allocated is in `allocation.rest`.
    """

    freed: tuple[Part, ...]
    allocation: Allocation


def set_off(
    items: Iterable[OpenItem],
    *,
    code: str,
    on: date,
    choice: Sequence[Choice | str] = (),
    policy: Order = AllocationPolicy.BASE_BEFORE_OVERAGE,
    free: Money | None = None,
) -> SetOff:
    """Set the credit among `items` (those below zero) against the debts among them, the oldest credit first.

    Only as much credit is used as debts take; with `free`, that much is freed, and what debts don't take is the rest
    (to pay it back, say; give no debts then). Raises `AllocationError` when there is less credit than asked.

    >>> from coulance_core.payments.terms import ItemKind
    >>> on = date(2026, 11, 1)
    >>> paid = OpenItem("a", 1, ItemKind.BASE, "A", on, on, Money(1000, "EUR"), Money(-300, "EUR"))
    >>> debt = OpenItem("b", 1, ItemKind.BASE, "B", on, on, Money(200, "EUR"), Money(200, "EUR"))
    >>> done = set_off([paid, debt], code="EUR", on=on)
    >>> [(p.ref, p.amount.minor, p.left_open.minor) for p in (*done.freed, *done.allocation.parts)]
    [('a', -200, -100), ('b', 200, 0)]
    """
    listed = list(items)
    sources = sorted(
        (i for i in listed if i.open.minor < 0 and i.open.currency == code),
        key=lambda i: (i.issued_on, i.number, i.ref),
    )
    there = -sum(item.open.minor for item in sources)
    if free is not None and (free.currency != code or not 0 < free.minor <= there):
        raise AllocationError(f"{free} is asked to be freed, and the credit there is comes to {Money(there, code)}")
    done = allocate(Money(there if free is None else free.minor, code), listed, on=on, choice=choice, policy=policy)
    left = done.amount.minor - (done.rest.minor if free is None else 0)
    if free is None:
        done = replace(done, amount=Money(left, code), rest=Money(0, code))
    freed: list[Part] = []
    for item in sources:
        used = min(left, -item.open.minor)
        if used:
            freed.append(Part(item.ref, Money(-used, code), Money(item.open.minor + used, code)))
            left -= used
    return SetOff(tuple(freed), done)


def _explain(done: Allocation) -> Explanation:
    code = done.amount.currency
    numbers = Counter(number for _, number in {(move.item.ref, move.item.number) for move in done.moves})
    why = Explanation.build(f"payments.{title(done.policy)}").fact("received", done.amount.amount, code)
    left, seen, given = "received", Counter[str](), list[str]()
    for move in done.moves:
        label = move.item.number if numbers[move.item.number] == 1 else f"{move.item.number} ({move.item.ref})"
        seen[label] += 1
        if seen[label] > 1:
            label = f"{label}, {seen[label]}"
        why.fact(f"open on {label}", Money(move.before, code).amount, code, _source(move))
        there = f"open on {label}"
        if move.held:
            why.fact(f"disputed on {label}", Money(move.held, code).amount, code, "a dispute holds it")
            why.step(f"payable on {label}", "subtract", there, f"disputed on {label}", unit=code)
            there = f"payable on {label}"
        if move.among is not None:
            _explain_share(why, label, there, move, left, code)
        elif move.asked is not None:
            why.fact(f"asked for {label}", Money(move.asked, code).amount, code, "the payer's choice")
            why.step(f"to {label}", "min", there, left, f"asked for {label}", unit=code)
        else:
            why.step(f"to {label}", "min", there, left, unit=code)
        if move.among is None:  # shares are all taken of the same amount
            why.step(f"left after {label}", "subtract", left, f"to {label}", unit=code)
            left = f"left after {label}"
        given.append(f"to {label}")
    why.step("allocated", "add", *given, unit=code)
    why.step("not allocated", "subtract", "received", "allocated", unit=code)
    why.convention(convention(done.policy))
    if done.unmet:
        why.note(f"named by the payer, and not open: {', '.join(done.unmet)}")
    return why.freeze()


def _source(move: Move) -> str:
    chosen = ", the payer's choice" if move.chosen and move.asked is None else ""
    return f"{move.item.kind.value}, due {move.item.due_on.isoformat()}{chosen}"


def _explain_share(why: ExplanationBuilder, label: str, there: str, move: Move, left: str, code: str) -> None:
    digits = currency(code).exponent
    if not why.has("open in all"):
        why.fact("open in all", Money(move.among or 0, code).amount, code)
    why.step(f"share of {label}", "multiply", left, there, unit=f"{code} squared")
    why.step(f"exact share of {label}", "divide", f"share of {label}", "open in all", unit=code)
    why.step(f"whole share of {label}", "round", f"exact share of {label}", str(digits), "floor", unit=code)
    cent = move.given - Money.of(why.number(f"whole share of {label}"), code).minor
    why.fact(f"leftover to {label}", Money(cent, code).amount, code, "largest remainder")
    why.step(f"to {label}", "add", f"whole share of {label}", f"leftover to {label}", unit=code)
