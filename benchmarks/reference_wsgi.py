"""The product's WSGI application with the addresses of ``benchmarks.reference``."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from console.web import api_endpoints

settings.ROOT_URLCONF = "benchmarks.reference"
api_endpoints._NAMES = (*api_endpoints._NAMES, "reference-early")
application = get_wsgi_application()
