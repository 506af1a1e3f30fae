"""All ephemeral containers that a request names, and when a suppression rule was reviewed: no row is rewritten."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0048_rescore_by_starters")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.AddField("podentry", "ephemeral_containers", models.JSONField(db_default=[], default=list)),
        migrations.AddField("suppressionrule", "reviewed_at", models.DateTimeField(null=True)),
    ]
