"""A constraint, not yet validated."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("probe", "0003_index")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE alerts_driftevent ADD CONSTRAINT probe_short CHECK (length(probe) < 9) NOT VALID"
        )
    ]
