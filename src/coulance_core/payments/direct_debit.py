"""SEPA direct debit: when a mandate may be used and how, on which days, and what a return means.

The rules are those of the EPC rulebooks, Core and B2B (EPC016-06, EPC222-07, 2023 versions):

- A mandate lapses when nothing was collected by it for 36 months (section 4.7.2 of Core).
- The debtor is told of amount and day at least 14 calendar days ahead, unless they agreed to fewer (pre-notification).
- The file is at the creditor's bank at least a day of business before it is due; sequence FRST where the bank still
  asks for it, else RCUR for all (since November 2016 FRST may be left out).
- The debtor's bank returns a Core collection within 5 days of interbank business after it was due, a B2B one within 3.
  A Core debtor may have it back for 8 weeks without a reason, and 13 months where there was no mandate.

A day of interbank business is a TARGET day: no Saturday, Sunday, 1 January, Good Friday, Easter Monday, 1 May, 25 or
26 December.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from coulance_core.payments.terms import MandateSequence, Scheme

UNUSED_MONTHS = 36
NOTICE_DAYS = 14
"""Unless the debtor agreed to fewer."""
RETURN_DAYS = {Scheme.CORE: 5, Scheme.B2B: 3}
REFUND_WEEKS = 8


class CollectionState(StrEnum):
    """Where one collection stands."""

    PLANNED = "planned"
    """Announced; to be put in a file."""
    FILED = "filed"
    """In a file that nobody has fetched yet."""
    HANDED = "handed"
    """The file went to the bank: under way."""
    COLLECTED = "collected"
    """The bank credited it."""
    RETURNED = "returned"
    """It came back, before or after it was credited."""
    REFUSED = "refused"
    """The bank refused it before its day."""
    CANCELLED = "cancelled"
    """Called off before its file went."""

    @property
    def is_live(self) -> bool:
        """Whether it may still bring money."""
        return self in (CollectionState.PLANNED, CollectionState.FILED, CollectionState.HANDED)


FOLLOWS: dict[CollectionState, frozenset[CollectionState]] = {
    CollectionState.PLANNED: frozenset({CollectionState.FILED, CollectionState.CANCELLED}),
    CollectionState.FILED: frozenset({CollectionState.HANDED, CollectionState.PLANNED, CollectionState.CANCELLED}),
    CollectionState.HANDED: frozenset({CollectionState.COLLECTED, CollectionState.RETURNED, CollectionState.REFUSED}),
    CollectionState.COLLECTED: frozenset({CollectionState.RETURNED}),
    # What the bank credits after all, late or in spite of a refusal, is collected.
    CollectionState.RETURNED: frozenset(),
    CollectionState.REFUSED: frozenset({CollectionState.COLLECTED}),
    CollectionState.CANCELLED: frozenset(),
}
"""What may follow what; the database holds the same table."""


class AfterReturn(StrEnum):
    """What a returned collection asks for."""

    RETRY = "retry"
    """It may work another day: collect again, announced anew, as often as terms allow."""
    STOP = "stop"
    """The mandate can't be used any more: it ends."""
    ASK = "ask"
    """The debtor wants it back, or something is wrong that only people can mend: nothing by itself."""


@dataclass(frozen=True, slots=True)
class ReturnReason:
    """An ISO 20022 reason, in words, and what it asks for."""

    code: str
    means: str
    after: AfterReturn


_REASONS = (
    ("AC01", "the account number is wrong", AfterReturn.STOP),
    ("AC02", "the debtor's account number is wrong", AfterReturn.STOP),
    ("AC03", "the creditor's account number is wrong", AfterReturn.ASK),
    ("AC04", "the account is closed", AfterReturn.STOP),
    ("AC05", "the debtor's account is closed", AfterReturn.STOP),
    ("AC06", "the account is blocked", AfterReturn.STOP),
    ("AC07", "the creditor's account is closed", AfterReturn.ASK),
    ("AC13", "a consumer's account can't be debited by B2B", AfterReturn.STOP),
    ("AG01", "direct debit is not allowed on this account", AfterReturn.STOP),
    ("AG02", "the sequence type is wrong", AfterReturn.ASK),
    ("AM04", "there is not enough money on the account", AfterReturn.RETRY),
    ("AM05", "the bank takes it for a double", AfterReturn.ASK),
    ("BE05", "the bank does not know the creditor id", AfterReturn.ASK),
    ("CNOR", "the creditor's bank is not registered", AfterReturn.ASK),
    ("DNOR", "the debtor's bank is not registered", AfterReturn.ASK),
    ("DT01", "the day is wrong", AfterReturn.ASK),
    ("DUPL", "the bank takes the file for a double", AfterReturn.ASK),
    ("ED05", "the settlement failed", AfterReturn.RETRY),
    ("FF01", "the file was wrong", AfterReturn.ASK),
    ("MD01", "there is no valid mandate", AfterReturn.STOP),
    ("MD02", "something of the mandate is missing or wrong", AfterReturn.ASK),
    ("MD06", "the debtor wants it back", AfterReturn.ASK),
    ("MD07", "the debtor has died", AfterReturn.STOP),
    ("MS02", "the debtor refuses it", AfterReturn.ASK),
    ("MS03", "the bank gives no reason", AfterReturn.RETRY),
    ("NARR", "the bank says why in words, or not at all", AfterReturn.ASK),
    ("RC01", "the bank's code is wrong", AfterReturn.ASK),
    ("RR01", "regulation forbids it", AfterReturn.ASK),
    ("SL01", "the debtor told their bank to let no such collection through", AfterReturn.STOP),
    ("TM01", "the file came too late", AfterReturn.RETRY),
)
_BY_CODE = {code: ReturnReason(code, means, after) for code, means, after in _REASONS}


def return_reason(said: str) -> ReturnReason:
    """What a bank means by a reason code; a code we don't know asks for people.

    >>> [return_reason(said).after.value for said in ("AM04", "md01 no mandate", "XX99")]
    ['retry', 'stop', 'ask']
    """
    code = said.strip()[:4].upper()
    return _BY_CODE.get(code, ReturnReason(code, "for a reason that is not in the table", AfterReturn.ASK))


TOO_LATE = "TM01"
"""The one fault of a whole file that trying again another day mends by itself."""


def after_refusal(code: str, *, whole_file: bool) -> AfterReturn:
    """What a refusal asks for. One of a whole file or batch is never the debtors' doing: no mandate ends by it.

    >>> [after_refusal(code, whole_file=True).value for code in ("AC01", "AM04", "TM01")]
    ['ask', 'ask', 'retry']
    >>> after_refusal("AC04", whole_file=False).value
    'stop'
    """
    if whole_file:
        return AfterReturn.RETRY if return_reason(code).code == TOO_LATE else AfterReturn.ASK
    return return_reason(code).after


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher).

    >>> easter(2026).isoformat(), easter(2027).isoformat()
    ('2026-04-05', '2027-03-28')
    """
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    rest = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * rest) // 451
    month, day = divmod(h + rest - 7 * m + 114, 31)
    return date(year, month, day + 1)


def is_target_day(day: date) -> bool:
    """Whether banks settle in euros on that day.

    >>> [is_target_day(date(2026, 4, n)) for n in (2, 3, 4, 6, 7)]
    [True, False, False, False, True]
    """
    sunday = easter(day.year)
    closed = {(1, 1), (5, 1), (12, 25), (12, 26)}
    return (
        day.weekday() < 5
        and (day.month, day.day) not in closed
        and day
        not in (
            sunday - timedelta(days=2),
            sunday + timedelta(days=1),
        )
    )


def target_day(day: date, *, ahead: int = 0) -> date:
    """That day or the next on which banks settle, and from there so many such days ahead (or back, below zero).

    >>> target_day(date(2026, 4, 3)).isoformat(), target_day(date(2026, 4, 2), ahead=1).isoformat()
    ('2026-04-07', '2026-04-07')
    >>> target_day(date(2026, 4, 7), ahead=-1).isoformat()
    '2026-04-02'
    """
    one = timedelta(days=-1 if ahead < 0 else 1)
    while not is_target_day(day):
        day += timedelta(days=1)
    for _ in range(abs(ahead)):
        day += one
        while not is_target_day(day):
            day += one
    return day


def months_later(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month.

    >>> months_later(date(2026, 1, 31), 1).isoformat()
    '2026-02-28'
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def lapses_on(*, signed_on: date, last_used_on: date | None) -> date:
    """The day from which a mandate may not be used: 36 months after its last collection, or its signature.

    >>> lapses_on(signed_on=date(2023, 2, 1), last_used_on=None).isoformat()
    '2026-02-01'
    """
    return months_later(last_used_on or signed_on, UNUSED_MONTHS)


def collect_on(*, due_on: date, told_on: date, notice_days: int, lead_days: int) -> date:
    """The day to collect a debt: when it is due, but not before it was told long enough, and the file can be in time.

    >>> collect_on(due_on=date(2026, 11, 14), told_on=date(2026, 11, 2), notice_days=5, lead_days=2).isoformat()
    '2026-11-16'
    >>> collect_on(due_on=date(2026, 11, 1), told_on=date(2026, 11, 2), notice_days=14, lead_days=2).isoformat()
    '2026-11-17'
    """
    # A day more than the notice: the mail may be accepted tomorrow, and still be in time.
    return target_day(max(due_on, told_on + timedelta(days=notice_days + 1), target_day(told_on, ahead=lead_days)))


def final_on(collected_on: date, scheme: Scheme) -> date:
    """Until when a collection that was handed over counts as under way: the last day on which a bank returns it."""
    return target_day(collected_on, ahead=RETURN_DAYS[scheme])


def sequence_to_say(before: MandateSequence, *, used: bool, first_says_first: bool) -> MandateSequence:
    """What a file says of a mandate: FRST only where the bank asks for it and nothing was collected yet.

    >>> sequence_to_say(MandateSequence.FIRST, used=False, first_says_first=True).value
    'first'
    >>> sequence_to_say(MandateSequence.FIRST, used=False, first_says_first=False).value
    'recurring'
    """
    if before in (MandateSequence.ONE_OFF, MandateSequence.FINAL):
        return before
    if before is MandateSequence.FIRST and not used and first_says_first:
        return MandateSequence.FIRST
    return MandateSequence.RECURRING


SEQUENCE_CODES = {
    MandateSequence.FIRST: "FRST",
    MandateSequence.RECURRING: "RCUR",
    MandateSequence.FINAL: "FNAL",
    MandateSequence.ONE_OFF: "OOFF",
}


class Unusable(StrEnum):
    """Why nothing may be collected by a mandate."""

    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    SPENT = "spent"
    """One collection was all it was for, or the last was announced as such."""


def unusable(
    *,
    signed_on: date,
    last_used_on: date | None,
    withdrawn_on: date | None,
    sequence: MandateSequence,
    on: date,
) -> Unusable | None:
    """Why a mandate may not be used on a day; None when it may."""
    if withdrawn_on is not None:
        return Unusable.WITHDRAWN
    if sequence in (MandateSequence.ONE_OFF, MandateSequence.FINAL) and last_used_on is not None:
        return Unusable.SPENT
    return Unusable.LAPSED if on >= lapses_on(signed_on=signed_on, last_used_on=last_used_on) else None


def may_retry(after: AfterReturn, *, attempt: int, retries: int) -> bool:
    """Whether a collection that came back is tried again: its reason lets it, and terms do, so many times.

    >>> [may_retry(AfterReturn.RETRY, attempt=n, retries=2) for n in (1, 2, 3)]
    [True, True, False]
    """
    return after is AfterReturn.RETRY and attempt <= retries
