"""``manage.py worker``."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from console.indexing.jobs import look_again
from console.operations.worker import run_worker


class Command(BaseCommand):
    """Runs the job worker in the foreground."""

    help = "Run the job worker until it is told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        """Look again at everything once, since notifications may have been lost, then work."""
        look_again()
        connection.close()
        run_worker()
