"""Remove what is left of clear addresses in the table's file, where PostgreSQL keeps old rows until it vacuums."""

from django.db import migrations


class Migration(migrations.Migration):
    # VACUUM runs in no transaction.
    atomic = False
    dependencies = [("notify", "0007_sealed_addresses")]
    operations = [
        migrations.RunSQL(
            ["SET lock_timeout = '1s'", "VACUUM (FULL) notify_webhook", "RESET lock_timeout"], migrations.RunSQL.noop
        )
    ]
