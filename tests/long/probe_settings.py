"""The portal's settings with an app of migrations as CONTRIBUTING.md prescribes them for large tables."""

from portal.settings import *  # noqa: F403 - what Django reads
from portal.settings import INSTALLED_APPS

INSTALLED_APPS += ["tests.long.probe"]
