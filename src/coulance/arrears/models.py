"""Tables of the arrears room. Private to the room; what they guarantee beyond constraints is in migration 0002.

Facts only: where a case stands follows from them. Rows are added; what ends (an act undone, a plan ended) ends once.
Money is in minor units. `debts` are refs as payments gives them (`document/17`), sorted.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from coulance_core.arrears import Act as ActKind
from coulance_core.arrears import Route, StayKind

_SERVICE = "services.Service"
_ACCOUNT = "customers.Account"
_CLOSING = Q(closed_at__isnull=True)


class Terms(models.Model):
    """A version of a policy as it was when a case was opened by it: the whole table, by its hash."""

    version = models.CharField(max_length=120)
    digest = models.CharField(max_length=64, unique=True)
    data = models.JSONField()

    class Meta:
        db_table = "arrears_terms"


class Case(models.Model):
    """What is done about an account's debts, by one version of a policy. One a time; open while anything is owed.

    `judged_at`, `wake`: when it was judged last, and from when time alone may change that.
    """

    account = models.ForeignKey(_ACCOUNT, on_delete=models.PROTECT, related_name="+")
    terms = models.ForeignKey(Terms, on_delete=models.PROTECT, related_name="+", db_index=False)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    judged_at = models.DateTimeField(null=True)
    wake = models.DateTimeField(null=True)

    class Meta:
        db_table = "arrears_case"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account"], condition=_CLOSING, name="arrears_case_one_open"),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=F("opened_at")), name="arrears_case_closed_after"
            ),
        ]


class Act(models.Model):
    """Something that was done about debts. Only added; undone once, by its inverse.

    `rests_on`: ids of the notices it stands on, of an act that hurts. `backup`, or `no_data` (we hold none of the
    service), or `impossible`: by which its data is safe. `restriction` is the register's, `document` a fee's.
    `effect`: what it changed of the service (its plan, its last day) and what it was before, so that it can be undone.
    `wrongful_since`: from when it should not have been, once that is known. `observed`: nothing was done.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="+")
    step = models.CharField(max_length=80)
    route = models.CharField(max_length=20)
    act = models.CharField(max_length=30)
    debts = models.JSONField()
    service = models.ForeignKey(_SERVICE, on_delete=models.PROTECT, related_name="+", null=True)
    at = models.DateTimeField()
    by = models.CharField(max_length=100)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    about = models.CharField(max_length=200, default="", db_default="")
    channels = models.JSONField(default=list)
    messages = models.JSONField(default=list)
    rests_on = models.JSONField(default=list)
    backup = models.ForeignKey("Backup", on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    impossible = models.ForeignKey("Impossible", on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    no_data = models.BooleanField(default=False, db_default=False)
    restriction = models.BigIntegerField(null=True, unique=True)
    document = models.ForeignKey("invoicing.Document", on_delete=models.PROTECT, related_name="+", null=True)
    effect = models.JSONField(null=True)
    observed = models.BooleanField(default=False, db_default=False)
    explanation = models.JSONField(null=True)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=100, default="", db_default="")
    ground = models.CharField(max_length=20, default="", db_default="")
    wrongful_since = models.DateTimeField(null=True)

    class Meta:
        db_table = "arrears_act"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(act__in=[a.value for a in ActKind]), name="arrears_act_kind"),
            models.CheckConstraint(condition=Q(route__in=[r.value for r in Route]), name="arrears_act_route"),
            models.CheckConstraint(condition=~Q(step="") & ~Q(by="") & ~Q(debts=[]), name="arrears_act_says_what"),
            models.CheckConstraint(
                condition=Q(undone_at__isnull=True, undone_by="", ground="", wrongful_since__isnull=True)
                | (Q(undone_at__gte=F("at")) & ~Q(undone_by="") & ~Q(ground="")),
                name="arrears_act_undone_whole",
            ),
            models.CheckConstraint(
                condition=Q(observed=False) | Q(restriction__isnull=True, document__isnull=True, messages=[]),
                name="arrears_act_observed_does_nothing",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["case", "step"], name="arrears_act_by_step")]


class Refusal(models.Model):
    """A step whose time has come, and what keeps it: since when, and until when it did."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="+", db_index=False)
    step = models.CharField(max_length=80)
    act = models.CharField(max_length=30)
    debts = models.JSONField()
    service = models.CharField(max_length=100, default="", db_default="")
    code = models.CharField(max_length=40)
    message = models.TextField()
    explanation = models.JSONField(null=True)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)

    class Meta:
        db_table = "arrears_refusal"
        indexes: ClassVar = [
            models.Index(fields=["case", "step"], name="arrears_refusal_by_case"),
            models.Index(fields=["code"], condition=Q(until__isnull=True), name="arrears_refusal_open"),
        ]


class Promise(models.Model):
    """Somebody's word that debts are paid by a day."""

    account = models.ForeignKey(_ACCOUNT, on_delete=models.PROTECT, related_name="+")
    debts = models.JSONField()
    pay_by = models.DateField()
    made_at = models.DateTimeField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "arrears_promise"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(debts=[]) & ~Q(by=""), name="arrears_promise_says_what"),
        ]


class Plan(models.Model):
    """A payment plan: proposed, in force once it is agreed, until it is ended. `reason` is little and kept with care.

    `total` is what its instalments come to. One that was ended before it was agreed was declined or taken back.
    `interest_percent` a year on `interest_principal`, at most `interest_most`: as it was shown; empty: it bears none.
    Billed once, when the plan is over: `interest_settled_at`, with a document where it came to anything.
    """

    account = models.ForeignKey(_ACCOUNT, on_delete=models.PROTECT, related_name="+")
    debts = models.JSONField()
    currency = models.CharField(max_length=3)
    total = models.BigIntegerField()
    interest_percent = models.CharField(max_length=40, default="", db_default="")
    interest_principal = models.BigIntegerField(null=True)
    interest_most = models.BigIntegerField(null=True)
    interest_document = models.ForeignKey("invoicing.Document", on_delete=models.PROTECT, related_name="+", null=True)
    interest_settled_at = models.DateTimeField(null=True)
    reason = models.TextField(default="", db_default="")
    proposed_at = models.DateTimeField()
    proposed_by = models.CharField(max_length=100)
    agreed_at = models.DateTimeField(null=True)
    agreed_by = models.CharField(max_length=100, default="", db_default="")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=100, default="", db_default="")
    ended_why = models.TextField(default="", db_default="")

    class Meta:
        db_table = "arrears_plan"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(total__gt=0) & ~Q(debts=[]), name="arrears_plan_of_something"),
            models.CheckConstraint(
                condition=Q(agreed_at__isnull=True, agreed_by="")
                | (Q(agreed_at__gte=F("proposed_at")) & ~Q(agreed_by="")),
                name="arrears_plan_agreed_whole",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by="", ended_why="")
                | (Q(ended_at__gte=F("proposed_at")) & ~Q(ended_by="") & ~Q(ended_why="")),
                name="arrears_plan_ended_whole",
            ),
            models.CheckConstraint(
                condition=Q(interest_percent="", interest_principal__isnull=True, interest_most__isnull=True)
                | (~Q(interest_percent="") & Q(interest_principal__gte=0, interest_most__gte=0)),
                name="arrears_plan_interest_whole",
            ),
        ]


class Instalment(models.Model):
    """A part of a plan, and the day it is due."""

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_index=False)
    no = models.PositiveIntegerField()
    due_on = models.DateField()
    amount = models.BigIntegerField()

    class Meta:
        db_table = "arrears_instalment"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["plan", "no"], name="arrears_instalment_no"),
            models.UniqueConstraint(fields=["plan", "due_on"], name="arrears_instalment_day"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="arrears_instalment_amount"),
        ]


class Approval(models.Model):
    """A person's yes to a step of a case, for a service (empty: the account). Taken back once."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="+")
    step = models.CharField(max_length=80)
    service = models.ForeignKey(_SERVICE, on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    by = models.CharField(max_length=100)
    reason = models.TextField()
    at = models.DateTimeField()
    taken_back_at = models.DateTimeField(null=True)
    taken_back_by = models.CharField(max_length=100, default="", db_default="")

    class Meta:
        db_table = "arrears_approval"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(by="") & ~Q(reason=""), name="arrears_approval_says_why"),
            models.UniqueConstraint(
                fields=["case", "step", "service", "by"], condition=Q(taken_back_at__isnull=True),
                name="arrears_approval_once", nulls_distinct=False,
            ),
        ]  # fmt: skip


class Stay(models.Model):
    """Everything rests, for some debts or (none named) all, until `until` or until somebody ends it."""

    account = models.ForeignKey(_ACCOUNT, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20)
    debts = models.JSONField(default=list)
    why = models.TextField()
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    by = models.CharField(max_length=100)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=100, default="", db_default="")

    class Meta:
        db_table = "arrears_stay"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in StayKind]), name="arrears_stay_kind"),
            models.CheckConstraint(condition=~Q(why="") & ~Q(by=""), name="arrears_stay_says_why"),
            models.CheckConstraint(
                condition=~Q(kind="operator") | Q(until__isnull=False), name="arrears_stay_of_operator_ends"
            ),
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gt=F("since")), name="arrears_stay_until_after"
            ),
        ]


class Backup(models.Model):
    """A backup of a service's data. It counts once it was verified, and as long as it is there."""

    service = models.ForeignKey(_SERVICE, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    how = models.CharField(max_length=60)
    receipt = models.JSONField()
    by = models.CharField(max_length=100)
    verified_at = models.DateTimeField(null=True)
    verified_how = models.CharField(max_length=200, default="", db_default="")
    lost_at = models.DateTimeField(null=True)
    lost_why = models.TextField(default="", db_default="")

    class Meta:
        db_table = "arrears_backup"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(verified_at__isnull=True, verified_how="")
                | (Q(verified_at__gte=F("made_at")) & ~Q(verified_how="")),
                name="arrears_backup_verified_whole",
            ),
            models.CheckConstraint(
                condition=Q(lost_at__isnull=True, lost_why="") | (Q(lost_at__isnull=False) & ~Q(lost_why="")),
                name="arrears_backup_lost_whole",
            ),
            models.CheckConstraint(condition=~Q(how="") & ~Q(by=""), name="arrears_backup_says_how"),
        ]


class Impossible(models.Model):
    """It is recorded that a service can't be backed up."""

    service = models.ForeignKey(_SERVICE, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()
    by = models.CharField(max_length=100)
    why = models.TextField()

    class Meta:
        db_table = "arrears_impossible"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(why="") & ~Q(by=""), name="arrears_impossible_says_why"),
        ]


class Retrieval(models.Model):
    """The customer can fetch a service's data, from `offered_at` until `until`."""

    service = models.ForeignKey(_SERVICE, on_delete=models.PROTECT, related_name="+")
    offered_at = models.DateTimeField()
    until = models.DateTimeField(null=True)
    how = models.TextField()
    by = models.CharField(max_length=100)

    class Meta:
        db_table = "arrears_retrieval"


class Task(models.Model):
    """Something a person has to do for an act (call, print a letter, take a service away, undo it), done once."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="+")
    act = models.ForeignKey(Act, on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    kind = models.CharField(max_length=30)
    what = models.TextField()
    ref = models.CharField(max_length=200, default="", db_default="")
    """What it is done with: a delivery (`delivery/17`), a service."""
    since = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    done_by = models.CharField(max_length=100, default="", db_default="")
    note = models.TextField(default="", db_default="")

    class Meta:
        db_table = "arrears_task"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(done_at__isnull=True, done_by="") | (Q(done_at__isnull=False) & ~Q(done_by="")),
                name="arrears_task_done_whole",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["since"], condition=Q(done_at__isnull=True), name="arrears_task_open")
        ]


class Package(models.Model):
    """What a collector or mediator got for a hand-over: the zip as it was made. Once an act; never changed."""

    act = models.OneToOneField(Act, on_delete=models.PROTECT, related_name="+")
    to = models.CharField(max_length=20)
    made_at = models.DateTimeField()
    by = models.CharField(max_length=100)
    seal = models.CharField(max_length=64)
    names = models.JSONField()
    content = models.BinaryField()

    class Meta:
        db_table = "arrears_package"


class Deletion(models.Model):
    """An order to delete a service's data, of an act that two people approved. Judged again before it is carried out.

    `identity`: who must be read back there. `state`: `waiting`, `begun` (handed to the driver), `done`, `refused`
    (somebody else was read back) or `withdrawn` (its ground was gone before it began). `read`: who was read back.
    """

    act = models.OneToOneField(Act, on_delete=models.PROTECT, related_name="+")
    service = models.ForeignKey(_SERVICE, on_delete=models.PROTECT, related_name="+")
    identity = models.CharField(max_length=200, default="", db_default="")
    asked_at = models.DateTimeField()
    state = models.CharField(max_length=10, default="waiting", db_default="waiting")
    begun_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    by = models.CharField(max_length=100, default="", db_default="")
    read = models.CharField(max_length=200, default="", db_default="")
    proof = models.TextField(default="", db_default="")

    class Meta:
        db_table = "arrears_deletion"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "begun", "done", "refused", "withdrawn"]),
                name="arrears_deletion_state",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | (Q(read=F("identity"), ended_at__isnull=False) & ~Q(read="") & ~Q(by="")),
                name="arrears_deletion_of_who_was_read_back",
            ),
        ]


class Looked(models.Model):
    """When an account was judged last, with or without a case, and from when time alone may change that."""

    account = models.OneToOneField(_ACCOUNT, on_delete=models.CASCADE, related_name="+", primary_key=True)
    judged_at = models.DateTimeField()
    wake = models.DateTimeField(null=True)

    class Meta:
        db_table = "arrears_looked"


class Night(models.Model):
    """A run over everybody: `whole` where it read every account, else those whose time had come or a fact changed."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    whole = models.BooleanField()
    owing = models.IntegerField(default=0, db_default=0)
    judged = models.IntegerField(default=0, db_default=0)
    digest = models.CharField(max_length=64, default="", db_default="")
    """Of the provider's table that it judged by: another one is a fact that changed for everybody."""

    class Meta:
        db_table = "arrears_night"


class Habit(models.Model):
    """How an account pays, as of a night: the chance that the next bill is late, what that picks, and why."""

    account = models.OneToOneField(_ACCOUNT, on_delete=models.CASCADE, related_name="+", primary_key=True)
    at = models.DateTimeField()
    chance = models.IntegerField()
    """In ten-thousandths, for sorting; the explanation has it exactly."""
    bills = models.IntegerField()
    late = models.BooleanField()
    remind_days = models.IntegerField()
    gentler = models.JSONField(default=list)
    explanation = models.JSONField()

    class Meta:
        db_table = "arrears_habit"
        indexes: ClassVar = [models.Index(fields=["-chance"], condition=Q(late=True), name="arrears_habit_late")]


class Figure(models.Model):
    """What is open of a currency, by age, as of a night; kept day by day."""

    on = models.DateField()
    currency = models.CharField(max_length=3)
    at = models.DateTimeField()
    by_age = models.JSONField()
    """Minor units: not due, to 30 days, 31-60, 61-90, more."""
    not_received = models.BigIntegerField(default=0, db_default=0)
    """Of what isn't due: bills that nobody is known to have received."""
    days_outstanding = models.IntegerField(null=True)
    everybody = models.CharField(max_length=40)
    """The share of everybody's bills that were paid late, as a fraction."""

    class Meta:
        db_table = "arrears_figure"
        constraints: ClassVar = [models.UniqueConstraint(fields=["on", "currency"], name="arrears_figure_a_day")]


class Unreceived(models.Model):
    """A bill that nobody is known to have received, from when that was found until it ended."""

    account = models.ForeignKey(_ACCOUNT, on_delete=models.PROTECT, related_name="+")
    ref = models.CharField(max_length=60)
    number = models.CharField(max_length=60)
    printed_due = models.DateField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    due_on = models.DateField(null=True)
    """Once it was received: the day from which it is due after all."""

    class Meta:
        db_table = "arrears_unreceived"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ref"], condition=Q(until__isnull=True), name="arrears_unreceived_once"),
        ]


class Invitation(models.Model):
    """That an account was invited to have its bills paid by themselves: once. Who says no is never asked again."""

    account = models.OneToOneField(_ACCOUNT, on_delete=models.PROTECT, related_name="+", primary_key=True)
    sent_at = models.DateTimeField(null=True)
    message = models.CharField(max_length=160, default="", db_default="")
    declined_at = models.DateTimeField(null=True)
    declined_by = models.CharField(max_length=100, default="", db_default="")

    class Meta:
        db_table = "arrears_invitation"
