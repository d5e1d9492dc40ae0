#!/bin/bash
# As upstream's image starts its API: the steps, then gunicorn with uvicorn's workers and nothing else to choose.
set -e
python manage.py wait_for_db
python manage.py wait_for_migrations

MACHINE_SIGNATURE=$(uname -n | sha256sum | cut -d ' ' -f 1)
export MACHINE_SIGNATURE
python manage.py register_instance "$MACHINE_SIGNATURE"
python manage.py configure_instance
python manage.py create_bucket
python manage.py clear_cache
python manage.py collectstatic --noinput

exec gunicorn -w "$GUNICORN_WORKERS" -k uvicorn.workers.UvicornWorker plane.asgi:application \
  --bind 0.0.0.0:"${PORT:-8000}" --max-requests 1200 --max-requests-jitter 1000 --access-logfile -
