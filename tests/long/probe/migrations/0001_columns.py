"""New columns of the two largest tables."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("alerts", "0001_initial")]
    operations = [
        migrations.RunSQL("ALTER TABLE alerts_driftevent ADD COLUMN probe text NULL"),
        migrations.RunSQL("ALTER TABLE alerts_alert ADD COLUMN probe integer NULL"),
    ]
