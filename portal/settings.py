"""Django settings. Those of operators are read by `portal.config` and listed in docs/settings.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from portal import config, content_security, rest_settings
from portal.log_settings import log_settings
from portal.retention_settings import *  # noqa: F403 - Django reads its settings from this module
from portal.sign_in_settings import *  # noqa: F403 - Django reads its settings from this module
from sensor.version import VERSION

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = config.secret(
    "SECRET_KEY", "Signs sessions, keys token digests, and encrypts webhook secrets and the policy signing key."
)
_FALLBACK = config.optional_secret(
    "SECRET_KEY_FALLBACK",
    "The SECRET_KEY before this one, while `manage.py rotate_secret_key` has not ended; else empty.",
)
SECRET_KEY_FALLBACKS = [_FALLBACK] if _FALLBACK else []
DEBUG = config.boolean("DEBUG", default=False, help_="Show tracebacks on error pages. Never in production.")
PUBLIC_URL = config.web_address(
    "PUBLIC_URL", "http://127.0.0.1:8000", "The URL at which users and sensors reach the portal."
).rstrip("/")
STREAM_URL = config.web_address(
    "STREAM_URL", "http://127.0.0.1:8001/stream", "The URL at which sensors reach the push gateway."
)
ALLOWED_HOSTS = [
    *config.names("ALLOWED_HOSTS", urlsplit(PUBLIC_URL).hostname or "", "Host names that the portal responds to."),
    # For readiness probes and sensors on this machine. Safe: no other site can make a browser send these as its Host.
    "127.0.0.1",
    "localhost",
]
TRUST_FORWARDED_PROTO = config.boolean(
    "TRUST_FORWARDED_PROTO", default=False, help_="Trust X-Forwarded-Proto. Only behind a proxy that sets it."
)
TRUSTED_PROXIES = config.trusted_proxies()
BUNDLE_VALID_DAYS = config.integer("BUNDLE_VALID_DAYS", 7, "Days after which a policy bundle expires.", minimum=2)
NEW_ALERTS_PER_CONTAINER = config.integer(
    "NEW_ALERTS_PER_CONTAINER",
    250,
    "Alerts that one container may open in an hour; further new files are counted in one alert.",
    minimum=1,
)
NEW_ALERTS_PER_SENSOR = config.integer(
    "NEW_ALERTS_PER_SENSOR",
    1_000,
    "Alerts that one sensor may open in an hour; the second half is kept for each container's first ten.",
    minimum=2,
)
SENSOR_ASKS_PER_SECOND = config.integer(
    "SENSOR_ASKS_PER_SECOND",
    500,
    "Maximum sensors per second that fetch a new version. Raise it with the number of web processes.",
    minimum=1,
)
SENSOR_RETIRED_AFTER_HOURS = config.integer(
    "SENSOR_RETIRED_AFTER_HOURS", 24, "Hours without contact after which a sensor is retired.", minimum=1
)
LOG_LEVEL, LOG_FORMAT, ACCESS_LOG = config.log_options()
AUDIT_HEAD_FILE = config.string("AUDIT_HEAD_FILE", "", "File to which the audit log's head is appended every hour.")
SECURE_COOKIES = PUBLIC_URL.startswith("https://")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "rest_framework",
    "template_partials",
    "accounts",
    "drift.notify",
    "drift.policy",
    "drift.fleet",
    "drift.alerts",
    "drift.siem",
    "drift.backtest",
    "drift.health",
    "portal",
]

MIDDLEWARE = [
    "portal.metrics.requests.MetricsMiddleware",
    "accounts.request_middleware.RequestContextMiddleware",
    "portal.access_log.AccessLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",  # before static files, which carry it too
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.response_headers.NoStoreMiddleware",
    "accounts.middleware.SessionActivityMiddleware",
    "accounts.middleware.CommonMiddlewareOfPages",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.BearerTokenMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.access_middleware.AccessMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",  # after the permission table: it parses the body of a form
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.visible_pages.VisiblePagesMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [config.PAGE_FILES / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["drift.web.url_tag"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "drift.health.views.health.banner_context",
            ],
        },
    }
]


_POOLED = config.boolean(
    "DATABASE_POOLER",
    default=False,
    help_="DATABASE_URL leads to a pooler that shares connections between transactions, such as PgBouncer.",
)
DATABASES = {
    "default": config.database(
        "DATABASE_URL",
        config.secret("DATABASE_URL", "PostgreSQL 14 or newer: postgresql://user:password@host/name."),
        is_pooled=_POOLED,
    )
}
_OWNER_URL = config.optional_secret(
    "MIGRATION_DATABASE_URL",
    "The same database as the owner of its tables, for migrations and erasure; empty: DATABASE_URL's role owns them.",
)
DATABASE_OWNER = config.database("MIGRATION_DATABASE_URL", _OWNER_URL) if _OWNER_URL else None
if DATABASE_OWNER and DATABASE_OWNER["NAME"] != DATABASES["default"]["NAME"]:
    raise ImproperlyConfigured("MIGRATION_DATABASE_URL and DATABASE_URL must name the same database.")
DATABASE_POOL = config.integer("DATABASE_POOL", 0, "Size of each web process's connection pool; 0: no pool.")
WEB_STATEMENT_SECONDS = config.integer(
    "WEB_STATEMENT_SECONDS", 30, "Statement timeout of web processes, in seconds; 0: none."
)
WEB_THREADS = config.integer("WEB_THREADS", 8, "Threads of each web process.", minimum=1)
if DATABASE_POOL:
    # Only threaded web processes set it: forked workers must not inherit a pool, and their statements may take longer.
    given: dict[str, Any] = DATABASES["default"]["OPTIONS"]  # type: ignore[assignment]
    # Without it eight slow queries would occupy all threads of a web process. A pooler sets it itself.
    limit = {} if _POOLED else {"options": f"{given['options']} -c statement_timeout={WEB_STATEMENT_SECONDS}s"}
    DATABASES["default"]["OPTIONS"] = {
        **given,
        **limit,
        # While the database is down a request holds its thread for `timeout` at most. The pool doubles the pause
        # between its attempts until `reconnect_timeout`, then starts over: so it reconnects soon after a restart.
        "pool": {"min_size": 1, "max_size": DATABASE_POOL, "timeout": 3, "reconnect_timeout": 5},
    }

# A copy: while a command connects as the owner, DATABASES names the owner (accounts.database_roles).
DATABASE_PORTAL = dict(DATABASES["default"])

METRICS_TOKEN = config.bearer_token(
    "METRICS_TOKEN",
    "Bearer token of at least 16 characters with which Prometheus reads /metrics; empty: there are no metrics.",
)
ALIVE_FILE = config.string(
    "ALIVE_FILE",
    "",
    "File that worker and beat touch every 3 s unless their loop hangs, for a liveness probe; empty: none.",
)
# What health compares: a database server's disk cannot be seen from here.
DATABASE_DISK_GIB = config.integer(
    "DATABASE_DISK_GIB", 0, "Size of the database server's disk, in GiB: health warns at 80 %; 0: not checked."
)
DISK_PATHS = config.names(
    "DISK_PATHS", "", "Directories whose file systems health checks for 10 % free space; empty: none."
)
PORTAL_VERSION = VERSION

REDIS_URL = config.redis_address()
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": [REDIS_URL],  # a list: Django splits a string at the commas between Sentinels
        "KEY_PREFIX": "driftwatch",
        "OPTIONS": {
            "pool_class": "drift.redis_servers.ConnectionPool",
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
            "serializer": "portal.cache_values.JsonValues",
        },
    }
}

# Without a host no email is sent, and the page of notifications shows that.
HASH_LOOKUP_URLS = config.address_templates(
    "HASH_LOOKUP_URLS",
    "{sha256}",
    "Sites that an alert's page links to with the SHA-256 of its file, such as"
    " `https://www.virustotal.com/gui/file/{sha256}`; empty: none.",
)
EMAIL_HOST = config.string("EMAIL_HOST", "", "Mail server for notifications; empty: no email is sent.")
EMAIL_PORT = config.integer("EMAIL_PORT", 587, "Port of the mail server.", minimum=1, maximum=65535)
EMAIL_HOST_USER = config.string("EMAIL_HOST_USER", "", "User name at the mail server; empty: no authentication.")
EMAIL_HOST_PASSWORD = config.optional_secret("EMAIL_HOST_PASSWORD", "Password of EMAIL_HOST_USER.")
EMAIL_USE_SSL = EMAIL_PORT == 465
EMAIL_USE_TLS = not EMAIL_USE_SSL and config.boolean(
    "EMAIL_USE_TLS", default=True, help_="Use STARTTLS. Port 465 always uses TLS from the start."
)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = config.string("EMAIL_FROM", "driftwatch@localhost", "Sender address of notifications.")
# Not on a page: whoever could switch it off there alone would need no second person.
SECOND_APPROVER = config.choice(
    "SECOND_APPROVER",
    ("none", "blocking", "all"),
    "none",
    "Policy changes that a second Security Admin must accept: none, those of what is blocked (`blocking`), or `all`.",
)
SECOND_APPROVER_ENVIRONMENTS = [
    config.environment("SECOND_APPROVER_ENVIRONMENTS", value)
    for value in config.names(
        "SECOND_APPROVER_ENVIRONMENTS",
        "",
        "Environments whose rules need the second approver, as `azure:ACCOUNT`; empty: all.",
    )
]
SENSOR_FILES = config.PAGE_FILES / "deploy"
SENSOR_IMAGE = config.string(
    "SENSOR_IMAGE",
    "",
    "The sensor's image that the onboarding page names, as `registry.example/driftwatch-sensor:0.2.0`.",
)
SENSOR_PACKAGE = config.string(
    "SENSOR_PACKAGE",
    "",
    "What pip installs on plain hosts, in the onboarding page's line; empty: `driftwatch-sensor` of this release.",
)

# As above: a page would make it one click away.
DEFAULT_RULE_MAY_BLOCK = config.boolean(
    "DEFAULT_RULE_MAY_BLOCK",
    default=False,
    help_="Offer *Drift detection blocking* for the default rule, behind a backtest, a confirmation and waves.",
)

NOTIFY_ALLOW_HTTP = config.boolean("NOTIFY_ALLOW_HTTP", default=False, help_="Allow webhooks, and syslog, without TLS.")
NOTIFY_ALLOW_PRIVATE = config.boolean(
    "NOTIFY_ALLOW_PRIVATE",
    default=False,
    help_="Allow webhooks and syslog to private and loopback hosts; never to a cloud's services for its machines.",
)
SIEM_DIRECTORY = config.string(
    "SIEM_DIRECTORY", "", "Directory in which workers write the files that alerts are forwarded to; empty: none."
)

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.authentication.PersonBackend"]
BREACHED_PASSWORDS_FILE = config.string(
    "BREACHED_PASSWORDS_FILE",
    "",
    "Sorted SHA-1 digests of passwords that users must not choose, such as Have I Been Pwned's list; empty: none.",
)
PASSWORD_RESET_TIMEOUT = 60 * 60
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"

OIDC_ISSUER = config.issuer("OIDC_ISSUER", "URL of an OpenID Connect issuer, exactly as it names itself; empty: none.")
OIDC_NAME = config.string("OIDC_NAME", "single sign-on", "Name of the issuer on the sign-in page.")
OIDC_CLIENT_ID = config.string("OIDC_CLIENT_ID", "", "Client id of the portal at the issuer.")
OIDC_CLIENT_SECRET = config.optional_secret("OIDC_CLIENT_SECRET", "Client secret of the portal at the issuer.")
OIDC_SCOPES = config.names("OIDC_SCOPES", "openid,profile,email", "Scopes that the portal requests.")
OIDC_GROUPS_CLAIM = config.string(
    "OIDC_GROUPS_CLAIM", "groups", "Claim with the user's groups; a dot leads into an object: `realm_access.roles`."
)
OIDC_ROLES = config.pairs(
    "OIDC_ROLES",
    "Roles of the issuer's groups: `soc=operator;cn=sec,dc=example=admin`. The highest counts.",
    config.ROLES,
)
OIDC_SCOPE_GROUPS = config.pairs(
    "OIDC_SCOPE_GROUPS",
    "Scope groups of the issuer's groups, `team-a=Team A`. If set, its Readers and Operators see only their scope.",
)
OIDC_LINK_BY_EMAIL = config.boolean(
    "OIDC_LINK_BY_EMAIL",
    default=False,
    help_="Link an existing user to the issuer's account with the same verified address at its first sign-in.",
)
OIDC_HAS_SECOND_FACTOR = config.boolean(
    "OIDC_HAS_SECOND_FACTOR",
    default=False,
    help_="The issuer checks a second factor: the portal asks for none after it.",
)
LOCAL_SIGN_IN = config.boolean(
    "LOCAL_SIGN_IN", default=True, help_="Allow passwords and passkeys; false: only the issuer, and BREAK_GLASS_OWNER."
)
BREAK_GLASS_OWNER = config.string(
    "BREAK_GLASS_OWNER", "", "Email of the Owner who signs in by password while LOCAL_SIGN_IN is false."
)
if OIDC_ISSUER and not (OIDC_CLIENT_ID and OIDC_ROLES):
    raise ImproperlyConfigured("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_ROLES.")
if not LOCAL_SIGN_IN and not (OIDC_ISSUER and BREAK_GLASS_OWNER):
    raise ImproperlyConfigured("LOCAL_SIGN_IN=false needs OIDC_ISSUER and BREAK_GLASS_OWNER.")
REQUIRE_SECOND_FACTOR = config.roles(
    "REQUIRE_SECOND_FACTOR", "Roles that must set up a second factor: reader, operator, admin, owner."
)
SESSION_COOKIE_AGE = config.integer("SESSION_HOURS", 12, "Longest lifetime of a session, in hours.", minimum=1) * 3600
SESSION_IDLE_SECONDS = 60 * config.integer(
    "SESSION_IDLE_MINUTES", 60, "Minutes without activity after which a session ends; 0: no limit."
)
SESSION_ENGINE = "accounts.actions.session_store"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
# Browsers accept a cookie of this name only from this host, over HTTPS: no neighbouring host can set one.
COOKIE_PREFIX = "__Host-" if SECURE_COOKIES else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
MESSAGE_STORAGE = "accounts.message_storage.MessageStorage"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True

CSRF_FAILURE_VIEW = "portal.views.csrf_failure"

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_COOKIES else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = config.boolean(
    "HSTS_SUBDOMAINS", default=False, help_="Browsers must use HTTPS for all hosts below that of PUBLIC_URL too."
)
X_FRAME_OPTIONS = "DENY"
if TRUST_FORWARDED_PROTO:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = content_security.CONTENT_SECURITY_POLICY

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATICFILES_DIRS = [config.PAGE_FILES / "static"]
STATIC_ROOT = Path(
    config.string("STATIC_ROOT", str(config.PAGE_FILES / "staticfiles"), "Directory of the collected static files.")
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "portal.static_files.StaticFiles"},
}
if DEBUG:
    WHITENOISE_USE_FINDERS = True
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

# Views that read large bodies bound them themselves; forms never get close to this.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

REST_FRAMEWORK = rest_settings.REST_FRAMEWORK
SPECTACULAR_SETTINGS = rest_settings.SPECTACULAR_SETTINGS

LOGGING = log_settings(LOG_LEVEL, LOG_FORMAT, access_log=ACCESS_LOG)
