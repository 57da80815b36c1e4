"""Django's settings. What differs between instances comes from the instance (COULANCE_HOME, DATABASE_URL) or from the
few variables below; everything else is the same everywhere, so that a test runs what production runs.

COULANCE_URL    the address people use, such as https://billing.example.nl; decides allowed hosts and secure cookies
COULANCE_HOSTS  further host names to answer to, separated by commas
COULANCE_PROXIES  how many reverse proxies of yours stand before it (default: 1 with https, else none); limits on
                tries are counted by the address that the outermost of them saw
COULANCE_DEBUG  1 shows tracebacks in the browser; for development only
COULANCE_LOG    how much is logged; COULANCE_LOG_FORMAT=json writes it for machines, with an access log
"""

import os
from pathlib import Path as _Path
from urllib.parse import urlsplit

from coulance.platform import instance as _instance
from coulance.platform import logs as _logs

_here = _instance.current()
_public = urlsplit(os.environ.get("COULANCE_URL", ""))
_https = _public.scheme == "https"

DEBUG = os.environ.get("COULANCE_DEBUG") == "1"
SECRET_KEY = _here.django_key()
SECRET_KEY_FALLBACKS = _here.django_keys_before()
ROOT_URLCONF = "coulance.config.urls"
WSGI_APPLICATION = "coulance.config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "platform.Operator"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "procrastinate.contrib.django",
    "coulance.platform",
    "coulance.catalog",
    "coulance.customers",
    "coulance.services",
    "coulance.usage",
    "coulance.ledger",
    "coulance.notices",
    "coulance.invoicing",
    "coulance.payments",
    "coulance.enforcement",
    "coulance.disputes",
    "coulance.overage",
    "coulance.contracts",
    "coulance.arrears",
    "coulance.sla",
    # Where two rooms translate the same words, the first counts: what customers read goes before what operators do.
    "coulance.portal",
    "coulance.console",
    "coulance.api",
]

MIDDLEWARE = [
    "coulance.platform.observing.Observe",
    "django.middleware.security.SecurityMiddleware",
    "coulance.platform.web.SecurityHeaders",
    "coulance.platform.web.DemandLength",
    "coulance.platform.web.RefuseZeroBytes",
    "coulance.platform.limiting.RateLimits",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": _here.database_settings()}

# Time: instants are stored and handled in UTC; the contract's zone is applied where a civil date is meant.
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("nl", "Nederlands")]
USE_I18N = True

# Sample batches are large; one request of five-minute samples for ten thousand series is about 3 MB of Arrow.
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

ALLOWED_HOSTS = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    *([_public.hostname] if _public.hostname else []),
    *[host.strip() for host in os.environ.get("COULANCE_HOSTS", "").split(",") if host.strip()],
]
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"] if _public.netloc else []

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = "coulance_session"
CSRF_COOKIE_SAMESITE = "Lax"
# On plain http (127.0.0.1) a Secure cookie would never come back, and nobody could sign in.
SESSION_COOKIE_SECURE = _https
CSRF_COOKIE_SECURE = _https
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
X_FRAME_OPTIONS = "DENY"
# A proxy that ends TLS says so; trusted only where the provider told us that the public address is https.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"

# Whether others than people on this machine can reach the console: then a second factor is demanded by default.
COULANCE_PUBLIC = bool(set(ALLOWED_HOSTS) - {"127.0.0.1", "localhost", "[::1]"})
# Signing in goes by allauth's stages: the first factor, then its mfa. Nobody signs up, nothing is mailed.
ACCOUNT_ADAPTER = "coulance.console.second_factor.SignInAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_EMAIL_VERIFICATION = "none"
MFA_ADAPTER = "coulance.console.second_factor.SecondFactorAdapter"
MFA_TOTP_TOLERANCE = 1  # telephones' clocks are off by some seconds
MFA_ALLOW_UNVERIFIED_EMAIL = True
ALLAUTH_TRUSTED_PROXY_COUNT = int(os.environ.get("COULANCE_PROXIES") or _https)
# Limits on tries and codes that were used count over all processes: the cache is a table, without a write-ahead log.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "platform_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}

STATIC_URL = "/static/"
# Served from the packages themselves: nothing to collect, nothing to forget after an upgrade.
WHITENOISE_USE_FINDERS = True
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.AppDirectoriesFinder", "coulance.api.docs.NinjaFiles"]
WHITENOISE_AUTOREFRESH = False

# Who renders what is attached to a kind of message, and hears what became of it (notices.ports).
# Where customers may pay at once: adapters of payments' port.
GATEWAYS = {
    "stripe": "coulance.integrations.gateways.stripe.Stripe",
    "mollie": "coulance.integrations.gateways.mollie.Mollie",
}
MESSAGE_HANDLERS = {
    "document": "coulance.flows.sending.documents.Documents",
    "warning": "coulance.flows.overage_control.heard.Warnings",
}
# Who judges the tables of a provider file that rooms above the catalog own (catalog.foreign).
PROVIDER_TABLES: dict[str, str] = {
    "arrears": "coulance.arrears.provider_table.judge",
    "contracts": "coulance.contracts.provider_table.judge",
    "disputes": "coulance.disputes.provider_table.judge",
    "sla": "coulance_core.sla.terms_file.judge",
}
# What makes a way to back services up from [arrears.backups] of the provider file.
ARREARS_BACKUPS = "coulance.integrations.backups.factory.backup_port"
ARREARS_DELETION = "coulance.drivers.deleting.deletion_port"
# Further ways to settle an overage invoice before it is issued (flows.settling_first.ways.Source), by their class.
SETTLE_FIRST_WAYS: list[str] = [
    "coulance.flows.arrears.before_the_bill.Instalments",
    "coulance.flows.arrears.before_the_bill.ContestIt",
]
# Texts of rooms that are no Django apps; the console's own are found by themselves.
LOCALE_PATHS = [str(_Path(__file__).resolve().parents[1] / "flows" / "locale")]

PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "tasks"
# Jobs of rooms without tables, which are no Django apps.
PROCRASTINATE_IMPORT_PATHS = [
    "coulance.flows.tasks.alarms",
    "coulance.flows.tasks.arrears",
    "coulance.flows.tasks.audits",
    "coulance.flows.tasks.closing",
    "coulance.flows.tasks.contracts",
    "coulance.flows.tasks.fair_mails",
    "coulance.flows.tasks.on_hand",
    "coulance.flows.tasks.overage_control",
    "coulance.flows.tasks.promises",
    "coulance.flows.tasks.rails",
    "coulance.flows.tasks.sending",
    "coulance.flows.tasks.settling_first",
    "coulance.flows.tasks.disputing",
    "coulance.integrations.tasks.peppol",
]

PROCRASTINATE_ON_APP_READY = "coulance.platform.logs.carry_requests"
PROCRASTINATE_WORKER_DEFAULTS = {"task_middleware": [_logs.around_job, _logs.around_async_job]}

LOGGING = _logs.settings()
