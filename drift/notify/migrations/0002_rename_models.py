"""Rename three models; their tables keep their names, so that nothing is done in the database."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notify", "0001_initial")]
    # The table's name is fixed first: a rename of a model whose table stays the same leaves the database alone.
    operations = [
        migrations.AlterModelTable("Delivery", "notify_delivery"),
        migrations.AlterModelTable("Hold", "notify_hold"),
        migrations.AlterModelTable("Pending", "notify_pending"),
        migrations.RenameModel("Delivery", "NoticeDelivery"),
        migrations.RenameModel("Hold", "NoticeHold"),
        migrations.RenameModel("Pending", "PendingNotice"),
    ]
