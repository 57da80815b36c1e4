"""Armed counters: the next position at which each controlled charge must be looked at; and how far we looked."""

from django.db import migrations

FORWARD = r"""
CREATE TABLE overage_armed (
  service_id bigint NOT NULL REFERENCES services_service (id) ON DELETE CASCADE,
  charge varchar(60) NOT NULL,
  account_id bigint NOT NULL,
  start timestamptz NOT NULL,
  until timestamptz NOT NULL,
  series bigint[] NOT NULL,
  direction varchar(20) NOT NULL,
  next_at numeric,
  PRIMARY KEY (service_id, charge),
  CHECK (until > start)
);
CREATE INDEX armed_by_end ON overage_armed (until);
CREATE TABLE overage_watched (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  revision bigint NOT NULL,
  at timestamptz NOT NULL
);
"""
BACK = "DROP TABLE overage_watched; DROP TABLE overage_armed;"


class Migration(migrations.Migration):
    dependencies = [
        ("overage", "0002_guards"),
        ("services", "0001_initial"),
    ]

    operations = [migrations.RunSQL(FORWARD, BACK)]
