"""The issuer's groups reactivate only accounts that they themselves deactivated last.

A link keeps that its account was ended by groups, and until now kept it when an Owner reactivated and deactivated that
account since. The audit log tells who decided last; where its entries have expired, an Owner decides again.
"""

from django.db import migrations

FORGET = """
UPDATE socialaccount_socialaccount AS link SET extra_data = '{}'
FROM accounts_user AS account
WHERE account.id = link.user_id AND NOT account.is_active AND link.extra_data ->> 'denied' = 'true'
AND COALESCE((
    SELECT entry.verb FROM accounts_auditentry AS entry
    WHERE entry.object_type = 'user' AND entry.object_id = account.id::text
    AND entry.before -> 'is_active' <> entry.after -> 'is_active'
    ORDER BY entry.id DESC LIMIT 1
), '') <> 'deactivated'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0011_kubernetes_audit_scope"),
        ("socialaccount", "0006_alter_socialaccount_extra_data"),
    ]

    operations = [migrations.RunSQL(FORGET, migrations.RunSQL.noop)]
