"""One-time links to choose a password; they end with their account."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

END_LINKS = """
CREATE FUNCTION accounts_end_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM accounts_onetimelink WHERE user_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER link_ends_with_its_account AFTER UPDATE OF is_active ON accounts_user
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active) EXECUTE FUNCTION accounts_end_link();
"""
KEEP_LINKS = """
DROP TRIGGER link_ends_with_its_account ON accounts_user;
DROP FUNCTION accounts_end_link();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_sessions")]

    operations = [
        migrations.CreateModel(
            name="OneTimeLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField()),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="link", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.RunSQL(END_LINKS, KEEP_LINKS),
    ]
