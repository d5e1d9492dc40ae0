"""The WSGI application, for gthread workers."""

import os

from django.core.wsgi import get_wsgi_application

from plane import standin_fault

standin_fault.at_boot()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "plane.settings")
application = get_wsgi_application()
