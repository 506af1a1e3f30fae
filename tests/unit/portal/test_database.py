"""The settings of a web process's database connections."""

from __future__ import annotations

import os
import subprocess
import sys

ASK = """
import django
django.setup()
from django.db import OperationalError, connection
with connection.cursor() as cursor:
    cursor.execute("SHOW statement_timeout")
    print(cursor.fetchone()[0])
    try:
        cursor.execute("SELECT pg_sleep(60)")
    except OperationalError as error:
        print(type(error.__cause__).__name__)
from django.db import connections
connections["default"].close_pool()
"""


def test_a_web_process_has_a_statement_timeout() -> None:
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_POOL": "2",
        "WEB_STATEMENT_SECONDS": "1",
    }
    done = subprocess.run([sys.executable, "-c", ASK], env=env, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["1s", "QueryCanceled"]
