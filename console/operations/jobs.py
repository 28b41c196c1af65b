"""Background jobs that maintain the queue: retry stalled jobs, ageing, cleanup."""

from __future__ import annotations

import logging

from django.db import connection
from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import Status

from console.jobs.queue import INDEX_QUEUE, LATER_PRIORITY

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 2.0
STALLED_SECONDS = 10.0
_KEEP_FAILED_HOURS = 24 * 30


@app.periodic(cron="* * * * * */5")
@app.task(
    name="operations.resume_stalled",
    queue=INDEX_QUEUE,
    queueing_lock="operations.resume_stalled",
    pass_context=True,
)
async def resume_stalled(context: JobContext, timestamp: int = 0) -> None:
    """Retry jobs whose worker was killed: it has sent no heartbeat for ten seconds."""
    manager = context.app.job_manager
    await manager.prune_stalled_workers(STALLED_SECONDS)
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
        log.warning("job %s (%s) has lost its worker and is retried", job.id, job.task_name)
        same = ProcrastinateJob.objects.filter(queueing_lock=job.queueing_lock or "", status="todo")
        try:
            if await same.aexists():  # checked first: a violated constraint is an error in the database's log
                raise AlreadyEnqueued
            await manager.retry_job(job)
        except (AlreadyEnqueued, UniqueViolation):
            # The same job is waiting already, behind this one's lock, and replaces it.
            await manager.finish_job(job, status=Status.FAILED, delete_job=True)


_RAISE = """
UPDATE procrastinate_jobs SET priority = least(0, priority + %s)
WHERE status = 'todo' AND priority < 0 AND priority > %s
"""
# Priority gained for each minute of waiting: accounts with fewer waiting jobs come first, but not for ever.
_RAISED = 50


@app.periodic(cron="* * * * *")
@app.task(name="operations.raise_waiting", queue=INDEX_QUEUE, queueing_lock="operations.raise_waiting")
def raise_waiting(timestamp: int = 0) -> None:
    """Raise the priority of waiting jobs (ageing), against starvation."""
    with connection.cursor() as cursor:
        cursor.execute(_RAISE, [_RAISED, LATER_PRIORITY])


@app.periodic(cron="41 3 * * *")
@app.task(name="operations.forget_old_jobs", queue=INDEX_QUEUE, pass_context=True)
async def forget_old_jobs(context: JobContext, timestamp: int = 0) -> None:
    """Delete jobs that failed more than a month ago. Successful ones are deleted when they end."""
    await context.app.job_manager.delete_old_jobs(nb_hours=_KEEP_FAILED_HOURS, include_failed=True)
