"""What an entry of a bank could be about, found by what entries carry: numbers, references, ids, IBANs, names.

Debts, settled debts that a late payment may name, receipts that may come back, refunds that should leave. What a match
pays is taken off the index by `consume`, so that the next entry of the same file finds what is left.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from coulance_core.invoicing.references import (
    PaymentReference,
    ReferenceKind,
    plain_number,
)
from coulance_core.kernel import Money
from coulance_core.payments.decisions import Decision, EarlierReceipt, Expected, ExpectedPayout, Refund
from coulance_core.payments.numbers_in_text import NumberFinder
from coulance_core.payments.terms import OpenItem


@dataclass(slots=True)
class CandidateIndex:
    """Everything that an entry could be about, found by what entries carry.

    `items` are debts, and settled ones that a late or double payment may name (their `open` is zero). `ibans` gives
    the accounts that are known to pay from an IBAN, `own` the provider's own accounts, `names` how accounts are called.
    """

    items: Iterable[OpenItem]
    ibans: Mapping[str, Collection[int]] = field(default_factory=dict)
    own: Collection[str] = frozenset()
    end_to_end: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Refs of items by the end-to-end id that we gave for them."""
    earlier: Iterable[EarlierReceipt] = ()
    refunds: Iterable[Refund] = ()
    gone: Iterable[Refund] = ()
    """Refunds that left, and may be sent back."""
    names: Mapping[int, str] = field(default_factory=dict)
    collections: Iterable[Expected] = ()
    payouts: Iterable[ExpectedPayout] = ()
    top_ups: Mapping[str, int] = field(default_factory=dict)
    """Accounts by the payload of the reference that fills their balance."""
    _items: dict[str, OpenItem] = field(init=False, default_factory=dict)
    _by_account: dict[int, dict[str, None]] = field(init=False, default_factory=dict)
    _by_plain: dict[str, dict[str, None]] = field(init=False, default_factory=dict)
    _by_digits: dict[str, dict[str, None]] = field(init=False, default_factory=dict)
    _by_number: dict[str, dict[str, None]] = field(init=False, default_factory=dict)
    _by_amount: dict[tuple[str, int], dict[str, None]] = field(init=False, default_factory=dict)
    _by_name: dict[str, dict[int, None]] = field(init=False, default_factory=dict)
    _finder: NumberFinder = field(init=False, default_factory=NumberFinder)
    _earlier: dict[tuple[str, str, int], list[EarlierReceipt]] = field(init=False, default_factory=dict)
    _refunds: dict[tuple[str, str, int], list[Refund]] = field(init=False, default_factory=dict)
    _gone: dict[tuple[str, str, int], list[Refund]] = field(init=False, default_factory=dict)
    _expected: dict[str, Expected] = field(init=False, default_factory=dict)
    _payouts: dict[tuple[str, int], list[ExpectedPayout]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for item in self.items:
            self.put(item)
        self.items = ()
        for one in self.earlier:
            self.remember(one)
        for expected in self.collections:
            self._expected[expected.end_to_end_id] = expected
        for payout in self.payouts:
            self._payouts.setdefault((payout.amount.currency, payout.amount.minor), []).append(payout)
        for found, into in ((self.refunds, self._refunds), (self.gone, self._gone)):
            for refund in found:
                for kind, key in (("e2e", refund.end_to_end_id), ("iban", refund.iban)):
                    if key:
                        into.setdefault((kind, key, refund.amount.minor), []).append(refund)
        for account, name in self.names.items():
            if plain := plain_name(name):
                self._by_name.setdefault(plain, {})[account] = None

    def put(self, item: OpenItem) -> None:
        """Know an item, or know it anew with what is open of it now."""
        before = self._items.get(item.ref)
        if before is not None:
            self._by_amount.get((before.open.currency, before.open.minor), {}).pop(item.ref, None)
        else:
            self._by_account.setdefault(item.account, {})[item.ref] = None
            plain = plain_number(item.number)
            self._by_plain.setdefault(plain, {})[item.ref] = None
            digits = "".join(letter for letter in plain if letter in "0123456789").lstrip("0")
            if digits:
                self._by_digits.setdefault(digits, {})[item.ref] = None
            self._by_number.setdefault(item.number, {})[item.ref] = None
            self._finder.add(item.number)
        self._items[item.ref] = item
        if item.open.minor > 0:
            self._by_amount.setdefault((item.open.currency, item.open.minor), {})[item.ref] = None

    def remember(self, receipt: EarlierReceipt) -> None:
        """Know one more receipt that may come back."""
        for kind, key in (("e2e", receipt.end_to_end_id), ("ref", receipt.bank_ref), ("iban", receipt.iban)):
            if key:
                self._earlier.setdefault((kind, key, receipt.amount.minor), []).append(receipt)

    def refresh(self, account: int, items: Iterable[OpenItem]) -> None:
        """Know what is open of an account now: these items, and nothing else of it."""
        now = {item.ref: item for item in items}
        for ref in list(self._by_account.get(account, ())):
            item = self._items[ref]
            if ref not in now and item.open.minor:
                self.put(replace(item, open=Money(0, item.open.currency)))
        for item in now.values():
            self.put(item)

    def consume(self, decision: Decision, amount: Money) -> None:
        """Take what a match pays off what is open: the items it names, in their order, each up to what is open.

        A receipt that came back and a refund that left are not found a second time.
        """
        size = abs(amount.minor)
        if decision.receipt is not None:
            for key, found in self._earlier.items():
                if key[2] == size:
                    found[:] = [one for one in found if one.receipt != decision.receipt]
        if decision.refund is not None:
            for kept in (self._refunds, self._gone):
                for key, left_over in kept.items():
                    if key[2] == size:
                        left_over[:] = [one for one in left_over if one.refund != decision.refund]
        done = set(decision.collections)
        if done:
            self._expected = {key: one for key, one in self._expected.items() if one.collection not in done}
        left = amount.minor
        for ref in decision.refs:
            item = self._items[ref]
            paid = min(left, max(item.open.minor, 0))
            if paid and item.open.currency == amount.currency:
                self.put(replace(item, open=Money(item.open.minor - paid, item.open.currency)))
                left -= paid

    def expected(self, end_to_end_id: str) -> Expected | None:
        """The collection of that id that the bank has still to credit."""
        return self._expected.get(end_to_end_id)

    def batch(self, name: str) -> list[Expected]:
        """The collections of a batch that the bank has still to credit."""
        return [one for one in self._expected.values() if name and one.batch == name]

    def paid_out(self, amount: Money) -> list[ExpectedPayout]:
        """What gateways paid out of exactly that amount."""
        return self._payouts.get((amount.currency, amount.minor), [])

    def item(self, ref: str) -> OpenItem:
        """The item of a ref."""
        return self._items[ref]

    def by_reference(self, reference: PaymentReference) -> list[OpenItem]:
        """The items that a structured reference names: an RF by the number's letters and digits, others by digits."""
        if reference.kind is ReferenceKind.RF:
            found = self._by_plain.get(reference.payload, {})
        else:
            found = self._by_digits.get(reference.payload.lstrip("0"), {})
        return [self._items[ref] for ref in found]

    def by_id(self, end_to_end_id: str) -> list[OpenItem]:
        """The items that an end-to-end id names: one that we gave, or a document's number."""
        given = [ref for ref in self.end_to_end.get(end_to_end_id, ()) if ref in self._items]
        refs = given or list(self._by_plain.get(plain_number(end_to_end_id), {}))
        return [self._items[ref] for ref in refs]

    def in_text(self, text: str) -> tuple[list[OpenItem], list[OpenItem]]:
        """The items whose numbers stand in a text: surely, and perhaps."""
        strong: list[OpenItem] = []
        weak: list[OpenItem] = []
        for found in self._finder.find(text):
            into = strong if found.strong else weak
            into += [self._items[ref] for ref in self._by_number[found.number]]
        return strong, weak

    def accounts_of(self, iban: str) -> list[int]:
        """The accounts that are known to pay from an IBAN, in order."""
        return sorted(self.ibans.get(iban, ())) if iban else []

    def debts(self, account: int, currency: str) -> list[OpenItem]:
        """An account's debts in a currency, the first due first."""
        items = (self._items[ref] for ref in self._by_account.get(account, ()))
        return sorted(
            (item for item in items if item.open.minor > 0 and item.open.currency == currency),
            key=lambda item: (item.due_on, item.issued_on, item.number, item.ref),
        )

    def of_amount(self, amount: Money) -> list[OpenItem]:
        """Debts of exactly that amount, of whatever account."""
        return [self._items[ref] for ref in self._by_amount.get((amount.currency, amount.minor), ())]

    def called(self, name: str) -> list[int]:
        """The accounts of that name, legal form and case aside."""
        plain = plain_name(name)
        return list(self._by_name.get(plain, ())) if plain else []

    def earlier_by(self, kind: str, key: str, amount: Money) -> list[EarlierReceipt]:
        """Receipts of that amount by end-to-end id ("e2e"), bank reference ("ref") or IBAN ("iban")."""
        found = self._earlier.get((kind, key, amount.minor), []) if key else []
        return [one for one in found if one.amount.currency == amount.currency]

    def refund_by(self, kind: str, key: str, amount: Money) -> list[Refund]:
        """Refunds of that amount by end-to-end id ("e2e") or IBAN ("iban")."""
        found = self._refunds.get((kind, key, amount.minor), []) if key else []
        return [one for one in found if one.amount.currency == amount.currency]

    def gone_by(self, kind: str, key: str, amount: Money) -> list[Refund]:
        """Refunds of that amount that left, by end-to-end id ("e2e") or IBAN ("iban")."""
        found = self._gone.get((kind, key, amount.minor), []) if key else []
        return [one for one in found if one.amount.currency == amount.currency]


_FORMS = frozenset({"bv", "nv", "vof", "gmbh", "ag", "ug", "kg", "ohg", "bvba", "srl", "sa", "ltd", "inc", "llc", "co"})


def plain_name(name: str) -> str:
    """A name to compare by: case, punctuation, titles' order and legal form aside.

    >>> plain_name("Bakkerij Jansen B.V."), plain_name("JANSEN bakkerij")
    ('bakkerij jansen', 'bakkerij jansen')
    """
    words = "".join(letter if letter.isalnum() or letter.isspace() else "" for letter in name.casefold()).split()
    return " ".join(sorted(word for word in words if word not in _FORMS))
