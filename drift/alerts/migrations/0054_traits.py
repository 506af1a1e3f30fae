"""The traits of alerts: nullable columns, added without a rewrite."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0053_rescore_by_lineages")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.AddField("alert", "name_trait", models.UUIDField(null=True)),
        migrations.AddField("alert", "command_trait", models.UUIDField(null=True)),
        migrations.AddField("alert", "place_trait", models.UUIDField(null=True)),
    ]
