"""Tables of the contracts room. Private to it; what they guarantee beyond constraints is in migration 0002.

Rows are only added. A card is taken back once, leave is answered once, a charge and a credit get their document once.
Money is in minor units; work is in seconds.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from coulance_core.contracts.terms import Kind, Work

SAYS = ~Q(by="")
EVENTS = (
    "opened", "priority", "answered", "customer_wrote", "waits", "resumes", "solved", "reopened", "void",
)  # fmt: skip
"""The kinds of core's clocks, which load numpy: tables are read whenever anything starts. A test holds them equal."""
CHANGES = ("price", "seats", "end", "go_on", "element_end", "element_on")
MAIL_STATES = ("opened", "answered", "wrote", "noted", "held", "refused")
"""What became of a mail: it opened a ticket, was our answer or the customer's word, changed nothing (a machine wrote
it), waits for a person, or was refused by one."""


class Contract(models.Model):
    """What was agreed with an account. `agreed` holds the terms and promises as they stood that day."""

    key = models.CharField(max_length=100, unique=True)
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+", null=True)
    """The hosting or domain it is bundled with, if any."""
    kind = models.CharField(max_length=12)
    terms = models.CharField(max_length=80)
    """Name and version, `care@2026-01-01`."""
    agreed = models.JSONField()
    currency = models.CharField(max_length=3)
    price = models.BigIntegerField()
    """For `every` months, of one seat where it is by seat; what was agreed, which may be other than the terms'."""
    seats = models.PositiveIntegerField(default=1, db_default=1)
    starts_on = models.DateField()
    agreed_at = models.DateTimeField()
    by = models.CharField(max_length=100)
    reason = models.TextField(default="", db_default="")

    class Meta:
        db_table = "contracts_contract"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in Kind]), name="contract_kind"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="contract_currency"),
            models.CheckConstraint(condition=Q(price__gte=0, seats__gte=1), name="contract_amounts"),
            models.CheckConstraint(condition=~Q(key="") & SAYS, name="contract_says"),
        ]


class Change(models.Model):
    """What changed in a contract and from which day: price (indexed, agreed), seats, its end, an element's end."""

    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12)
    on = models.DateField()
    value = models.BigIntegerField()
    """The new price, or number of seats; of an end, the fee for what is left; of an element, its place in the terms."""
    explanation = models.JSONField(null=True)
    at = models.DateTimeField()
    by = models.CharField(max_length=100)
    reason = models.TextField()

    class Meta:
        db_table = "contracts_change"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=CHANGES), name="change_kind"),
            models.CheckConstraint(condition=Q(value__gte=0), name="change_value"),
            models.CheckConstraint(condition=SAYS & ~Q(reason=""), name="change_says"),
        ]


class Bound(models.Model):
    """A service whose base fee is in a bundle: of which contract, as which of its elements."""

    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+", db_index=False)
    element = models.CharField(max_length=60)
    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+")
    plan = models.CharField(max_length=60)
    at = models.DateTimeField()

    class Meta:
        db_table = "contracts_bound"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["contract", "element"], name="bound_once"),
            models.CheckConstraint(condition=~Q(element=""), name="bound_says"),
        ]


class Card(models.Model):
    """Hours bought: usable from `from_at` and before `until`. Taken back once, before anything else was drawn on it."""

    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=100, unique=True)
    product = models.CharField(max_length=60)
    seconds = models.PositiveIntegerField()
    price = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    from_at = models.DateTimeField()
    until = models.DateTimeField(null=True)
    bought_at = models.DateTimeField()
    by = models.CharField(max_length=100)
    deferred = models.BooleanField(default=False, db_default=False)
    """Whether its price was booked as owed in work. Cards from before that was so were income when they were sold."""
    taken_back_at = models.DateTimeField(null=True)
    taken_back_by = models.CharField(max_length=100, default="", db_default="")
    taken_back_why = models.TextField(default="", db_default="")

    class Meta:
        db_table = "contracts_card"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(seconds__gte=1, price__gte=0) & SAYS, name="card_sound"),
            models.CheckConstraint(condition=Q(until__isnull=True) | Q(until__gt=F("from_at")), name="card_lasts"),
            models.CheckConstraint(
                condition=Q(taken_back_at__isnull=True, taken_back_why="")
                | (Q(taken_back_at__isnull=False) & ~Q(taken_back_why="") & ~Q(taken_back_by="")),
                name="card_back_says_why",
            ),
        ]


class Entry(models.Model):
    """Work that was done. A correction is a row more: of a source key, the newest `revision` counts."""

    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+")
    source_key = models.CharField(max_length=200)
    revision = models.PositiveIntegerField()
    began_at = models.DateTimeField()
    seconds = models.PositiveIntegerField()
    work = models.CharField(max_length=12)
    free = models.BooleanField(default=False, db_default=False)
    removed = models.BooleanField(default=False, db_default=False)
    who = models.CharField(max_length=100)
    text = models.TextField(default="", db_default="")
    ticket = models.CharField(max_length=140, default="", db_default="")
    recorded_at = models.DateTimeField()
    by = models.CharField(max_length=100)
    reason = models.TextField(default="", db_default="")
    """Why it was corrected; empty on what was right at once."""

    class Meta:
        db_table = "contracts_entry"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source_key", "revision"], name="entry_revision_once"),
            models.CheckConstraint(condition=Q(work__in=[w.value for w in Work]), name="entry_work"),
            models.CheckConstraint(condition=~Q(source_key="") & ~Q(who="") & SAYS, name="entry_says"),
            models.CheckConstraint(condition=Q(seconds__lte=31 * 86_400), name="entry_seconds"),
            models.CheckConstraint(condition=Q(revision=1) | ~Q(reason=""), name="entry_corrected_why"),
        ]


class Leave(models.Model):
    """Leave for work beyond cover: asked for, then answered once by the customer. Counts from the answer on."""

    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=100, unique=True)
    seconds = models.PositiveIntegerField()
    rate = models.BigIntegerField()
    """Of an hour, as the customer is told."""
    currency = models.CharField(max_length=3)
    text = models.TextField()
    until = models.DateTimeField()
    asked_at = models.DateTimeField()
    by = models.CharField(max_length=100)
    answered_at = models.DateTimeField(null=True)
    approved = models.BooleanField(null=True)
    answered_by = models.CharField(max_length=100, default="", db_default="")

    class Meta:
        db_table = "contracts_leave"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(seconds__gte=1, rate__gte=0) & SAYS & ~Q(text=""), name="leave_sound"),
            models.CheckConstraint(condition=Q(until__gt=F("asked_at")), name="leave_lasts"),
            models.CheckConstraint(
                condition=Q(answered_at__isnull=True, approved__isnull=True, answered_by="")
                | (
                    Q(answered_at__gte=F("asked_at"), answered_at__lt=F("until"), approved__isnull=False)
                    & ~Q(answered_by="")
                ),
                name="leave_answer_whole",
            ),
        ]


class Timer(models.Model):
    """A timer of an operator that runs: one at a time."""

    who = models.CharField(max_length=100, unique=True)
    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+")
    began_at = models.DateTimeField()
    work = models.CharField(max_length=12)
    text = models.TextField(default="", db_default="")
    ticket = models.CharField(max_length=140, default="", db_default="")

    class Meta:
        db_table = "contracts_timer"


class Ticket(models.Model):
    """A request of a customer. `source` and `number` are the desk's own; its promises are its contract's."""

    source = models.CharField(max_length=40)
    number = models.CharField(max_length=100)
    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+", null=True)
    subject = models.CharField(max_length=300)
    contact = models.CharField(max_length=200, default="", db_default="")
    opened_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "contracts_ticket"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "number"], name="ticket_once"),
            models.CheckConstraint(condition=~Q(source="") & ~Q(number="") & SAYS, name="ticket_says"),
        ]
        indexes: ClassVar = [models.Index(fields=["contract", "opened_at"], name="ticket_by_contract")]


class TicketEvent(models.Model):
    """What happened to a ticket; its id orders what shares an instant. Told twice, it is there once."""

    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="+", db_index=False)
    source_key = models.CharField(max_length=200)
    at = models.DateTimeField()
    kind = models.CharField(max_length=16)
    priority = models.CharField(max_length=40, default="", db_default="")
    recorded_at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "contracts_ticket_event"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ticket", "source_key"], name="ticket_event_once"),
            models.CheckConstraint(condition=Q(kind__in=EVENTS), name="ticket_event_kind"),
            models.CheckConstraint(condition=~Q(source_key="") & SAYS, name="ticket_event_says"),
        ]


class Charge(models.Model):
    """What a contract costs beside its plan: a fee, a card, approved hours, an early end. Gets its invoice once."""

    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=140, unique=True)
    kind = models.CharField(max_length=12)
    element = models.CharField(max_length=60, default="", db_default="")
    """Of a bundle, which."""
    starts_on = models.DateField()
    ends_on = models.DateField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    explanation = models.JSONField()
    made_at = models.DateTimeField()
    by = models.CharField(max_length=100)
    invoice = models.CharField(max_length=140, default="", db_default="")
    line = models.PositiveIntegerField(null=True)

    class Meta:
        db_table = "contracts_charge"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind__in=["fee", "card", "hours", "hours_back", "early"]), name="charge_kind"
            ),
            models.CheckConstraint(condition=Q(amount__gte=0, ends_on__gte=F("starts_on")) & SAYS, name="charge_sound"),
            models.CheckConstraint(
                condition=Q(invoice="", line__isnull=True) | (~Q(invoice="") & Q(line__gte=1)),
                name="charge_invoice_whole",
            ),
        ]


class Credit(models.Model):
    """What missed responses of a period cost us; a later revision is what late events added. Gets its note once."""

    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+", db_index=False)
    period_start = models.DateField()
    period_end = models.DateField()
    revision = models.PositiveIntegerField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    missed = models.JSONField(default=list)
    explanation = models.JSONField()
    made_at = models.DateTimeField()
    by = models.CharField(max_length=100)
    credit_note = models.CharField(max_length=140, default="", db_default="")

    class Meta:
        db_table = "contracts_credit"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["contract", "period_start", "revision"], name="credit_once_a_period"),
            models.CheckConstraint(
                condition=Q(amount__gte=0, period_end__gt=F("period_start")) & SAYS, name="credit_sound"
            ),
        ]


class Lapse(models.Model):
    """Hours of a card that ended unused, and what of its price was paid for them: breakage, recorded once."""

    card = models.OneToOneField(Card, on_delete=models.PROTECT, related_name="+")
    seconds = models.PositiveIntegerField()
    amount = models.BigIntegerField()
    on = models.DateField()
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "contracts_lapse"


class Earning(models.Model):
    """What of a card's price was booked as income by then, of hours used and of hours lapsed: a row a booking."""

    card = models.ForeignKey(Card, on_delete=models.PROTECT, related_name="+", db_index=False)
    no = models.PositiveIntegerField()
    used = models.BigIntegerField()
    lapsed = models.BigIntegerField()
    booked_at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "contracts_earning"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["card", "no"], name="earning_once"),
            models.CheckConstraint(condition=Q(used__gte=0, lapsed__gte=0, no__gte=1) & SAYS, name="earning_sound"),
        ]


class Mail(models.Model):
    """A mail to the desk, once by its key. Its words are kept for a while, what was attached never is.

    A mail that is held gets its state once, by a person; the words go once. Nothing else changes.
    """

    key = models.CharField(max_length=64, unique=True)
    message_id = models.CharField(max_length=300, default="", db_default="")
    sender = models.CharField(max_length=254, default="", db_default="")
    subject = models.CharField(max_length=300, default="", db_default="")
    words = models.TextField(null=True)
    attached = models.JSONField(default=list)
    size = models.PositiveIntegerField()
    arrived_at = models.DateTimeField()
    arrived_by = models.CharField(max_length=120)
    """What says so: our server's Received header, the provider that told us, or when it was read."""
    source = models.CharField(max_length=40)
    state = models.CharField(max_length=12)
    why = models.TextField(default="", db_default="")
    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="+", null=True)
    recorded_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=100, default="", db_default="")
    settled_why = models.TextField(default="", db_default="")

    class Meta:
        db_table = "contracts_mail"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=MAIL_STATES), name="mail_state"),
            models.CheckConstraint(
                condition=Q(state__in=["opened", "answered", "wrote"], ticket__isnull=False)
                | Q(state="noted")
                | Q(state__in=["held", "refused"], ticket__isnull=True) & ~Q(why=""),
                name="mail_state_fits",
            ),
            models.CheckConstraint(
                condition=Q(settled_at__isnull=True, settled_by="", settled_why="")
                | (Q(settled_at__isnull=False) & ~Q(settled_by="") & ~Q(settled_why="") & ~Q(state="held")),
                name="mail_settled_whole",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["message_id"], name="mail_by_id"),
            models.Index(fields=["arrived_at"], condition=Q(state="held"), name="mail_held"),
            models.Index(fields=["recorded_at"], condition=Q(words__isnull=False), name="mail_with_words"),
        ]


class Judgement(models.Model):
    """What was said of a contract's fairness, with its arithmetic: the last of each month is kept."""

    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="+", db_index=False)
    month = models.DateField()
    said_at = models.DateTimeField()
    verdict = models.CharField(max_length=20)
    price = models.BigIntegerField()
    """Of a year."""
    explanation = models.JSONField()

    class Meta:
        db_table = "contracts_judgement"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["contract", "month"], name="judgement_once_a_month"),
            models.CheckConstraint(condition=~Q(verdict=""), name="judgement_says"),
        ]


class Opinion(models.Model):
    """What a customer said of a solved ticket, by one link: 1 to 5 and words. Of several, the newest counts."""

    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="+")
    score = models.PositiveSmallIntegerField()
    text = models.TextField(default="", db_default="")
    contact = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        db_table = "contracts_opinion"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(score__gte=1, score__lte=5), name="opinion_score"),
        ]
