"""Node, writer and parent process of an alert, for filters. NULL in the alerts that exist: the next migration.

Adding a column takes a moment, but every upload would wait while it waits behind a long query: then run it again.
"""

from django.db import migrations, models

COLUMNS = ("node", "writer", "parent")


class Migration(migrations.Migration):
    dependencies = [("alerts", "0023_binary_image")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        *(migrations.AddField("alert", name, models.CharField(max_length=256, null=True)) for name in COLUMNS),
    ]
