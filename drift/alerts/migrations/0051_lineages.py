"""The lineage of alerts: a nullable column, added without a rewrite."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0050_attacks_of_binary")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.AddField("alert", "lineage", models.UUIDField(null=True)),
    ]
