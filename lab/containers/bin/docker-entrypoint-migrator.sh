#!/bin/bash
# As upstream's migrator: ends when the schema is there.
set -e
python manage.py wait_for_db
exec python manage.py migrate --noinput
