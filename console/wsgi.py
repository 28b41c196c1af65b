"""The WSGI application that gunicorn serves."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup(set_prefix=False)

from console.database.statements import PAGE_SECONDS, limit_statements  # noqa: E402
from console.web.application import Application  # noqa: E402

limit_statements(PAGE_SECONDS)
application = Application()
