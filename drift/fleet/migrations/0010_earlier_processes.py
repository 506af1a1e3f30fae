"""More than two processes that take turns are noticed. A constant default, so no row is written."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0009_proof_of_detection"),
    ]

    operations = [
        migrations.AddField(
            model_name="sensorstatus",
            name="earlier_runs",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=32), db_default=[], default=list, size=None
            ),
        ),
    ]
