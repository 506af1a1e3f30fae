import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_append_only_audit"),
        ("fleet", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="apitoken",
            name="is_scoped",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="user",
            name="is_scoped",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.CreateModel(
            name="ScopeGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("whole_estate", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "members",
                    models.ManyToManyField(blank=True, related_name="scope_groups", to=settings.AUTH_USER_MODEL),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="ScopeEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("namespace", models.CharField(blank=True, max_length=256)),
                (
                    "cluster",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="fleet.cluster"
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="fleet.environment"
                    ),
                ),
                (
                    "token",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="scope_entries",
                        to="accounts.apitoken",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="scope_entries",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="entries",
                        to="accounts.scopegroup",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "scope entries",
                "ordering": ["pk"],
            },
        ),
        migrations.AddConstraint(
            model_name="scopegroup",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("name"), name="one_scope_group_per_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="scopeentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("group__isnull", True), ("token__isnull", True), ("user__isnull", False)),
                    models.Q(("group__isnull", False), ("token__isnull", True), ("user__isnull", True)),
                    models.Q(("group__isnull", True), ("token__isnull", False), ("user__isnull", True)),
                    _connector="OR",
                ),
                name="scope_entry_has_one_holder",
            ),
        ),
        migrations.AddConstraint(
            model_name="scopeentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("environment", None), ("cluster", None), _connector="OR"),
                name="scope_entry_is_one_place",
            ),
        ),
        migrations.AddConstraint(
            model_name="scopeentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("environment__isnull", False),
                    ("cluster__isnull", False),
                    models.Q(("namespace", ""), _negated=True),
                    _connector="OR",
                ),
                name="scope_entry_is_not_the_estate",
            ),
        ),
        migrations.AddConstraint(
            model_name="scopeentry",
            constraint=models.UniqueConstraint(
                fields=("user", "group", "token", "environment", "cluster", "namespace"),
                name="one_scope_entry_each",
                nulls_distinct=False,
            ),
        ),
    ]
