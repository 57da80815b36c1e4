"""Tables of the overage room. Private to the room; what they guarantee beyond constraints is in migration 0002.

Quantities are exact texts (`412.5`, `1000/3`), as documents keep them; money is minor units with its currency.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

_EXACT = r"^[0-9]+(\.[0-9]+)?(/[0-9]+)?$"


class Consent(models.Model):
    """A customer's word that overage may be charged, as it was given and what was shown. Never edited.

    Only two things are ever added, each once: a decision, where the provider's approval was needed, and its end.
    """

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", db_index=False)
    scope = models.CharField(max_length=10)
    service = models.ForeignKey(
        "services.Service", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    pool = models.CharField(max_length=60, blank=True, default="", db_default="")
    pool_group = models.CharField(max_length=60, blank=True, default="", db_default="")
    charge = models.CharField(max_length=60, blank=True, default="", db_default="")
    """Empty: all charges of the scope, which share the limit."""
    period_name = models.CharField(max_length=7, blank=True, default="", db_default="")
    """Empty: standing, each period anew."""
    amount = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    quantity = models.TextField(blank=True, default="", db_default="")
    unit = models.CharField(max_length=30, blank=True, default="", db_default="")
    typed = models.CharField(max_length=10)
    pre_acknowledged = models.BigIntegerField(null=True)
    terms = models.CharField(max_length=200)
    """The version of the prices that were shown, as in `vps-s@2026-01-01`."""
    rate_shown = models.TextField(blank=True, default="", db_default="")
    text_shown = models.TextField(blank=True, default="", db_default="")
    text_hash = models.CharField(max_length=64)
    """SHA-256 of the text shown, in hexadecimal."""
    contact = models.CharField(max_length=100)
    address = models.CharField(max_length=254)
    how = models.CharField(max_length=20)
    came_from = models.CharField(max_length=200, blank=True, default="", db_default="")
    """From where: an IP address and browser, a telephone number, a file and line."""
    source_key = models.CharField(max_length=200, null=True, unique=True)
    """What it was taken over from; the same source is taken over once."""
    provisional = models.BooleanField(default=False, db_default=False)
    confirm_by = models.DateTimeField(null=True)
    approval_needed = models.BooleanField(default=False, db_default=False)
    given_at = models.DateTimeField()
    given_by = models.CharField(max_length=100)
    reason = models.TextField(blank=True, default="", db_default="")
    approved = models.BooleanField(null=True)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    decision_reason = models.TextField(blank=True, default="", db_default="")
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=20, blank=True, default="", db_default="")
    ended_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    end_reason = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "overage_consent"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(scope="service", service__isnull=False, pool="", pool_group="")
                | (Q(scope="pool", service__isnull=True) & ~Q(pool=""))
                | Q(scope="account", service__isnull=True, pool="", pool_group=""),
                name="consent_scope",
            ),
            models.CheckConstraint(condition=Q(scope="service") | Q(charge=""), name="consent_charge_of_service"),
            models.CheckConstraint(
                condition=(Q(typed="amount") & Q(amount__isnull=False)) | (Q(typed="quantity") & ~Q(quantity="")),
                name="consent_typed",
            ),
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | (Q(amount__gte=0) & ~Q(currency="")), name="consent_amount"
            ),
            models.CheckConstraint(
                condition=Q(quantity="", unit="") | (Q(quantity__regex=_EXACT) & ~Q(unit="")), name="consent_quantity"
            ),
            models.CheckConstraint(
                condition=Q(pre_acknowledged__isnull=True) | (Q(pre_acknowledged__gte=0) & ~Q(currency="")),
                name="consent_pre_acknowledged",
            ),
            models.CheckConstraint(
                condition=Q(how__in=["portal", "link", "operator", "import"])
                & ~Q(contact="")
                & ~Q(terms="")
                & Q(text_hash__regex=r"^[0-9a-f]{64}$"),
                name="consent_says_how",
            ),
            models.CheckConstraint(
                condition=Q(provisional=True, confirm_by__isnull=False) | Q(provisional=False, confirm_by__isnull=True),
                name="consent_provisional",
            ),
            models.CheckConstraint(
                condition=Q(approved__isnull=True, decided_at__isnull=True)
                | (
                    Q(approval_needed=True, decided_at__isnull=False, decided_at__gte=F("given_at"))
                    & ~Q(decided_by="")
                    & ~Q(decision_reason="")
                ),
                name="consent_decision_says_why",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_why="")
                | (
                    Q(ended_at__isnull=False, ended_at__gte=F("given_at"))
                    & Q(ended_why__in=["superseded", "withdrawn", "lapsed", "refused"])
                    & ~Q(ended_by="")
                ),
                name="consent_end_says_why",
            ),
            models.UniqueConstraint(
                fields=["account", "service", "pool", "pool_group", "charge", "period_name"],
                condition=Q(ended_at__isnull=True) & (Q(approval_needed=False) | Q(approved=True)),
                nulls_distinct=False,
                name="consent_one_in_force",
            ),
            models.UniqueConstraint(
                fields=["account", "service", "pool", "pool_group", "charge", "period_name"],
                condition=Q(ended_at__isnull=True, approval_needed=True, approved__isnull=True),
                nulls_distinct=False,
                name="consent_one_pending",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "given_at"], name="consent_by_account"),
            models.Index(
                fields=["confirm_by"], condition=Q(provisional=True, ended_at__isnull=True), name="consent_to_lapse"
            ),
        ]


class Acknowledgement(models.Model):
    """A person acted on a warning of a meter's period. Only added to."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.CharField(max_length=200)
    period_name = models.CharField(max_length=7)
    at = models.DateTimeField()
    contact = models.CharField(max_length=100)
    how = models.CharField(max_length=20)
    recorded_by = models.CharField(max_length=100)
    reason = models.TextField(blank=True, default="", db_default="")
    source = models.CharField(max_length=200, unique=True)
    """What it came by; the same act counts once."""

    class Meta:
        db_table = "overage_acknowledgement"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(how__in=["portal", "link", "operator", "payment"]) & ~Q(contact="") & ~Q(meter=""),
                name="acknowledgement_says_how",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["account", "period_name"], name="acknowledgement_by_account")]


class Warned(models.Model):
    """That a threshold was crossed and told of: once a period. Only added to."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.CharField(max_length=200)
    period_name = models.CharField(max_length=7)
    threshold = models.CharField(max_length=60)
    counts = models.BooleanField()
    """Whether it is the warning that overage needs: told at or before the whole allowance, or of passing it."""
    used = models.TextField()
    at = models.DateTimeField()
    message = models.CharField(max_length=200, blank=True, default="", db_default="")
    """The key of the message that told it; empty when nobody could be told."""

    class Meta:
        db_table = "overage_warning"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "period_name", "meter", "threshold"], name="warning_once_a_period"
            ),
            models.CheckConstraint(
                condition=~Q(meter="") & ~Q(threshold="") & Q(used__regex=_EXACT), name="warning_says_what"
            ),
        ]


class Attack(models.Model):
    """Traffic that was done to a service, with its evidence. Withdrawn, never edited."""

    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+")
    start = models.DateTimeField()
    until = models.DateTimeField()
    evidence = models.TextField()
    at_most = models.TextField(blank=True, default="", db_default="")
    unit = models.CharField(max_length=30, blank=True, default="", db_default="")
    recorded_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=100)
    reason = models.TextField()
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    withdraw_reason = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "overage_attack"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(until__gt=F("start")), name="attack_lasts"),
            models.CheckConstraint(
                condition=~Q(evidence="") & ~Q(reason="") & ~Q(recorded_by=""), name="attack_says_why"
            ),
            models.CheckConstraint(
                condition=Q(at_most="", unit="") | (Q(at_most__regex=_EXACT) & ~Q(unit="")), name="attack_at_most"
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True, withdrawn_by="", withdraw_reason="")
                | (Q(withdrawn_at__isnull=False) & ~Q(withdrawn_by="") & ~Q(withdraw_reason="")),
                name="attack_withdrawal_says_why",
            ),
        ]


class Settlement(models.Model):
    """What became of a meter's overage in a period: billable, and absorbed for which reasons. Only added to.

    A late correction is another revision. `cost` is what the absorbed part would have come to before tax, `on_budget`
    the part of it that draws on the customer's absorption budget.
    """

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.CharField(max_length=200)
    service = models.ForeignKey("services.Service", on_delete=models.PROTECT, related_name="+", null=True)
    pool = models.CharField(max_length=130, blank=True, default="", db_default="")
    charge = models.CharField(max_length=60, blank=True, default="", db_default="")
    period_name = models.CharField(max_length=7)
    revision = models.PositiveIntegerField()
    observed = models.BooleanField()
    """Only watched: it was billed as by contract, and this is what control would have come to."""
    unit = models.CharField(max_length=30)
    metered = models.TextField()
    included = models.TextField()
    overage = models.TextField()
    billable = models.TextField()
    absorbed = models.JSONField(default=dict)
    facts = models.JSONField(null=True)
    """The ground it was settled on: consents, verified and warned spans, as they stood then."""
    cost = models.BigIntegerField()
    on_budget = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    settled_at = models.DateTimeField()

    class Meta:
        db_table = "overage_settlement"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "period_name", "meter", "revision"], name="settlement_once_a_revision"
            ),
            models.CheckConstraint(
                condition=Q(cost__gte=0) & Q(on_budget__gte=0) & Q(on_budget__lte=F("cost")), name="settlement_cost"
            ),
            models.CheckConstraint(
                condition=Q(metered__regex=_EXACT, overage__regex=_EXACT, billable__regex=_EXACT),
                name="settlement_quantities",
            ),
        ]


# Django finds a room's tables through its `models`.
from coulance.overage.calling_models import PhoneTask  # noqa: E402, F401
from coulance.overage.campaign_models import Campaign, Invitation  # noqa: E402, F401
from coulance.overage.ways_out_models import Advised, Goodwill, PlanForPeriod  # noqa: E402, F401
