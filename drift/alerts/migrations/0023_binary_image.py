"""The image that a binary is from, where it is of an image volume or another container.

A constant default leaves the rows alone; portals of the previous version go on storing binaries without it.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0022_index_of_places")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.AddField(
            model_name="binary",
            name="image_name",
            field=models.CharField(blank=True, db_default="", default="", max_length=1024),
        ),
        migrations.AddField(
            model_name="binary",
            name="image_digest",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
    ]
