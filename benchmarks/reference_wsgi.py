"""The product's WSGI application with the addresses of ``benchmarks.reference``."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from console.web import programs

settings.ROOT_URLCONF = "benchmarks.reference"
programs._NAMES = (*programs._NAMES, "reference-early")
application = get_wsgi_application()
