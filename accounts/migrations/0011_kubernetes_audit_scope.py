"""Tokens may have the scope of Kubernetes audit lines."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_sealing_guards"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="apitoken",
            name="token_scopes_are_known",
        ),
        migrations.AddConstraint(
            model_name="apitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "scopes__contained_by",
                        ["read", "triage", "propose", "policy", "fleet", "admin", "kubernetes-audit"],
                    )
                ),
                name="token_scopes_are_known",
            ),
        ),
    ]
