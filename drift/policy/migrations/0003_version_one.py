"""Version 1: the policy out of the box."""

from django.db import migrations

from sensor.policy import default_document, digest


def make_version_one(apps, schema_editor):
    document = default_document()
    version = apps.get_model("policy", "PolicyVersion")
    version.objects.create(number=1, document=document, digest=digest(document), comment="Out of the box")


class Migration(migrations.Migration):
    dependencies = [("policy", "0002_immutable_versions")]
    operations = [migrations.RunPython(make_version_one, migrations.RunPython.noop)]
