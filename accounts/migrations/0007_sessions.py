"""Sessions are stored by the digest of their key, and end with their account.

Sessions of Django's own table, whose rows hold live keys, are ended: everybody signs in once more.
"""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

END_OLD_SESSIONS = """
DO $$
BEGIN
    IF to_regclass('django_session') IS NOT NULL THEN
        -- Not dropped: portals of the previous version still use it until they are replaced.
        DELETE FROM django_session;
    END IF;
END $$
"""
END_SESSIONS = """
CREATE FUNCTION accounts_end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM accounts_session WHERE user_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER sessions_end_with_their_account AFTER UPDATE OF is_active ON accounts_user
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active) EXECUTE FUNCTION accounts_end_sessions();
"""
KEEP_SESSIONS = """
DROP TRIGGER sessions_end_with_their_account ON accounts_user;
DROP FUNCTION accounts_end_sessions();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_token_creator")]

    operations = [
        migrations.CreateModel(
            name="Session",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("data", models.TextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("address", models.GenericIPAddressField(null=True)),
                ("agent", models.CharField(blank=True, max_length=200)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(END_OLD_SESSIONS, migrations.RunSQL.noop),
        migrations.RunSQL(END_SESSIONS, KEEP_SESSIONS),
    ]
