"""A bill that was received late is due later than is printed: from which day."""

from django.db import migrations, models

FORWARD = """
DROP TRIGGER unreceived_ends ON arrears_unreceived;
CREATE TRIGGER unreceived_ends BEFORE UPDATE ON arrears_unreceived FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('until,due_on', '');
"""
BACKWARD = """
DROP TRIGGER unreceived_ends ON arrears_unreceived;
CREATE TRIGGER unreceived_ends BEFORE UPDATE ON arrears_unreceived FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('until', '');
"""


class Migration(migrations.Migration):
    dependencies = [("arrears", "0004_what_acts_did_is_kept")]

    operations = [
        migrations.AddField("unreceived", "due_on", models.DateField(null=True)),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
