"""Whether a second factor is demanded; and the cache that all processes share, for limits on tries and used codes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("platform", "0005_webhooks")]

    operations = [
        migrations.CreateModel(
            name="SignInPolicy",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("second_factor", models.BooleanField(null=True)),
            ],
            options={
                "db_table": "platform_sign_in_policy",
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="sign_in_policy_is_one")],
            },
        ),
        # As Django's createcachetable makes it. Nothing in it is missed when it is lost, so it isn't logged either.
        migrations.RunSQL(
            [
                (
                    "CREATE UNLOGGED TABLE platform_cache (cache_key varchar(255) NOT NULL PRIMARY KEY,"
                    " value text NOT NULL, expires timestamptz NOT NULL)"
                ),
                "CREATE INDEX platform_cache_expires ON platform_cache (expires)",
            ],
            "DROP TABLE platform_cache",
        ),
    ]
