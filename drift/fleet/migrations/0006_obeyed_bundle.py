"""Which bundle a sensor obeys, so that it shows who has heard of stopped blocking. Nullable: no row is written."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0005_key_rotation"),
    ]

    operations = [
        migrations.AddField(
            model_name="sensor",
            name="bundle_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
