"""Every setting, flat, read from the environment in this one place.

Nothing needs to be set on a newcomer's machine: without DATABASE_URL and REDIS_URL the panel starts its own servers
(panel/embedded.py) and keeps secrets it made itself under VAR_DIR. As soon as DATABASE_URL is given this is production,
and a missing or published secret stops the start. `.env.example` says what each variable is for.
"""

import sys
from ipaddress import ip_network
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from panel import admin_look, embedded

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()  # type: ignore[no-untyped-call]  # the library has no types
environ.Env.read_env(BASE_DIR / ".env")

VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).absolute()
PORT = env.int("PORT", default=8000)
EMBEDDED = not env.str("DATABASE_URL", default="")

if EMBEDDED or not env.str("REDIS_URL", default=""):
    services = embedded.use_services(VAR_DIR, postgres=EMBEDDED, redis=not env.str("REDIS_URL", default=""))
    DATABASE_URL = env.str("DATABASE_URL", default="") or services.database_url
    REDIS_URL = env.str("REDIS_URL", default="") or services.redis_url
else:
    DATABASE_URL, REDIS_URL = env.str("DATABASE_URL"), env.str("REDIS_URL")


def read_secret(name: str) -> str:
    """Read a secret from the environment, or on a newcomer's machine from VAR_DIR, where it is made once.

    Raises ImproperlyConfigured in production when it is missing or is the one that `.env.example` prints.
    """
    value = env.str(name, default="")
    if not value and EMBEDDED:
        return embedded.own_secret(VAR_DIR, name)
    if not value or value.startswith("change-me"):
        raise ImproperlyConfigured(f"{name} must be set to a secret of your own (.env.example says how to make one).")
    return value


SECRET_KEY = read_secret("SECRET_KEY")
# The first key encrypts, all of them decrypt: put a new one in front to rotate.
ENCRYPTION_KEYS = [key.strip() for key in read_secret("ENCRYPTION_KEYS").split(",") if key.strip()]

DEBUG = env.bool("DEBUG", default=False)
SITE_NAME = env.str("SITE_NAME", default="Reseller Panel")
CURRENCY = env.str("CURRENCY", default="USD")
PUBLIC_PRICES = env.bool("PUBLIC_PRICES", default=True)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if EMBEDDED else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
HTTPS_ONLY = env.bool("HTTPS_ONLY", default=not EMBEDDED)
TESTING = "pytest" in sys.modules

# How often the panel looks for work, and how long it waits for others. Seconds.
FORWARD_EVERY_SECONDS = env.float("FORWARD_EVERY_SECONDS", default=1.0)
SYNC_EVERY_SECONDS = env.float("SYNC_EVERY_SECONDS", default=60.0)
PROVIDER_CONNECT_TIMEOUT = env.float("PROVIDER_CONNECT_TIMEOUT", default=10.0)
PROVIDER_READ_TIMEOUT = env.float("PROVIDER_READ_TIMEOUT", default=60.0)
DISPATCH_LEASE_SECONDS = env.float("DISPATCH_LEASE_SECONDS", default=90.0)
GIVE_UP_HOURS = env.float("GIVE_UP_HOURS", default=24.0)
FORWARD_RUN_SECONDS = env.float("FORWARD_RUN_SECONDS", default=15.0)
FORWARD_THREADS = env.int("FORWARD_THREADS", default=16)
BREAKER_PAUSE_SECONDS = env.float("BREAKER_PAUSE_SECONDS", default=15.0)
BALANCE_EVERY_SECONDS = env.float("BALANCE_EVERY_SECONDS", default=900.0)

# Networks that webhooks may reach although they are not public, and without TLS.
WEBHOOK_NETWORKS = [ip_network(network.strip()) for network in env.list("WEBHOOK_NETWORKS", default=[])]

# How many calls of `/api/v2` a second one key and one address may make, and how many at once after a pause; 0: no limit
API_KEY_CALLS_PER_SECOND = env.float("API_KEY_CALLS_PER_SECOND", default=50.0)
API_KEY_BURST = env.int("API_KEY_BURST", default=200)
API_ADDRESS_CALLS_PER_SECOND = env.float("API_ADDRESS_CALLS_PER_SECOND", default=100.0)
API_ADDRESS_BURST = env.int("API_ADDRESS_BURST", default=500)

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "django_htmx",
    "rest_framework",
    "accounts",
    "catalog",
    "orders",
    "panel",
]

MIDDLEWARE = [
    "panel.api.middleware.AnswerApiFirst",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "panel.csp.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "panel.urls"
WSGI_APPLICATION = "panel.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context_processors.shop",
            ],
        },
    },
]

DATABASES = {
    "default": {
        **env.db_url_config(DATABASE_URL),  # type: ignore[no-untyped-call]  # as above
        "CONN_MAX_AGE": 60,  # a new connection for every request is 3.6 times slower (LIMITS 2.2)
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
        "OPTIONS": {"server_side_binding": True, "prepare_threshold": 2},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "panel.cache.PatientRedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    },
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "new_order"
ACCOUNT_LOGIN_METHODS = {"email", "username"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = env.str("EMAIL_VERIFICATION", default="optional")
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS_ONLY else "http"
ACCOUNT_RATE_LIMITS = {} if TESTING else {"login_failed": "10/m/ip,5/300s/key"}

EMAIL_CONFIG = env.email("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="panel@localhost")

UNFOLD = admin_look.UNFOLD

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "panel" / "locale"]
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(VAR_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
if EMBEDDED:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = EMBEDDED  # a newcomer has not run collectstatic
STORAGES = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if EMBEDDED
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_REDIRECT_EXEMPT = [r"^api/v2", r"^health"]  # a redirected POST comes back as a GET (PROTOCOL 1.1)
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
# Without it all visitors would share the proxy's address, and with it one limit on wrong passwords.
ALLAUTH_TRUSTED_PROXY_COUNT = int(BEHIND_PROXY)
# Whether subdomains are all served by TLS, and whether browsers may be told for ever, is for the domain's owner to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    },
}
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a broker that is away for hours must not end the workers
# A wake-up is gone when it is fetched: rows carry orders. Where kombu keeps it until it is acknowledged, it tries to
# give it back over the very connection that broke; that ends the worker, and what it was sending is left in doubt.
CELERY_BROKER_TRANSPORT_OPTIONS = {"ack_emulation": False, "max_connections": 200}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
# The ticks of forwarding share its queue: providers that answer status calls slowly must not hold up sending.
CELERY_TASK_ROUTES = {
    "orders.tasks.forward_due": {"queue": "forward"},
    "orders.tasks.forward_provider": {"queue": "forward"},
    "orders.tasks.sweep_ended_leases": {"queue": "forward"},
}
CELERY_TIMEZONE = "UTC"

REST_FRAMEWORK: dict[str, object] = {
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        # What providers answered: where a worker died between an answer and its settling, this is the only copy.
        "answers": {
            "class": "logging.FileHandler",
            "filename": VAR_DIR / "answers.log",
            "delay": True,
            "formatter": "line",
        }
        if EMBEDDED
        else {"class": "logging.StreamHandler", "formatter": "line"},
    },
    # It warns of every retry; how a call ended is said by whoever made it.
    "loggers": {
        "urllib3": {"level": "ERROR"},
        "orders.forwarding.answers": {"handlers": ["answers"], "level": "INFO", "propagate": False},
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="WARNING" if TESTING else "INFO")},
}
