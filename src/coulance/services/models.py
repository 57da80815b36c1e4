"""Tables of the services room: services, subscriptions, series. Private to the room."""

from typing import ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value


class Service(models.Model):
    """Something an account runs with the provider, on the civil days [started_on, ended_on) of the account's zone."""

    account = models.ForeignKey("customers.Account", on_delete=models.PROTECT, related_name="+")
    external_id = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20)
    started_on = models.DateField()
    ended_on = models.DateField(null=True)
    billed_until = models.DateField(null=True)
    """For a service that was taken over: the first day whose base fee was not billed elsewhere already."""
    pool = models.CharField(max_length=60, blank=True, default="", db_default="")
    """Services of an account with the same word pool together, where their plans pool; empty is a word too."""

    class Meta:
        db_table = "services_service"
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(external_id="") & ~Q(name=""), name="service_is_named"),
            models.CheckConstraint(
                condition=Q(ended_on__isnull=True) | Q(ended_on__gt=F("started_on")), name="service_ends_after_start"
            ),
        ]


class Subscription(models.Model):
    """The plan a service is on, and how many of it, on the civil days [valid_from, valid_until) of its account's zone.

    A service has one plan a day: the database refuses an overlap.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.CharField(max_length=60)
    quantity = models.PositiveIntegerField(default=1, db_default=1)
    valid_from = models.DateField()
    valid_until = models.DateField(null=True)

    class Meta:
        db_table = "services_subscription"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(quantity__gte=1), name="subscription_quantity"),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")), name="subscription_lasts"
            ),
            # The service as a range of one number, so that plain GiST compares it without the btree_gist extension.
            ExclusionConstraint(
                name="subscription_no_overlap",
                expressions=[
                    (
                        Func(F("service_id"), F("service_id"), Value("[]"), function="int8range"),
                        RangeOperators.OVERLAPS,
                    ),
                    (
                        Func(F("valid_from"), F("valid_until"), Value("[)"), function="daterange"),
                        RangeOperators.OVERLAPS,
                    ),
                ],
            ),
        ]


class AgreedPrice(models.Model):
    """A base fee agreed for one service in place of its plan's: for a whole cycle and all units, in minor units.

    It holds on the civil days [valid_from, valid_until) on which the service is on that plan. `words` print on the
    invoice. A service has one price a day: the database refuses an overlap.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="+")
    plan = models.CharField(max_length=60)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    words = models.CharField(max_length=120, blank=True, default="", db_default="")
    valid_from = models.DateField()
    valid_until = models.DateField(null=True)
    reason = models.CharField(max_length=500)
    actor = models.CharField(max_length=120)
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "services_agreed_price"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(amount__gte=0) & ~Q(plan="") & ~Q(reason=""), name="agreed_price_is_whole"
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")), name="agreed_price_lasts"
            ),
            ExclusionConstraint(
                name="agreed_price_no_overlap",
                expressions=[
                    (
                        Func(F("service_id"), F("service_id"), Value("[]"), function="int8range"),
                        RangeOperators.OVERLAPS,
                    ),
                    (
                        Func(F("valid_from"), F("valid_until"), Value("[)"), function="daterange"),
                        RangeOperators.OVERLAPS,
                    ),
                ],
            ),
        ]


class Series(models.Model):
    """A stream of samples, by the key its sender uses, and the service and meter it counts for."""

    key = models.CharField(max_length=200, unique=True)
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="series")
    meter = models.CharField(max_length=60)

    class Meta:
        db_table = "services_series"
        constraints: ClassVar = [models.CheckConstraint(condition=~Q(key=""), name="series_has_key")]
