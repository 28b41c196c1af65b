"""Django settings. Values that depend on the machine come from ``console.installation``."""

from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from django.utils.translation import gettext_lazy as _

from console.installation import environment, keys
from console.web import policies

BASE_DIR = Path(__file__).resolve().parent.parent
ENVIRONMENT = environment.load()
KEYS = keys.ensure_keys(ENVIRONMENT.data_dir)

SECRET_KEY = ENVIRONMENT.secret_key or KEYS.secret_key
DEBUG = False
CONSOLE_URL = ENVIRONMENT.console_url
# Whether the edge serves everything with TLS, at the address in CONSOLE_URL.
SITE = ENVIRONMENT.site is not None
# The file with the certificate of the installation's own authority, which clients must trust; None without one.
AUTHORITY_CERTIFICATE = ENVIRONMENT.authority_certificate
_console = urlsplit(CONSOLE_URL)
_https = _console.scheme == "https"
# Registry clients call the gate by the registry's address.
_registry = urlsplit(f"//{ENVIRONMENT.registry_address}")
ALLOWED_HOSTS = sorted(
    {
        "127.0.0.1",
        "localhost",
        "[::1]",
        *(str(one.hostname) for one in (_console, _registry)),
        *ENVIRONMENT.allowed_hosts,
    }
)
CSRF_TRUSTED_ORIGINS = [f"{_console.scheme}://{_console.netloc}"]
# Proxies in front of the edge, whose X-Forwarded-For and X-Forwarded-Proto are trusted; the edge has the same list.
TRUSTED_PROXIES = ENVIRONMENT.trusted_proxies

INSTALLED_APPS = [
    "console.audit",
    "console.throttling",
    "console.web",
    "console.accounts",
    "console.membership",
    "console.namespaces",
    "console.access_tokens",
    "console.repositories",
    "console.registry",
    "console.registry.index",
    "console.ownership",
    "console.members",
    "console.teams",
    "console.service_accounts",
    "console.official_images",
    "console.activation",
    "console.imports",
    "console.stars",
    "console.login",
    "console.invitations",
    "console.images",
    "console.token_server",
    "console.operations",
    "console.operations.jobs_app.BackgroundJobsConfig",
    "django_htmx",
    "heroicons",
    "allauth.account",
    "console.login.allauth_apps.SecondFactorsConfig",
    "console.login.allauth_apps.SingleSignOnConfig",
    "allauth.socialaccount.providers.openid_connect",
    "console.administration.apps.AdministrationConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
]

MIDDLEWARE = [
    "console.web.headers.HeadersMiddleware",
    "console.web.proxies.ProxyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "console.web.caching.PrivateMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "console.web.request_bodies.CompressedMiddleware",
    # API endpoints skip everything below, which is for browsers.
    "console.web.api_endpoints.ApiEndpointsMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "console.web.deadlines.DeadlineMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "console.web.concurrency_limit.ConcurrencyLimitMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "console.web.application.AdminInputMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "console.accounts.middleware.PreferencesMiddleware",
    "console.audit.middleware.ActorMiddleware",
    "console.web.change_limit.ChangeLimitMiddleware",
]

ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

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
                "console.web.context.site",
            ],
        },
    }
]

DATABASES = {
    "default": dj_database_url.parse(
        ENVIRONMENT.database_url, engine="console.database", conn_max_age=600, conn_health_checks=True
    )
}
DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 3)

AUTH_USER_MODEL = "accounts.Account"
AUTHENTICATION_BACKENDS = ["console.accounts.backends.AccountBackend", "console.accounts.backends.VouchedBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("account_id", "name", "email")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "console.accounts.validators.MaximumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"

# Whether sign-in with a password is enabled, and the identity provider for single sign-on (OpenID Connect).
LOCAL_ACCOUNTS = ENVIRONMENT.local_accounts
# Who may create an account with a password: "off" (administrators alone), "invited" or "open".
SIGN_UP = ENVIRONMENT.sign_up
OIDC_ISSUER = ENVIRONMENT.oidc_issuer
OIDC_CLIENT_ID = ENVIRONMENT.oidc_client_id
OIDC_CLIENT_SECRET = ENVIRONMENT.oidc_client_secret
OIDC_NAME = ENVIRONMENT.oidc_name
OIDC_SCOPES = ENVIRONMENT.oidc_scopes
OIDC_GROUPS_CLAIM = ENVIRONMENT.oidc_groups_claim
# Whether the administration requires a second factor or single sign-on.
REQUIRE_SECOND_FACTOR = ENVIRONMENT.require_second_factor
# Seconds to enter the second factor after the password; lifetime of a sign-in link; and how long a reauthentication
# permits changes of sign-in methods.
SECOND_FACTOR_SECONDS = SIGN_IN_LINK_SECONDS = CONFIRMED_SECONDS = 600
# Lifetime of the link that confirms a new e-mail address.
EMAIL_LINK_SECONDS = 24 * 3600
# Lifetime of anonymous sessions, which contain the state of an unfinished sign-in.
STRANGERS_SESSION_SECONDS = 3600

# django-allauth: only its second factors and OpenID Connect, none of its pages. console.throttling has the rate limits.
MFA_ADAPTER = "console.login.adapters.SecondFactors"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_WEBAUTHN_USER_VERIFICATION = "required"
MFA_TOTP_ISSUER = "My Images"
# Clock drift of TOTP: one code before and one after the current one (RFC 6238, 5.2).
MFA_TOTP_TOLERANCE = 1
SOCIALACCOUNT_ADAPTER = "console.login.adapters.SingleSignOn"
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
ACCOUNT_RATE_LIMITS = False
ACCOUNT_USER_MODEL_USERNAME_FIELD = "account_id"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*"]
ACCOUNT_EMAIL_VERIFICATION = "none"

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_ENGINE = "console.accounts.sessions"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Cookies are shared by all ports of a host: our own names avoid conflicts with a second site on the same host.
# With TLS no other host of the same domain can set them either (RFC 6265bis, 4.1.3.2).
_prefix = "__Host-" if _https else ""
SESSION_COOKIE_NAME = f"{_prefix}my_images_session"
CSRF_COOKIE_NAME = f"{_prefix}my_images_csrf"
CSRF_FAILURE_VIEW = "console.views.csrf_failure"

# With an https URL, plain http is redirected to it, except for internal endpoints.
SECURE_SSL_REDIRECT = _https
SECURE_SSL_HOST = _console.netloc
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^indexing/notifications/$", r"^v2/"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _https else 0
# HSTS for subdomains, and preloading, are the operator's decision.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = policies.REFERRER
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = policies.CROSS_ORIGIN_OPENER
X_FRAME_OPTIONS = "DENY"
SECURE_CSP = policies.CONTENT_SECURITY
PERMISSIONS_POLICY = policies.PERMISSIONS
# Limit of a form, and of one envelope of notifications. The largest form deletes a page's hundred tags; no uploads.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 0
FILE_UPLOAD_HANDLERS = ["console.web.uploads.NoUploads"]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
# With one language there are no translations to look up, which saves time: a page has hundreds of texts.
USE_I18N = len(LANGUAGES) > 1
LOCALE_PATHS = [BASE_DIR / "locale"]
# Times where no template writes them, as in the administration's forms.
FORMAT_MODULE_PATH = ["console.web.formats"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = ENVIRONMENT.data_dir / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "console.web.static.Storage"},
}

# Without a mail server, e-mails (password resets) are written to files that the operator can read and pass on.
EMAIL_HOST = ENVIRONMENT.email_host
EMAIL_PORT = ENVIRONMENT.email_port
EMAIL_HOST_USER = ENVIRONMENT.email_user
EMAIL_HOST_PASSWORD = ENVIRONMENT.email_password
EMAIL_USE_TLS = ENVIRONMENT.email_tls
EMAIL_TIMEOUT = 10
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend" if EMAIL_HOST else "django.core.mail.backends.filebased.EmailBackend"
)
EMAIL_FILE_PATH = ENVIRONMENT.data_dir / "mail"
DEFAULT_FROM_EMAIL = ENVIRONMENT.email_from

# The registry and its tokens.
REGISTRY_URL = ENVIRONMENT.registry_url
REGISTRY_IS_OURS = ENVIRONMENT.registry_is_ours
# Whether clients reach the registry through the edge, and so the gate (docs/registry.md says what else depends on it).
REGISTRY_HAS_GATE = ENVIRONMENT.registry_has_gate
# The same registry for the console's own calls: a process that sends no notifications, if there is one.
CONSOLE_REGISTRY_URL = ENVIRONMENT.console_registry_url
CONSOLE_REGISTRY_SERVICE = ENVIRONMENT.console_registry_service
REGISTRY_ADDRESS = ENVIRONMENT.registry_address
REGISTRY_SERVICE = ENVIRONMENT.registry_service
TOKEN_ISSUER = ENVIRONMENT.token_issuer
TOKEN_SECONDS = ENVIRONMENT.token_seconds
# The registry accepts a token so long after it has expired (clock skew).
REGISTRY_CLOCK_SKEW_SECONDS = 60
# A freed name is held for its former owner until all tokens for it have expired.
NAME_HOLD_SECONDS = TOKEN_SECONDS + REGISTRY_CLOCK_SKEW_SECONDS
REFRESH_TOKEN_SECONDS = 90 * 24 * 3600

# Limits of Docker logins of an account, and of those by one client from one address; the least recently used are
# revoked.
MOST_LOGINS = 100
MOST_LOGINS_OF_A_CLIENT = 20
# Revoked or expired access tokens are kept so many days, for administrators to see.
OLD_TOKENS_DAYS = 90

# Rate limits for wrong passwords: burst, and seconds for each further one.
GUESSES = {
    # for an account, from one address (IPv6: from a /64)
    "here": (10, 60),
    # for an account, from a /24 (IPv6: from a /48)
    "network": (20, 60),
    # for an account, from all addresses that it is not known from
    "account": (60, 120),
    # from one address, for all accounts that it is not known for
    "address": (100, 10),
}
# Rate limits that differ at some places. For six-digit codes they are lower: three of a million are correct.
GUESSES_AT = {
    "second factor": {"here": (10, 1800), "network": (20, 1800), "account": (60, 3600)},
    # E-mails to one address: three, and one more each half an hour, so five in an hour.
    "password reset": {"here": (3, 1800), "network": (3, 1800), "account": (3, 1800)},
    # New e-mail addresses that one account requests: ten in an hour.
    "email change": {"here": (5, 720), "network": (5, 720), "account": (5, 720)},
}
# Rate limit of changing requests of an account: burst, and number each minute; 0 for no limit.
CHANGES_PER_MINUTE = ENVIRONMENT.changes_per_minute
# Interval in seconds at which each process writes aggregated audit events (console/audit/summaries.py).
AUDIT_SUMMARY_SECONDS = ENVIRONMENT.audit_summary_seconds
# An address is known for an account so many days after a correct password.
KNOWN_ADDRESS_DAYS = 30
# Whether connections set a statement timeout (console/database/statements.py).
STATEMENT_TIMEOUT = ENVIRONMENT.statement_timeout
# Request timeout of pages in seconds.
REQUEST_SECONDS = 15
# Threads in each process (console/local/gunicorn.py): at most half of them hash passwords from unknown addresses.
WEB_THREADS = ENVIRONMENT.web_threads

# Docker Hub's official images: the cache, the plain registry process over its storage, and the source of the catalogue.
DOCKERHUB_ENABLED = ENVIRONMENT.dockerhub and not ENVIRONMENT.dockerhub_missing
# Why the cache is enabled but not running, according to console/local: "port", "program", "files", or empty.
DOCKERHUB_MISSING = ENVIRONMENT.dockerhub_missing
DOCKERHUB_PORT = ENVIRONMENT.dockerhub_port
DOCKERHUB_URL = ENVIRONMENT.dockerhub_url
DOCKERHUB_INNER_URL = ENVIRONMENT.dockerhub_inner_url
DOCKERHUB_ADDRESS = ENVIRONMENT.dockerhub_address
# The folder that the cache is at the registry's address; empty where it has an address of its own.
DOCKERHUB_FOLDER = ENVIRONMENT.dockerhub_folder if DOCKERHUB_ENABLED else ""
DOCKERHUB_SERVICE = ENVIRONMENT.dockerhub_service
DOCKERHUB_INNER_SERVICE = (
    ENVIRONMENT.dockerhub_inner_service if DOCKERHUB_INNER_URL != DOCKERHUB_URL else DOCKERHUB_SERVICE
)
DOCKERHUB_API = ENVIRONMENT.dockerhub_api

# Hosts (“host” or “host:port”) for imports that may be in the internal network, or without TLS.
ALLOWED_IMPORT_HOSTS = ENVIRONMENT.import_allowed_hosts
# Regular expressions for the URLs of foreign layers that the bundled registry allows.
FOREIGN_LAYER_URLS = ENVIRONMENT.foreign_layer_urls if ENVIRONMENT.registry_is_ours else None
# Pairs of a registry's and a token server's host name that are trusted although their names are not related.
IMPORT_TOKEN_SERVERS = ENVIRONMENT.import_token_servers
# Limit of running imports of an account.
MOST_TRANSFERS = 20
# Limit of access tokens of an account that are not revoked.
MOST_ACCESS_TOKENS = 50
# How many teams an account may have, of those that it manages as their longest-serving manager.
MOST_TEAMS = 20
MOST_SERVICE_ACCOUNTS = 100  # of one namespace
# Limit of passkeys of an account: all are read at sign-in.
MOST_PASSKEYS = 20

# Default quotas, unless an account has its own.
DEFAULT_NAMESPACE_QUOTA = 10
DEFAULT_IMAGE_QUOTA = 500
DEFAULT_TAG_QUOTA = 1000

PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"class": "console.installation.logs.WithoutSecrets", "format": "%(levelname)s %(name)s: %(message)s"}
    },
    "filters": {"database_away": {"()": "console.installation.logs.DatabaseAway"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["database_away"]}},
    "root": {"handlers": ["stderr"], "level": ENVIRONMENT.log_level},
    "loggers": {
        "procrastinate": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        # Caused by clients: would fill the log, with a traceback each time.
        **{
            f"django.security.{name}": {"level": "CRITICAL"}
            for name in ("DisallowedHost", "RequestDataTooBig", "TooManyFieldsSent", "TooManyFilesSent")
        },
        "urllib3": {"level": "ERROR"},
        "fido2": {"level": "WARNING"},
    },
}
