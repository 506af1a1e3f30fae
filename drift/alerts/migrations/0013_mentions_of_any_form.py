"""No comment is rejected for the form of its mentions: anything but a list of user ids mentions nobody.

Replacing a function locks no table, and every later comment uses the new one.
"""

from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION alerts_note_mentions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alerts_alertmention (user_id, alert_id)
    SELECT accounts_user.id, NEW.alert_id
    FROM {mentioned}
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
"""
BEFORE = FUNCTION.format(
    mentioned="""jsonb_array_elements_text(NEW.after -> 'mentions') AS mentioned (id)
    JOIN accounts_user ON accounts_user.id = mentioned.id::bigint"""
)
NOW = FUNCTION.format(
    mentioned="""jsonb_path_query(NEW.after, 'lax $.mentions[*] ? (@.type() == "number")') AS mentioned (id)
    JOIN accounts_user ON to_jsonb(accounts_user.id) = mentioned.id"""
)


class Migration(migrations.Migration):
    dependencies = [("alerts", "0012_alert_minutes")]

    operations = [migrations.RunSQL(NOW, BEFORE)]
