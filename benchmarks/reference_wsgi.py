"""The product's WSGI application with the addresses of ``benchmarks.reference``."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.ROOT_URLCONF = "benchmarks.reference"
application = get_wsgi_application()
