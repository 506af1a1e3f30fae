"""Which processes spoke with a sensor's credential. Constant defaults, so no row is written."""

import datetime as dt

from django.db import migrations, models

LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0006_obeyed_bundle"),
    ]

    operations = [
        migrations.AddField(
            model_name="sensorstatus",
            name="run_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=32),
        ),
        migrations.AddField(
            model_name="sensorstatus",
            name="run_at",
            field=models.DateTimeField(db_default=LONG_AGO, default=LONG_AGO),
        ),
        migrations.AddField(
            model_name="sensorstatus",
            name="previous_run",
            field=models.CharField(blank=True, db_default="", default="", max_length=32),
        ),
        migrations.AddField(
            model_name="sensorstatus",
            name="returns",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="sensorstatus",
            name="returned_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
