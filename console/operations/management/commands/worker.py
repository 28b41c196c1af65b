"""``manage.py worker``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from console.audit.origin import set_origin
from console.database.statements import JOB_SECONDS, limit_statements
from console.operations.worker import run_worker
from console.registry.index.jobs import reconcile_soon


class Command(BaseCommand):
    """Runs the job worker in the foreground."""

    help = "Run the job worker until SIGTERM or SIGINT."

    def handle(self, *args: Any, **options: Any) -> None:
        """Look again at everything once, since notifications may have been lost, then work."""
        limit_statements(JOB_SECONDS)
        try:
            reconcile_soon()
        except OperationalError as error:
            reason = str(error).partition("\n")[0]
            raise CommandError(f"The worker cannot start without the database: {reason}") from None
        connection.close()
        # What jobs do is not the operator's doing.
        set_origin(None)
        run_worker()
