"""Credits on the incident, counted requests, distrusted sources, applications of several services, claims upstream.

Additions only: new columns have a default in the database, so that processes of before go on writing.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

ID = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))
KINDS = ("http", "tcp", "icmp", "dns", "tls", "outside", "requests")
ADDED_ONLY = ("distrust", "claimed")
REFUSE = "".join(
    f"CREATE TRIGGER sla_{table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON sla_{table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION sla_refuse();"
    for table in ADDED_ONLY
)
ALLOW = "".join(f"DROP TRIGGER sla_{table}_refuse ON sla_{table};" for table in ADDED_ONLY)
# A period that was judged whole isn't judged in part again.
WHOLE = r"""
CREATE FUNCTION sla_measure_stays_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.so_far AND EXISTS (SELECT 1 FROM sla_measure WHERE service_id = NEW.service_id
      AND period_name = NEW.period_name AND NOT so_far) THEN
    RAISE EXCEPTION '% of service % was judged whole: not in part again', NEW.period_name, NEW.service_id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER sla_measure_stays_whole BEFORE INSERT ON sla_measure
  FOR EACH ROW EXECUTE FUNCTION sla_measure_stays_whole();
"""
UNWHOLE = "DROP TRIGGER sla_measure_stays_whole ON sla_measure; DROP FUNCTION sla_measure_stays_whole();"


class Migration(migrations.Migration):
    dependencies = [("services", "0004_agreed_price"), ("sla", "0002_guards")]

    operations = [
        migrations.CreateModel(
            name="Claimed",
            fields=[
                ID,
                ("supplier", models.CharField(max_length=200)),
                ("terms", models.CharField(max_length=100)),
                ("period_name", models.CharField(max_length=7)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("reference", models.CharField(max_length=500)),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=100)),
            ],
            options={
                "db_table": "sla_claimed",
                "constraints": [
                    models.UniqueConstraint(fields=["supplier", "terms", "period_name"], name="sla_claimed_once"),
                    models.CheckConstraint(
                        condition=Q(amount__gte=0) & ~Q(reference=""), name="sla_claimed_says_where"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Distrust",
            fields=[
                ID,
                (
                    "agent",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sla.agent"),
                ),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(null=True)),
                ("reason", models.TextField()),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=100)),
            ],
            options={
                "db_table": "sla_distrust",
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(until__isnull=True) | Q(until__gt=F("since")), name="sla_distrust_ends"
                    ),
                    models.CheckConstraint(condition=~Q(reason="") & ~Q(by=""), name="sla_distrust_says_why"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Rate",
            fields=[
                ID,
                (
                    "check_no",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="sla.check",
                    ),
                ),
                (
                    "agent",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="sla.agent",
                    ),
                ),
                ("day", models.DateField()),
                ("rows", models.PositiveIntegerField()),
                ("body", models.BinaryField()),
            ],
            options={
                "db_table": "sla_rate",
                "constraints": [
                    models.UniqueConstraint(fields=["check_no", "day", "agent"], name="sla_rate_once"),
                ],
            },
        ),
        migrations.RemoveConstraint("check", "sla_check_kind"),
        migrations.AddConstraint("check", models.CheckConstraint(condition=Q(kind__in=KINDS), name="sla_check_kind")),
        migrations.AddField(
            "agreement", "made_of", models.CharField(blank=True, db_default="", default="", max_length=500)
        ),
        migrations.AddField("measure", "so_far", models.BooleanField(db_default=False, default=False)),
        migrations.RunSQL(REFUSE, ALLOW),
        migrations.RunSQL(WHOLE, UNWHOLE),
    ]
