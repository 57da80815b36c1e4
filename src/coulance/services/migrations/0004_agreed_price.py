import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Func, Q, Value


class Migration(migrations.Migration):
    """Base fees agreed for one service, in place of its plan's. A new table: nothing else is touched."""

    dependencies = [("services", "0003_billed_until")]

    operations = [
        migrations.CreateModel(
            name="AgreedPrice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("plan", models.CharField(max_length=60)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("words", models.CharField(blank=True, db_default="", default="", max_length=120)),
                ("valid_from", models.DateField()),
                ("valid_until", models.DateField(null=True)),
                ("reason", models.CharField(max_length=500)),
                ("actor", models.CharField(max_length=120)),
                ("recorded_at", models.DateTimeField()),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="services.service"
                    ),
                ),
            ],
            options={
                "db_table": "services_agreed_price",
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(amount__gte=0) & ~Q(plan="") & ~Q(reason=""), name="agreed_price_is_whole"
                    ),
                    models.CheckConstraint(
                        condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")),
                        name="agreed_price_lasts",
                    ),
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        name="agreed_price_no_overlap",
                        expressions=[
                            (
                                Func(F("service_id"), F("service_id"), Value("[]"), function="int8range"),
                                django.contrib.postgres.fields.ranges.RangeOperators.OVERLAPS,
                            ),
                            (
                                Func(F("valid_from"), F("valid_until"), Value("[)"), function="daterange"),
                                django.contrib.postgres.fields.ranges.RangeOperators.OVERLAPS,
                            ),
                        ],
                    ),
                ],
            },
        ),
    ]
