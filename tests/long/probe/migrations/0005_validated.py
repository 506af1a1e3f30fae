"""The constraint, validated: it reads the table, and locks out nobody."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("probe", "0004_constraint")]
    operations = [migrations.RunSQL("ALTER TABLE alerts_driftevent VALIDATE CONSTRAINT probe_short")]
