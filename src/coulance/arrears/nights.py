"""Which accounts were judged when, and what nights found: habits, figures, bills nobody received, invitations."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from django.db import connection
from psycopg.types.json import Jsonb

from coulance.arrears import models
from coulance.platform.columns import columns
from coulance_core.kernel import Explanation, Money, require_aware

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class NightRow:
    """A run over everybody. `whole`: it read every account. `digest`: of the provider's table it judged by."""

    id: int
    started_at: datetime
    finished_at: datetime | None
    whole: bool
    owing: int
    judged: int
    digest: str


@dataclass(frozen=True, slots=True)
class HabitRow:
    """How an account pays, as of `at`: the chance (ten-thousandths) that its next bill is late, and what that picks."""

    account: int
    at: datetime
    chance: int
    bills: int
    late: bool
    remind_days: int
    gentler: tuple[str, ...]
    explanation: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewHabit:
    """A habit to keep."""

    account: int
    chance: Fraction
    bills: int
    late: bool
    remind_days: int
    gentler: Sequence[str]
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class FigureRow:
    """What was open of a currency by age on a day, as of `at`. `not_received`: of what isn't due, as nobody has it."""

    on: date
    currency: str
    at: datetime
    by_age: tuple[Money, ...]
    not_received: Money
    days_outstanding: int | None
    everybody: Fraction


@dataclass(frozen=True, slots=True)
class UnreceivedRow:
    """A bill that nobody is known to have received, since when that is known. `due_on`: once it was received, the day
    from which it is due after all."""

    account: int
    ref: str
    number: str
    printed_due: date
    amount: Money
    since: datetime
    until: datetime | None
    due_on: date | None = None


# When accounts were judged


def looked() -> "dict[str, NDArray[Any]]":
    """Every account that was judged: `account` (in order), `wake` (`datetime64[us]`; the year 9999: never)."""
    return columns(
        "SELECT account_id::int8, coalesce(wake, '9999-12-31 00:00:00+00')::timestamptz FROM arrears_looked"
        " ORDER BY account_id",
        {},
        [("account", "int8"), ("wake", "timestamptz")],
    )


def note_looked(wakes: Mapping[int, datetime | None], *, at: datetime) -> None:
    """These accounts were judged at an instant; from when time alone may change what came of it."""
    if not wakes:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO arrears_looked (account_id, judged_at, wake)"
            " SELECT w.account, %s, w.wake FROM unnest(%s::bigint[], %s::timestamptz[]) AS w(account, wake)"
            " ON CONFLICT (account_id) DO UPDATE SET judged_at = excluded.judged_at, wake = excluded.wake",
            [require_aware(at), list(wakes), list(wakes.values())],
        )


def awake(*, at: datetime) -> list[int]:
    """Accounts with an open case whose time has come, or that were never judged by the case they have."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id FROM arrears_case WHERE closed_at IS NULL AND (judged_at IS NULL OR wake <= %s)"
            " ORDER BY account_id",
            [at],
        )
        return [row[0] for row in cursor.fetchall()]


def waking(*, until: datetime) -> list[int]:
    """Accounts that must be looked at by an instant, the soonest first: something of theirs may come by then."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT account_id FROM arrears_looked WHERE wake <= %s ORDER BY wake, account_id", [until])
        return [row[0] for row in cursor.fetchall()]


def restricted() -> list[int]:
    """Accounts where something stands that may have to be undone: looked at every night, whatever changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT c.account_id FROM arrears_act a JOIN arrears_case c ON c.id = a.case_id"
            " WHERE a.undone_at IS NULL AND NOT a.observed AND c.closed_at IS NULL AND a.act IN ('block_orders',"
            " 'throttle', 'limit', 'downgrade', 'suspend', 'terminate', 'delete', 'not_renew', 'hand_over') ORDER BY 1"
        )
        return [row[0] for row in cursor.fetchall()]


# Nights


def last_night() -> NightRow | None:
    """The last run over everybody that was finished."""
    row = models.Night.objects.filter(finished_at__isnull=False).order_by("-id").first()
    return None if row is None else _night(row)


def last_whole() -> NightRow | None:
    """The last one that read every account."""
    row = models.Night.objects.filter(finished_at__isnull=False, whole=True).order_by("-id").first()
    return None if row is None else _night(row)


def begin_night(*, whole: bool, digest: str, at: datetime) -> int:
    """A run begins; its id."""
    return models.Night.objects.create(started_at=require_aware(at), whole=whole, digest=digest).pk


def end_night(*, night: int, owing: int, judged: int, at: datetime) -> None:
    """It is done."""
    models.Night.objects.filter(pk=night).update(finished_at=at, owing=owing, judged=judged)


def _night(row: models.Night) -> NightRow:
    return NightRow(row.pk, row.started_at, row.finished_at, row.whole, row.owing, row.judged, row.digest)


# Habits


def keep_habits(found: Iterable[NewHabit], *, at: datetime) -> int:
    """Keep how these accounts pay, in place of what was known; how many."""
    rows: list[tuple[Any, ...]] = [
        (one.account, int(one.chance * 10_000), one.bills, one.late, one.remind_days, Jsonb(list(one.gentler)),
         Jsonb(one.explanation.to_json()))
        for one in found
    ]  # fmt: skip
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO arrears_habit (account_id, at, chance, bills, late, remind_days, gentler, explanation)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (account_id) DO UPDATE SET at = excluded.at,"
                " chance = excluded.chance, bills = excluded.bills, late = excluded.late,"
                " remind_days = excluded.remind_days, gentler = excluded.gentler, explanation = excluded.explanation",
                [(row[0], at, *row[1:]) for row in rows],
            )
    return len(rows)


def habits(*, accounts: Iterable[int] | None = None, late: bool = False, most: int = 1000) -> list[HabitRow]:
    """How accounts pay: of these, or of those that will probably be late, the likeliest first."""
    rows = models.Habit.objects.all()
    if accounts is not None:
        rows = rows.filter(account__in=list(accounts))
    if late:
        rows = rows.filter(late=True)
    found = rows.order_by("-chance", "account_id").values_list(
        "account_id", "at", "chance", "bills", "late", "remind_days", "gentler", "explanation"
    )
    return [HabitRow(*row[:6], tuple(row[6]), row[7]) for row in (found[:most] if late else found)]


def remind_days(accounts: Collection[int]) -> dict[int, int]:
    """How many days before the due day a reminder helps these accounts; those of whom nothing says are left out."""
    rows = models.Habit.objects.filter(account__in=list(accounts), remind_days__gt=0)
    return dict(rows.values_list("account_id", "remind_days"))


# Figures


def keep_figures(
    found: Iterable[tuple[Sequence[Money], Money, int | None]], *, everybody: Fraction, on: date, at: datetime
) -> None:
    """Keep a day's figures: by currency what is open by age, what of it nobody received, and days of sales."""
    for by_age, not_received, days in found:
        models.Figure.objects.update_or_create(
            on=on,
            currency=not_received.currency,
            defaults={
                "at": at, "by_age": [money.minor for money in by_age], "not_received": not_received.minor,
                "days_outstanding": days, "everybody": str(everybody),
            },
        )  # fmt: skip


def figures(*, on: date | None = None) -> list[FigureRow]:
    """The latest figures by currency, or those of a day."""
    rows = models.Figure.objects.all()
    rows = rows.filter(on=on) if on is not None else rows.order_by("currency", "-on").distinct("currency")
    return [
        FigureRow(
            row.on, row.currency, row.at, tuple(Money(minor, row.currency) for minor in row.by_age),
            Money(row.not_received, row.currency), row.days_outstanding, Fraction(row.everybody),
        )
        for row in rows
    ]  # fmt: skip


# Bills that nobody received


def note_unreceived(
    found: Mapping[str, tuple[int, str, date, Money]],
    *,
    due: Mapping[str, date],
    accounts: Collection[int],
    at: datetime,
) -> tuple[list[UnreceivedRow], list[UnreceivedRow]]:
    """What of these accounts' bills nobody received now (account, number, printed day, amount by ref): new ones begin,
    others end, by the day they are `due` now. Those that are new, and those that ended."""
    standing = list(models.Unreceived.objects.filter(account__in=list(accounts), until__isnull=True))
    ended = [row for row in standing if row.ref not in found]
    for row in ended:
        row.until, row.due_on = at, due.get(row.ref)
    models.Unreceived.objects.bulk_update(ended, ["until", "due_on"])
    known = {row.ref for row in standing}
    new = [
        models.Unreceived(
            account_id=account, ref=ref, number=number, printed_due=printed, amount=amount.minor,
            currency=amount.currency, since=at,
        )
        for ref, (account, number, printed, amount) in found.items() if ref not in known
    ]  # fmt: skip
    return [_unreceived(row) for row in models.Unreceived.objects.bulk_create(new)], list(map(_unreceived, ended))


def received_late() -> dict[str, date]:
    """Bills that were received so late that they are due later than is printed: from which day, by ref."""
    rows = models.Unreceived.objects.filter(due_on__isnull=False).order_by("id")
    found = rows.values_list("ref", "due_on", "printed_due")
    return {ref: due for ref, due, printed in found if due is not None and due != printed}


def unreceived(*, accounts: Iterable[int] | None = None, most: int = 1000) -> list[UnreceivedRow]:
    """Bills that nobody is known to have received, by their printed day."""
    rows = models.Unreceived.objects.filter(until__isnull=True)
    if accounts is not None:
        rows = rows.filter(account__in=list(accounts))
    return [_unreceived(row) for row in rows.order_by("printed_due", "number")[:most]]


def _unreceived(row: models.Unreceived) -> UnreceivedRow:
    return UnreceivedRow(
        row.account_id, row.ref, row.number, row.printed_due, Money(row.amount, row.currency), row.since, row.until,
        row.due_on,
    )  # fmt: skip


# Invitations


def invited(accounts: Collection[int]) -> set[int]:
    """Those of these accounts that were invited already, or said no: they are not asked again."""
    return set(models.Invitation.objects.filter(account__in=list(accounts)).values_list("account_id", flat=True))


def note_invited(*, account: int, message: str, at: datetime) -> bool:
    """An invitation goes out; whether it is the first: only then it may."""
    _, new = models.Invitation.objects.get_or_create(account_id=account, defaults={"sent_at": at, "message": message})
    return new


def decline(*, account: int, by: str, at: datetime) -> None:
    """They don't want to be asked."""
    row, _ = models.Invitation.objects.get_or_create(account_id=account)
    if row.declined_at is None:
        models.Invitation.objects.filter(pk=account).update(declined_at=at, declined_by=by)
