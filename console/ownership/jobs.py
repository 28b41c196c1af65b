"""Background job for namespaces: finish transfers and end holds."""

from __future__ import annotations

import logging

from procrastinate.contrib.django import app

from console.jobs.queue import WORK_QUEUE
from console.ownership import services
from registry_client import RegistryError

log = logging.getLogger(__name__)


@app.periodic(cron="* * * * *")
@app.task(name="namespaces.settle", queue=WORK_QUEUE, queueing_lock="namespaces.settle", lock="namespaces.settle")
def settle(timestamp: int = 0) -> None:
    """Finish transfers and end holds that are due; retried a minute later after a failure."""
    try:
        services.finish_transfers()
        services.release_names()
    except RegistryError as error:
        log.warning("transfers and holds cannot be finished now, retrying: %s", error)
