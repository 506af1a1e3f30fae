"""In which session a file was written. A constant default: the rows, and portals of the previous version, do without."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0042_pod_entries")]

    operations = [
        migrations.AddField(
            model_name="provenance",
            name="written_in_session",
            field=models.CharField(blank=True, db_default="", max_length=16),
        ),
    ]
