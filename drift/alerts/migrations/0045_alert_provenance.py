"""Session, writer's session and writer's origin of an alert, for filters. NULL in the alerts that exist.

Adding a column takes a moment, but every upload would wait while it waits behind a long query: then run it again.
"""

from django.db import migrations, models

COLUMNS = ("session", "writer_session", "writer_origin")


class Migration(migrations.Migration):
    dependencies = [("alerts", "0044_routed_alerts")]

    operations = [
        *(migrations.AddField("alert", name, models.CharField(max_length=16, null=True)) for name in COLUMNS),
    ]
