"""Mentions by user. From here on a trigger records them, whichever version of the portal stores the comment."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

NOTE = """
CREATE FUNCTION alerts_note_mentions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alerts_alertmention (user_id, alert_id)
    SELECT accounts_user.id, NEW.alert_id
    FROM jsonb_array_elements_text(NEW.after -> 'mentions') AS mentioned (id)
    JOIN accounts_user ON accounts_user.id = mentioned.id::bigint
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER comment_mentions AFTER INSERT ON alerts_alertactivity FOR EACH ROW
    WHEN (NEW.kind = 'comment') EXECUTE FUNCTION alerts_note_mentions();
"""
DROP = """
DROP TRIGGER comment_mentions ON alerts_alertactivity;
DROP FUNCTION alerts_note_mentions();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0009_list_orders"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AlertMention",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "user_id", "alert_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "alert",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="mentions", to="alerts.alert"
                    ),
                ),
            ],
        ),
        migrations.RunSQL(NOTE, DROP),
    ]
