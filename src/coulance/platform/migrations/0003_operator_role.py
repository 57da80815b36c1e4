"""Operators have a role. Those there are ran everything so far, and go on doing so; later ones start by looking."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("platform", "0002_audit_append_only")]

    operations = [
        migrations.AddField(
            model_name="operator",
            name="role",
            field=models.TextField(default="viewer", db_default="viewer"),
        ),
        migrations.RunSQL("UPDATE platform_operator SET role = 'admin' WHERE is_staff", migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="operator",
            constraint=models.CheckConstraint(
                condition=models.Q(role__in=["viewer", "support", "billing", "operations", "admin"]),
                name="operator_has_known_role",
            ),
        ),
    ]
