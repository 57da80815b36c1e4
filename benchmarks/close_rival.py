"""Billing the way Django billing systems work, Silver among them, for the closing benchmark to stand beside.

django-silver 0.11.1 wants Django below 3.3 and cannot be installed beside us, so this does what it does, in its shape
and in its favour: model objects; a draft, validated by `full_clean`; entries saved one by one with a log row each;
totals from the entries read back; a number under a lock; a snapshot of the parties as JSON; a second save to issue.
Left out, all in the rival's favour: exchange rates, state-machine signals, plans looked up by date, metered usage read
and rated (its three lines have fixed amounts), and any journal. One transaction an invoice, on the same server.
"""

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.db import connection, models, transaction

from benchmarks.harness import timed

CENT = Decimal("0.01")


class Provider(models.Model):
    name = models.CharField(max_length=128)
    country = models.CharField(max_length=2)
    series = models.CharField(max_length=20)

    class Meta:
        app_label = "rival"


class Customer(models.Model):
    name = models.CharField(max_length=128)
    country = models.CharField(max_length=2)
    email = models.EmailField()
    sales_tax_percent = models.DecimalField(max_digits=5, decimal_places=2)

    class Meta:
        app_label = "rival"


class NumberState(models.Model):
    series = models.CharField(max_length=20, unique=True)
    last = models.PositiveIntegerField(default=0)

    class Meta:
        app_label = "rival"


class Subscription(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="subscriptions")
    plan = models.CharField(max_length=40)
    amount = models.DecimalField(max_digits=12, decimal_places=4)

    class Meta:
        app_label = "rival"


class Invoice(models.Model):
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    series = models.CharField(max_length=20)
    number = models.PositiveIntegerField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=[("draft", "Draft"), ("issued", "Issued")], default="draft")
    issue_date = models.DateField(null=True, blank=True)
    due_date = models.DateField(null=True, blank=True)
    currency = models.CharField(max_length=3, choices=[("EUR", "EUR"), ("USD", "USD")])
    sales_tax_percent = models.DecimalField(max_digits=5, decimal_places=2)
    total = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    archived_provider = models.JSONField(null=True, blank=True)
    archived_customer = models.JSONField(null=True, blank=True)

    class Meta:
        app_label = "rival"
        unique_together = (("series", "number"),)


class Entry(models.Model):
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="entries")
    description = models.CharField(max_length=200)
    unit = models.CharField(max_length=20)
    quantity = models.DecimalField(max_digits=19, decimal_places=4)
    unit_price = models.DecimalField(max_digits=19, decimal_places=4)
    start_date = models.DateField()
    end_date = models.DateField()
    prorated = models.BooleanField(default=False)

    class Meta:
        app_label = "rival"

    @property
    def total(self) -> Decimal:
        return (self.quantity * self.unit_price).quantize(CENT, ROUND_HALF_UP)


class BillingLog(models.Model):
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT)
    billing_date = models.DateField()
    total = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        app_label = "rival"


MODELS = (Provider, Customer, NumberState, Subscription, Invoice, Entry, BillingLog)


def bill(customer: Customer, provider: Provider, start: date, end: date) -> None:
    """One customer's invoice: drafted, filled, numbered and issued."""
    with transaction.atomic():
        invoice = Invoice(
            provider=provider,
            customer=customer,
            series=provider.series,
            currency="EUR",
            sales_tax_percent=customer.sales_tax_percent,
        )
        invoice.full_clean()
        invoice.save()
        for subscription in customer.subscriptions.all():
            entry = Entry(
                invoice=invoice,
                description=f"{subscription.plan} ({start} - {end})",
                unit="month",
                quantity=Decimal(1),
                unit_price=subscription.amount,
                start_date=start,
                end_date=end,
            )
            entry.full_clean()
            entry.save()
            BillingLog.objects.create(subscription=subscription, invoice=invoice, billing_date=end, total=entry.total)
        state = NumberState.objects.select_for_update().get(series=invoice.series)
        state.last += 1
        state.save()
        net = sum((entry.total for entry in invoice.entries.all()), Decimal(0))
        tax = (net * invoice.sales_tax_percent / 100).quantize(CENT, ROUND_HALF_UP)
        invoice.number, invoice.total, invoice.state = state.last, net + tax, "issued"
        invoice.issue_date, invoice.due_date = end, end + timedelta(days=14)
        invoice.archived_provider = {"name": provider.name, "country": provider.country}
        invoice.archived_customer = {"name": customer.name, "country": customer.country, "email": customer.email}
        invoice.full_clean()
        invoice.save()


def invoices_a_second(count: int) -> float:
    """Make the tables and `count` customers with three subscriptions each; bill them; give invoices a second."""
    with connection.schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    provider = Provider.objects.create(name="Polder Hosting BV", country="NL", series="S")
    NumberState.objects.create(series="S")
    customers = Customer.objects.bulk_create(
        [
            Customer(name=f"Klant {i} BV", country="NL", email=f"k{i}@example.nl", sales_tax_percent=Decimal(21))
            for i in range(count)
        ]
    )
    Subscription.objects.bulk_create(
        [Subscription(customer=c, plan=f"VPS {n}", amount=Decimal("11.50")) for c in customers for n in range(3)]
    )
    with timed() as watch:
        for customer in Customer.objects.all():
            bill(customer, provider, date(2026, 10, 1), date(2026, 10, 31))
    if Invoice.objects.filter(state="issued").count() != count or Entry.objects.count() != 3 * count:
        raise RuntimeError("the rival did not bill everybody")
    return count / watch.seconds
