"""What runs: pools armed as one, where every allowance stands as last looked at, and people to be called."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = r"""
ALTER TABLE overage_armed ALTER COLUMN charge TYPE varchar(200);
ALTER TABLE overage_armed ADD COLUMN pool varchar(200) NOT NULL DEFAULT '';
CREATE TABLE overage_armed_pool (
  account_id bigint NOT NULL,
  pool varchar(200) NOT NULL,
  start timestamptz NOT NULL,
  until timestamptz NOT NULL,
  series bigint[] NOT NULL,
  direction varchar(20) NOT NULL,
  next_at numeric,
  PRIMARY KEY (account_id, pool),
  CHECK (until > start)
);
CREATE TABLE overage_standing (
  account_id bigint NOT NULL,
  meter varchar(200) NOT NULL,
  kind varchar(10) NOT NULL CHECK (kind IN ('charge', 'pool', 'port', 'level')),
  services bigint[] NOT NULL,
  period_name varchar(7) NOT NULL,
  until timestamptz NOT NULL,
  unit varchar(30) NOT NULL,
  used text NOT NULL,
  included text NOT NULL,
  stop_at text NOT NULL,
  stop_why varchar(20) NOT NULL,
  share numeric NOT NULL,
  minutes_left integer,
  cost bigint NOT NULL,
  currency varchar(3) NOT NULL,
  passes_at timestamptz,
  stopped boolean NOT NULL,
  told boolean NOT NULL,
  delivered boolean NOT NULL,
  acknowledged boolean NOT NULL,
  judged_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, meter)
);
CREATE INDEX standing_by_share ON overage_standing (share DESC);
"""
BACK = """
DROP TABLE overage_standing;
DROP TABLE overage_armed_pool;
DELETE FROM overage_armed WHERE length(charge) > 60;
ALTER TABLE overage_armed DROP COLUMN pool;
ALTER TABLE overage_armed ALTER COLUMN charge TYPE varchar(60);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0001_initial"),
        ("overage", "0005_settlement_facts"),
    ]

    operations = [
        migrations.RunSQL(FORWARD, BACK),
        migrations.CreateModel(
            name="PhoneTask",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("meter", models.CharField(max_length=200)),
                ("service", models.BigIntegerField()),
                ("charge", models.CharField(max_length=200)),
                ("period_name", models.CharField(max_length=7)),
                ("why", models.CharField(max_length=20)),
                ("opened_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("attempts", models.PositiveIntegerField(db_default=0, default=0)),
                ("last_attempt_at", models.DateTimeField(null=True)),
                ("closed_at", models.DateTimeField(null=True)),
                ("closed_by", models.CharField(blank=True, db_default="", default="", max_length=100)),
                ("outcome", models.CharField(blank=True, db_default="", default="", max_length=20)),
                ("note", models.TextField(blank=True, db_default="", default="")),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.account",
                    ),
                ),
            ],
            options={
                "db_table": "overage_phone_task",
                "indexes": [
                    models.Index(
                        condition=models.Q(("closed_at__isnull", True)), fields=["due_at"], name="phone_task_open"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("account", "meter", "period_name"), name="phone_task_once"),
                    models.CheckConstraint(
                        condition=models.Q(("why__in", ["unreached", "unanswered"])), name="phone_task_why"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closed_at__isnull", True), ("closed_by", "")),
                            models.Q(
                                ("closed_at__isnull", False),
                                ("outcome__in", ["reached", "answered", "over", "unreachable"]),
                                models.Q(("closed_by", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="phone_task_says_how",
                    ),
                ],
            },
        ),
    ]
