"""Since when conditions hold."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="ConditionStart",
            fields=[
                ("code", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("began_at", models.DateTimeField()),
            ],
        ),
    ]
