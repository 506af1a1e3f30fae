from django.db import migrations

MOMENT = "SET LOCAL lock_timeout = '1s'"
"""Dropping a column takes a moment, but while it waits behind a long query every upload waits too: give up instead."""


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0003_list_indexes"),
    ]

    operations = [
        migrations.RunSQL(MOMENT, migrations.RunSQL.noop),
        migrations.RemoveField(model_name="alertdetail", name="trace"),
    ]
