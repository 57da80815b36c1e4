"""What a bank entry pays: a sure match with the rule that made it, or ranked suggestions with reasons, or nothing.

The order is one of how sure each sign is: a structured reference with check digits and an end-to-end id of ours; then
document numbers in the text; then a known IBAN with an exact amount that fits one debt alone; then a person. A sure
match names an account and what is paid of it; the amount may be less or more (flagged), never guessed at.

Pure and deterministic: `candidates.CandidateIndex` holds what could be paid, `match` judges one entry by it.
"""

from collections.abc import Iterable, Iterator

from coulance_core.invoicing.references import (
    PaymentReference,
    find_references,
    parse_reference,
)
from coulance_core.kernel import Explanation, Money
from coulance_core.kernel.explanation import ExplanationBuilder
from coulance_core.payments.bank import BankEntry
from coulance_core.payments.candidates import CandidateIndex
from coulance_core.payments.decisions import MOST_SUGGESTIONS, Decision, Flag, Outcome, Rule, Suggestion
from coulance_core.payments.payers import pays_for_many
from coulance_core.payments.terms import OpenItem


def match(entry: BankEntry, index: CandidateIndex) -> Decision:
    """What one entry is, by what the index holds. Deterministic: equal entry and index, equal decision."""
    if entry.counterparty_iban and entry.counterparty_iban in index.own:
        return _set_aside(entry, Rule.OWN_TRANSFER, f"from or to our own account {entry.counterparty_iban}")
    if entry.amount.minor == 0:
        return _set_aside(entry, Rule.OUTGOING, "it moves nothing")
    if entry.amount.minor < 0:
        return _outgoing(entry, index)
    if (collected := _collected(entry, index) or _paid_out(entry, index)) is not None:
        return collected
    if entry.batch_count > 1:
        built = _told(entry, "payments.match.queue").note(
            f"a batch of {entry.batch_count} payments as one sum: import the notification (camt.054) with its payments"
        )
        return Decision(Outcome.NOTHING, built.freeze())
    if entry.is_return:
        return _came_back_in(entry, index)
    return _by_reference(entry, index) or _by_number(entry, index) or _by_iban(entry, index) or _suggest(entry, index)


def _told(entry: BankEntry, rule: str) -> ExplanationBuilder:
    built = Explanation.build(rule).fact("amount", entry.amount.amount, entry.amount.currency)
    for name, value in (
        ("structured reference", entry.structured_reference),
        ("end-to-end id", entry.end_to_end_id),
        ("text", entry.remittance),
        ("counterparty", entry.counterparty_name),
        ("iban", entry.counterparty_iban),
    ):
        if value:
            # Quoted, so that a text of digits stays a text.
            built.fact(name, f"“{value[:140]}”")
    return built


def _set_aside(entry: BankEntry, rule: Rule, why: str) -> Decision:
    return Decision(Outcome.SET_ASIDE, _told(entry, f"payments.match.{rule}").note(why).freeze(), rule)


def _collected(entry: BankEntry, index: CandidateIndex) -> Decision | None:
    """A collection of ours that the bank credits: one by its id, or a batch as the sum of those that are in it."""
    if entry.batch_count > 1:
        # Some banks credit all and take back what they refused; others credit what they took.
        every = index.batch(entry.batch)
        own = next(
            (
                some
                for some in (every, [one for one in every if not one.refused])
                if some and sum(one.amount.minor for one in some) == entry.amount.minor
            ),
            None,
        )
        if own is None:
            return None
        built = _told(entry, f"payments.match.{Rule.COLLECTION}").fact("batch", f"“{entry.batch}”")
        built.note(f"the sum of {len(own)} collections of ours")
        ids = tuple(one.collection for one in own)
        return Decision(Outcome.COLLECTED, built.freeze(), Rule.COLLECTION, collections=ids)
    one = index.expected(entry.end_to_end_id) if not entry.is_return else None
    if one is None or one.amount != entry.amount:
        return None
    built = _told(entry, f"payments.match.{Rule.COLLECTION}").note("a collection of ours, by its end-to-end id")
    numbers = tuple(index.item(ref).number for ref in one.refs)
    return Decision(
        Outcome.MATCH,
        built.freeze(),
        Rule.COLLECTION,
        one.account,
        one.refs,
        numbers,
        collections=(one.collection,),
        prepaid=one.settles_on_balance,
    )


def _paid_out(entry: BankEntry, index: CandidateIndex) -> Decision | None:
    """What a gateway paid out: its reference in the text, or its name, and exactly the amount."""
    said = " ".join((entry.remittance, entry.structured_reference, entry.end_to_end_id)).casefold()
    fitting = [
        one
        for one in index.paid_out(entry.amount)
        if one.reference.casefold() in said or one.gateway.casefold() in entry.counterparty_name.casefold()
    ]
    if len({one.gateway for one in fitting}) != 1:
        return None
    return _set_aside(entry, Rule.PAYOUT, f"paid out by {fitting[0].gateway}: {fitting[0].reference}")


def _by_reference(entry: BankEntry, index: CandidateIndex) -> Decision | None:
    named: dict[str, OpenItem] = {}
    unclear: list[list[OpenItem]] = []
    for reference in _references(entry):
        if (owner := index.top_ups.get(reference.payload)) is not None:
            built = _told(entry, f"payments.match.{Rule.TOP_UP}").note(
                "the reference that fills this account's balance"
            )
            return Decision(Outcome.MATCH, built.freeze(), Rule.TOP_UP, owner, prepaid=True)
        items = _that_fit(index.by_reference(reference), entry.amount)
        if len(items) == 1:
            named[items[0].ref] = items[0]
        elif items:
            unclear.append(items)
    rule = Rule.REFERENCE
    if not named and not unclear and entry.end_to_end_id:
        items = _that_fit(index.by_id(entry.end_to_end_id), entry.amount)
        rule = Rule.END_TO_END
        if len(items) == 1:
            named[items[0].ref] = items[0]
        elif items:
            unclear.append(items)
    if unclear:
        every = [*named.values(), *(item for items in unclear for item in items)]
        return _suggested(entry, [(item, 90, "its reference fits several documents") for item in every])
    return _sure(entry, index, rule, list(named.values())) if named else None


def _references(entry: BankEntry) -> Iterator[PaymentReference]:
    seen: set[str] = set()
    for text in (entry.structured_reference, entry.end_to_end_id):
        if text and (reference := parse_reference(text)) and reference.text not in seen:
            seen.add(reference.text)
            yield reference
    for text in (entry.structured_reference, entry.remittance):
        for reference in find_references(text):
            if reference.text not in seen:
                seen.add(reference.text)
                yield reference


def _that_fit(items: list[OpenItem], amount: Money) -> list[OpenItem]:
    """One of several items of the same digits, when only one is open for exactly the amount."""
    if len(items) > 1:
        exact = [item for item in items if item.open == amount]
        if len(exact) == 1:
            return exact
    return items


def _by_number(entry: BankEntry, index: CandidateIndex) -> Decision | None:
    text = " ".join(part for part in (entry.structured_reference, entry.remittance, entry.end_to_end_id) if part)
    strong, weak = index.in_text(text)
    if strong:
        exact = [item for item in strong if item.open == entry.amount]
        accounts = {item.account for item in strong}
        if len(accounts) == 1 and len({item.number for item in strong}) == len(strong):
            return _sure(entry, index, Rule.NUMBER, strong)
        # One number that two accounts have (it came from another system): the amount may tell.
        if len({item.number for item in strong}) == 1 and len(exact) == 1:
            return _sure(entry, index, Rule.NUMBER, exact)
        return _suggested(entry, [(item, 80, "its number is in the text") for item in strong])
    if weak:
        known = set(index.accounts_of(entry.counterparty_iban))
        # Who pays from a known IBAN doesn't pay another's debt by a number that is only like it.
        fitting = [item for item in weak if item.account in known or (item.open == entry.amount and not known)]
        telling = [item for item in fitting if item.open == entry.amount and item.account in known] or fitting
        if len(telling) == 1:
            return _sure(entry, index, Rule.NUMBER, telling)
        like = _suggested(entry, [(item, 50, "a number like it is in the text") for item in weak])
        return like if fitting else _by_iban(entry, index) or like
    return None


def _sure(entry: BankEntry, index: CandidateIndex, rule: Rule, items: list[OpenItem]) -> Decision:
    """A match on these items, if they are of one account and in the entry's currency; else suggestions."""
    accounts = {item.account for item in items}
    if len(accounts) > 1:
        return _suggested(entry, [(item, 85, "the payment names debts of several accounts") for item in items])
    if any(item.open.currency != entry.amount.currency for item in items):
        code = next(item.open.currency for item in items if item.open.currency != entry.amount.currency)
        why = f"what it names is billed in {code}, the payment is in {entry.amount.currency}"
        return _suggested(entry, [(item, 80, why) for item in items])
    (account,) = accounts
    debts = [item for item in items if item.open.minor > 0]
    built = _told(entry, f"payments.match.{rule}")
    flags: list[Flag] = []
    for item in items:
        built.fact(f"open of {item.number} ({item.ref})", item.open.amount, item.open.currency)
    if not debts:
        flags.append(Flag.SETTLED)
        built.note("all that it names is paid already: it becomes unallocated money of the account")
    else:
        names = [f"open of {item.number} ({item.ref})" for item in debts]
        built.step("named", "add", *names, unit=entry.amount.currency)
        built.step("beyond", "subtract", "amount", "named", unit=entry.amount.currency)
        beyond = built.number("beyond")
        if beyond:
            flags.append(Flag.OVERPAID if beyond > 0 else Flag.PARTIAL)
    known = index.accounts_of(entry.counterparty_iban)
    if known and account not in known:
        flags.append(Flag.IBAN_OF_ANOTHER)
        built.note("the IBAN is known to be another account's; what the payment names goes before it")
    return Decision(
        Outcome.MATCH,
        built.freeze(),
        rule,
        account,
        tuple(item.ref for item in debts),
        tuple(item.number for item in items),
        flags=tuple(flags),
    )


def _by_iban(entry: BankEntry, index: CandidateIndex) -> Decision | None:
    accounts = index.accounts_of(entry.counterparty_iban)
    # From an IBAN that several accounts pay by, or a provider of payments, an amount is no proof of whose it is.
    if len(accounts) != 1 or pays_for_many(entry.counterparty_name):
        return None
    debts = index.debts(accounts[0], entry.amount.currency)
    exact = [item for item in debts if item.open.minor == entry.amount.minor]
    if len(exact) == 1:
        return _sure(entry, index, Rule.IBAN_AND_AMOUNT, exact)
    if exact:
        return None
    whole = len(debts) > 1 and sum(item.open.minor for item in debts) == entry.amount.minor
    return _sure(entry, index, Rule.IBAN_AND_ALL, list(debts)) if whole else None


def _suggest(entry: BankEntry, index: CandidateIndex) -> Decision:
    """Whatever fits at all: the IBAN's accounts, accounts of that name, debts of that amount."""
    scored: list[tuple[OpenItem, int, str]] = []
    bare: list[tuple[int, int, str]] = []
    code = entry.amount.currency
    for accounts, score, why in (
        (index.accounts_of(entry.counterparty_iban), 60, "its IBAN is known"),
        (index.called(entry.counterparty_name), 40, "the account is called so"),
    ):
        for account in accounts:
            debts = index.debts(account, code)
            scored += [(item, score + (20 if item.open == entry.amount else 0), why) for item in debts]
            if not debts:
                bare.append((account, score - 20, f"{why}; it has no debts"))
    of_amount = index.of_amount(entry.amount)
    if len(of_amount) <= MOST_SUGGESTIONS * 5:
        scored += [(item, 20, "exactly that amount is open") for item in of_amount]
    return _suggested(entry, scored, bare)


def _suggested(
    entry: BankEntry,
    scored: list[tuple[OpenItem, int, str]],
    bare: Iterable[tuple[int, int, str]] = (),
) -> Decision:
    """The suggestions, the best first; an item told twice has both reasons and the better score."""
    told: dict[str, tuple[OpenItem, int, list[str]]] = {}
    for item, score, why in scored:
        known = told.get(item.ref)
        if known is None:
            told[item.ref] = (item, score, [why])
        elif why not in known[2]:
            told[item.ref] = (item, max(score, known[1]) + 5, [*known[2], why])
    if not told and not bare:
        note = "nothing known fits: no reference, number, IBAN, name or amount"
        return Decision(Outcome.NOTHING, _told(entry, "payments.match.queue").note(note).freeze())
    ranked = sorted(told.values(), key=lambda one: (-one[1], one[0].due_on, one[0].number, one[0].ref))
    suggestions = [
        Suggestion(item.account, (item.ref,), (item.number,), score, tuple(reasons)) for item, score, reasons in ranked
    ]
    suggestions += [Suggestion(account, (), (), score, (why,)) for account, score, why in sorted(bare)]
    suggestions = sorted(suggestions, key=lambda one: -one.score)[:MOST_SUGGESTIONS]
    built = _told(entry, "payments.match.queue")
    for one in suggestions:
        built.note(f"{', '.join(one.numbers) or f'account {one.account}'}: {'; '.join(one.reasons)} ({one.score})")
    return Decision(Outcome.SUGGEST, built.freeze(), suggestions=tuple(suggestions))


def _outgoing(entry: BankEntry, index: CandidateIndex) -> Decision:
    """Money out: a receipt that comes back, a refund of ours, or nothing of ours."""
    # What is not marked as a return is a refund of ours before it is anything: it may bear the id of what it refunds.
    ways = (_takes_back, _pays_back) if entry.is_return else (_pays_back, _takes_back)
    for way in ways:
        if (found := way(entry, index)) is not None:
            return found
    accounts = index.accounts_of(entry.counterparty_iban)
    if entry.is_return or accounts:
        why = "something came back, but not which" if entry.is_return else "money out to a customer's IBAN"
        built = _told(entry, "payments.match.queue").note(why)
        suggestions = tuple(Suggestion(account, (), (), 60, ("its IBAN is known", why)) for account in accounts)
        flags = (Flag.RETURN,) if entry.is_return else ()
        outcome = Outcome.SUGGEST if suggestions else Outcome.NOTHING
        return Decision(outcome, built.freeze(), flags=flags, suggestions=suggestions)
    return _set_aside(entry, Rule.OUTGOING, "money out that no refund or return of ours names")


def _takes_back(entry: BankEntry, index: CandidateIndex) -> Decision | None:
    """An earlier receipt that comes back."""
    taken = -entry.amount
    for kind, key, what in (
        ("e2e", entry.end_to_end_id, "its end-to-end id"),
        ("ref", entry.bank_ref, "the bank's reference"),
        ("iban", entry.counterparty_iban if entry.is_return else "", "IBAN and amount"),
    ):
        found = index.earlier_by(kind, key, taken)
        # By IBAN and amount alone it must be the only one it can be. Unmarked as a return, it goes where it came from.
        if kind == "iban":
            found = found if len(found) == 1 else []
        elif not entry.is_return:
            found = [one for one in found if one.iban and one.iban == entry.counterparty_iban]
        else:
            # Payers choose their end-to-end ids, and many choose the same: it goes back to where it came from.
            found = [one for one in found if not entry.counterparty_iban or one.iban in ("", entry.counterparty_iban)]
            found = [one for one in found if one.iban and one.iban == entry.counterparty_iban] or found
            found = found if len({one.account for one in found}) == 1 else []
        if found:
            one = found[-1]
            built = _told(entry, f"payments.match.{Rule.RETURNED}")
            built.fact("receipt", str(one.receipt), source=what)
            if entry.return_reason:
                built.fact("return reason", entry.return_reason)
            return Decision(
                Outcome.REVERSE,
                built.freeze(),
                Rule.RETURNED,
                one.account,
                receipt=one.receipt,
                flags=(Flag.RETURN,),
            )
    return None


def _pays_back(entry: BankEntry, index: CandidateIndex) -> Decision | None:
    """A refund of ours that leaves."""
    taken = -entry.amount
    for kind, key in (("e2e", entry.end_to_end_id), ("iban", entry.counterparty_iban)):
        refunds = index.refund_by(kind, key, taken)
        if refunds:
            one_refund = refunds[0]
            built = _told(entry, f"payments.match.{Rule.REFUND}").fact("refund", str(one_refund.refund))
            return Decision(
                Outcome.SET_ASIDE, built.freeze(), Rule.REFUND, one_refund.account, refund=one_refund.refund
            )
    return None


def _came_back_in(entry: BankEntry, index: CandidateIndex) -> Decision:
    """Money that came back in: a refund that could not be paid out, by its id or as the only one; else a person."""
    for kind, key in (("e2e", entry.end_to_end_id), ("iban", entry.counterparty_iban)):
        found = index.gone_by(kind, key, entry.amount)
        if len(found) == 1:
            made = _told(entry, f"payments.match.{Rule.SENT_BACK}").fact("refund", str(found[0].refund))
            return Decision(
                Outcome.SENT_BACK,
                made.freeze(),
                Rule.SENT_BACK,
                found[0].account,
                refund=found[0].refund,
                flags=(Flag.RETURN,),
            )
    built = _told(entry, "payments.match.queue").note("money of ours came back: see which refund it was")
    accounts = index.accounts_of(entry.counterparty_iban)
    suggestions = tuple(Suggestion(account, (), (), 60, ("its IBAN is known",)) for account in accounts)
    return Decision(
        Outcome.SUGGEST if suggestions else Outcome.NOTHING,
        built.freeze(),
        flags=(Flag.RETURN,),
        suggestions=suggestions,
    )
