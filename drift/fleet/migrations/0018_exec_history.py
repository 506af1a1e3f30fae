"""Whether sensors report what containers execute around their drift: a column with a constant default."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0017_blocking_reason"),
    ]

    operations = [
        migrations.AddField(
            model_name="environment",
            name="exec_history",
            field=models.BooleanField(db_default=True, default=True),
        ),
    ]
