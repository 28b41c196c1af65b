"""``manage.py worker``: run the job worker."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from console.audit.origin import set_origin
from console.database.statements import JOB_SECONDS, limit_statements
from console.operations.worker import run_worker
from console.registry.index.jobs import reconcile_soon


class Command(BaseCommand):
    """Runs the job worker in the foreground."""

    help = "Run the job worker until a signal to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        """Queue a reconcile, since notifications may have been lost, then run jobs."""
        limit_statements(JOB_SECONDS)
        try:
            reconcile_soon()
        except OperationalError as error:
            reason = str(error).partition("\n")[0]
            raise CommandError(f"The worker cannot start without the database: {reason}") from None
        connection.close()
        # Jobs do not act for the operator.
        set_origin(None)
        run_worker()
