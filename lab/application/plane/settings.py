"""Settings of the stand-in, from the environment under the names that Plane's backend reads."""

import os
from pathlib import Path

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent

SECRET_KEY = os.environ.get("SECRET_KEY", "")
DEBUG = False
# Endpoints for the lab's tests: sleep, allocate, state. Never on a host that others reach.
STANDIN_DEBUG = os.environ.get("PLANE_STANDIN_DEBUG", "0") == "1"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "plane.urls"
WSGI_APPLICATION = "plane.wsgi.application"
ASGI_APPLICATION = "plane.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "plane.db.apps.DatabaseConfig",
]

# As in Plane: synchronous from end to end, compression and cross-site headers included.
MIDDLEWARE = [
    "plane.standin_fault.middleware",
    "django.middleware.security.SecurityMiddleware",
    "plane.middleware.RecordStateMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "crum.CurrentRequestUserMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "plane.middleware.RequestLogMiddleware",
    "plane.middleware.QueryCounterMiddleware",
    "plane.middleware.ReadReplicaMiddleware",
    "plane.middleware.TimezoneMiddleware",
]

# No persistent connections and no pool, as in Plane.
DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite://:memory:"), conn_max_age=0)}
DATABASE_ROUTERS = ["plane.middleware.ReadReplicaRouter"]

REDIS_URL = os.environ.get("REDIS_URL", "")
_redis = REDIS_URL.rsplit("/", 1)[0] if REDIS_URL.count("/") > 2 else REDIS_URL
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{_redis}/0"},
    # A database of its own, so that clear_cache logs nobody out.
    "sessions": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{_redis}/1"},
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "sessions"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["plane.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static-assets" / "collected-static"
DATA_UPLOAD_MAX_MEMORY_SIZE = int(os.environ.get("FILE_SIZE_LIMIT", str(5 * 1024 * 1024)))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "loggers": {"plane": {"handlers": ["stdout"], "level": "INFO"}},
}
