"""Addresses of webhooks are encrypted under SECRET_KEY. The table has at most a few dozen rows.

The column `url` is emptied and stays for one more release, because portals of the previous version read it.
"""

import base64
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import migrations, models


def fernet():
    derived = HKDF(SHA256(), 32, salt=None, info=b"driftwatch webhook addresses").derive(settings.SECRET_KEY.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def masked(url):
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    return origin if parts.path in ("", "/") and not parts.query else f"{origin}…"


def seal(apps, schema_editor):
    rows = apps.get_model("notify", "Webhook").objects
    for row in rows.select_for_update():
        sealed_url = fernet().encrypt(row.url.encode())
        rows.filter(pk=row.pk).update(sealed_url=sealed_url, masked_url=masked(row.url), url="")


def unseal(apps, schema_editor):
    rows = apps.get_model("notify", "Webhook").objects
    for row in rows.select_for_update():
        try:
            url = fernet().decrypt(bytes(row.sealed_url)).decode()
        except InvalidToken:
            # SECRET_KEY has changed since: as with its secret, the webhook must be added again.
            continue
        rows.filter(pk=row.pk).update(url=url)


class Migration(migrations.Migration):
    dependencies = [("notify", "0006_valid_notice_kinds")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", "SET LOCAL lock_timeout = '1s'"),
        migrations.AlterField("webhook", "url", models.URLField(max_length=1_024, default="", db_default="")),
        migrations.AddField("webhook", "sealed_url", models.BinaryField(null=True)),
        migrations.AddField("webhook", "masked_url", models.CharField(max_length=1_040, default="", db_default="")),
        migrations.RunPython(seal, unseal),
        migrations.AlterField("webhook", "sealed_url", models.BinaryField()),
        migrations.AlterField("webhook", "masked_url", models.CharField(max_length=1_040)),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("webhook", "url")]),
    ]
