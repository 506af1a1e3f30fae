"""Check the kinds of existing notices."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("notify", "0009_alert_routes")]
    operations: ClassVar = [ValidateConstraint("notice", "notice_kind_is_known")]
