"""Settings from the environment: typed, validated, and documented where they are read.

A value that is not of its type stops the start with one clear line. A secret may come from a file named by NAME_FILE,
as container platforms provide them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from drift.redis_servers import check_address


@dataclass(frozen=True)
class Setting:
    """One row of docs/settings.md. `default` is None if the setting is required."""

    name: str
    kind: str
    default: str | None
    help: str
    secret: bool = False


_PACKAGE: Final = Path(__file__).resolve().parent
PAGE_FILES: Final = _PACKAGE.parent if (_PACKAGE.parent / "manage.py").exists() else _PACKAGE
"""Has `templates` and `static`: the checkout, or in an installed wheel the package `portal`."""
ROLES: Final = ("reader", "operator", "admin", "owner")
"""The values of `accounts.roles.Role`, which cannot be imported before Django has its settings."""

FEWEST_CHARACTERS: Final = 16
"""Of a token: 64 bits where they are random hexadecimal digits, which nobody guesses over a network."""
MOST: Final = 1_000_000
MOST_DAYS: Final = 36_500
"""A hundred years: before the year 1 there are no times to count from."""

SETTINGS: dict[str, Setting] = {}
"""Every setting that was read, in order; docs/settings.md is generated from it."""


def _declare(setting: Setting) -> str | None:
    SETTINGS[setting.name] = setting
    value = os.environ.get(setting.name)
    file = os.environ.get(f"{setting.name}_FILE")
    if setting.secret and file:
        if value:
            raise ImproperlyConfigured(f"Both {setting.name} and {setting.name}_FILE are set; set one.")
        try:
            value = Path(file).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{setting.name}_FILE cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ImproperlyConfigured(f"{setting.name}_FILE is not text in UTF-8.") from None
        if not value:
            raise ImproperlyConfigured(f"{setting.name}_FILE is empty.")
    return value or setting.default


def string(name: str, default: str, help_: str) -> str:
    """Return a string setting."""
    return _declare(Setting(name, "string", default, help_)) or ""


def secret(name: str, help_: str) -> str:
    """Return a required string that may come from NAME_FILE."""
    value = _declare(Setting(name, "string", None, help_, secret=True))
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set. `make run` and `make demo` set it for you; see docs/settings.md."
        )
    return value


def optional_secret(name: str, help_: str) -> str:
    """Return a string that may come from NAME_FILE; empty if it is not set."""
    return _declare(Setting(name, "string", "", help_, secret=True)) or ""


def bearer_token(name: str, help_: str) -> str:
    """Return a token that may come from NAME_FILE; empty if it is not set. One that could be guessed is rejected."""
    value = optional_secret(name, help_)
    if value and not (len(value) >= FEWEST_CHARACTERS and all("!" <= each <= "~" for each in value)):
        raise ImproperlyConfigured(
            f"{name} must have at least {FEWEST_CHARACTERS} characters, of ASCII and without spaces;"
            " `openssl rand -hex 32` makes one."
        )
    return value


def boolean(name: str, *, default: bool, help_: str) -> bool:
    """Return a boolean: true/1/yes/on or false/0/no/off; anything else is rejected."""
    value = (_declare(Setting(name, "boolean", str(default).lower(), help_)) or "").lower()
    if value in {"true", "1", "yes", "on"}:
        return True
    if value in {"false", "0", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def integer(name: str, default: int, help_: str, *, minimum: int = 0, maximum: int = MOST) -> int:
    """Return an integer from `minimum` to `maximum`, of days to a hundred years."""
    value = _declare(Setting(name, "integer", str(default), help_)) or ""
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be an integer, not {value!r}.") from None
    if number < minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}, not {number}.")
    most = min(maximum, MOST_DAYS) if name.endswith("_DAYS") else maximum
    if number > most:
        raise ImproperlyConfigured(f"{name} must be at most {most}, not {number}.")
    return number


def choice(name: str, choices: tuple[str, ...], default: str, help_: str) -> str:
    """Return one of `choices`; anything else is rejected."""
    value = (_declare(Setting(name, "string", default, help_)) or "").lower()
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def days_or_zero(name: str, default: int, help_: str, *, minimum: int) -> int:
    """Return a number of days of at least `minimum`, or 0 for no limit."""
    days = integer(name, default, help_)
    if 0 < days < minimum:
        raise ImproperlyConfigured(f"{name} must be 0 or at least {minimum}, not {days}.")
    return days


def names(name: str, default: str, help_: str) -> list[str]:
    """Return the parts of a comma-separated list, without empty ones."""
    value = _declare(Setting(name, "list", default, help_)) or ""
    return [part.strip() for part in value.split(",") if part.strip()]


def address_templates(name: str, placeholder: str, help_: str) -> list[tuple[str, str]]:
    """Return (host, template) of a comma-separated list of https addresses with `placeholder` behind their host."""
    found = []
    for template in names(name, "", help_):
        parts = urlsplit(template)
        place = template.find(placeholder)
        behind_host = len(f"https://{parts.netloc}/")
        if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or place < behind_host:
            raise ImproperlyConfigured(
                f"{name}: {template!r} must be https://HOST/… with {placeholder} behind the host."
            )
        found.append((parts.hostname, template))
    return found


def environment(name: str, value: str) -> tuple[str, str]:
    """Return the cloud and account of `azure:ACCOUNT`, a part of the list `name`; anything else is rejected."""
    cloud, _, account = value.partition(":")
    if cloud not in {"azure", "aws", "gcp"} or not account:
        raise ImproperlyConfigured(f"{name}: {value!r} must be azure:ACCOUNT, aws:ACCOUNT or gcp:ACCOUNT.")
    return cloud, account


def roles(name: str, help_: str) -> list[str]:
    """Return the roles of a comma-separated list; an unknown role is rejected."""
    found = names(name, "", help_)
    if unknown := [role for role in found if role not in ROLES]:
        raise ImproperlyConfigured(f"{name} names {unknown[0]!r}, which is not one of {', '.join(ROLES)}.")
    return found


def pairs(name: str, help_: str, values: tuple[str, ...] = ()) -> dict[str, str]:
    """Return `key=value;key=value` as a dictionary. The last = separates: keys may be the names of LDAP entries.

    With `values`, any other value is rejected.
    """
    found = {}
    for part in (_declare(Setting(name, "pairs", "", help_)) or "").split(";"):
        key, separator, value = (each.strip() for each in part.rpartition("="))
        if not separator and not value:
            continue
        if not key or not value or (values and value not in values):
            allowed = f" with one of {', '.join(values)}" if values else ""
            raise ImproperlyConfigured(f"{name}: {part.strip()!r} must be group=value{allowed}.")
        found[key] = value
    return found


def issuer(name: str, help_: str) -> str:
    """Return the URL of an OpenID Connect issuer: https, or http on this machine."""
    value = string(name, "", help_)
    parts = urlsplit(value)
    is_local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if value and not (parts.hostname and (parts.scheme == "https" or is_local)):
        raise ImproperlyConfigured(f"{name} must be an https:// URL, not {value!r}.")
    return value


def web_address(name: str, default: str, help_: str) -> str:
    """Return the http:// or https:// URL of a server."""
    value = string(name, default, help_)
    try:
        parts = urlsplit(value)
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ImproperlyConfigured(f"{name} must be an http:// or https:// URL, not {value!r}.")
    return value


def redis_address() -> str:
    """Return REDIS_URL, which may hold a password: an error does not show it."""
    value = secret(
        "REDIS_URL",
        "Redis 7 or Valkey 8: redis://[:password@]host:port/0 or unix:///path; with Sentinels"
        " redis+sentinel://[:password@]host:port,host:port/SERVICE.",
    )
    try:
        check_address(value)
    except ValueError:
        raise ImproperlyConfigured(
            "REDIS_URL must be redis://, rediss:// or unix://, with a host and a port or a path,"
            " or redis+sentinel://host:port,host:port/SERVICE."
        ) from None
    return value


ONLY_WHEN_ASKED: Final = 2**62
"""Executions after which psycopg prepares a statement by itself."""
VANISHED: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "20000",
}
"""libpq notices within about 20 s that a server, or the network to it, has vanished; the kernel's own times are 15
minutes and two hours, in which all threads would wait. A URL may set others."""
VANISHED_CLIENT: Final = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=2 -c tcp_user_timeout=20000"
)
"""The same for the server: the locks of a client that vanished hold up everybody else's statements."""

VERIFYING: Final = ("verify-ca", "verify-full")
"""libpq's modes that verify the server's certificate."""
SYSTEM_AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
)


def _authorities() -> str:
    """Return the file of the authorities that connections to PostgreSQL trust; "" where libpq has one of its own.

    Its default is a file in the user's home, which a container lacks. It knows neither SSL_CERT_FILE nor, in psycopg's
    wheel, where the system has its authorities.
    """
    own = Path(os.environ.get("HOME") or "/") / ".postgresql/root.crt"
    if os.environ.get("PGSSLROOTCERT") or own.exists():
        return ""
    given = os.environ.get("SSL_CERT_FILE")
    return given or next((place for place in SYSTEM_AUTHORITIES if Path(place).exists()), "")


def database(name: str, url: str, *, is_pooled: bool = False) -> dict[str, object]:
    """Return Django's settings of the PostgreSQL URL that is the setting `name`.

    psycopg parses it, so every libpq form works. It may hold a password: an error does not show it. `is_pooled`: no
    statement is prepared and no cursor outlives its transaction, since the next one may be another connection's.
    """
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        raise ImproperlyConfigured(f"{name} must be postgresql://user:password@host:port/name.") from None
    known = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    options = {**VANISHED, **{key: value for key, value in parts.items() if key not in known}}
    if options.get("sslmode") in VERIFYING and "sslrootcert" not in options and (trusted := _authorities()):
        options["sslrootcert"] = trusted
    if not is_pooled:  # a pooler refuses what it does not know, and has keep-alives of its own
        options["options"] = f"{VANISHED_CLIENT} {options.get('options', '')}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{name: str(parts.get(key) or "") for key, name in known.items()},
        "CONN_MAX_AGE": 0,
        "DISABLE_SERVER_SIDE_CURSORS": is_pooled,
        # Django's default is None, with which psycopg ignores `prepare=True` too.
        "OPTIONS": {**options, "prepare_threshold": None if is_pooled else ONLY_WHEN_ASKED},
    }


def log_options() -> tuple[str, str, bool]:
    """Return the level, the format (`text` or `json`), and whether requests are logged: the same for every process."""
    level = choice("LOG_LEVEL", ("debug", "info", "warning", "error"), "INFO", "DEBUG, INFO, WARNING or ERROR.")
    form = choice("LOG_FORMAT", ("text", "json"), "text", "Form of a log record: one line of `text`, or one of `json`.")
    access = boolean("ACCESS_LOG", default=False, help_="Log each request: its route, status, time and caller.")
    return level.upper(), form, access


def trusted_proxies() -> int:
    """Return how many proxies of ours are in front of the process."""
    return integer(
        "TRUSTED_PROXIES",
        0,
        "Number of your own proxies in front of the portal: the client's address is that many entries from the right.",
    )
