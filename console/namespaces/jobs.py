"""What time brings about for namespaces."""

from procrastinate.contrib.django import app

from console.namespaces import services
from console.queue import WORK_QUEUE, KeepTrying


@app.periodic(cron="* * * * *")
@app.task(
    name="namespaces.settle",
    queue=WORK_QUEUE,
    queueing_lock="namespaces.settle",
    lock="namespaces.settle",
    retry=KeepTrying(60),
)
def settle(timestamp: int = 0) -> None:
    """Finish transfers and end holds whose time has come."""
    services.finish_transfers()
    services.release_names()
