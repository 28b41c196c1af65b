"""Letters that a job sends."""

from procrastinate.contrib.django.models import ProcrastinateJob

from console.accounts import jobs


def deliver() -> None:
    """Do what the queued jobs would, which take what they need from the database."""
    queued = ProcrastinateJob.objects.filter(task_name=jobs.send_letters.name, status="todo")
    for arguments in queued.order_by("pk").values_list("args", flat=True):
        jobs.send_letters(**arguments)
    queued._raw_delete(using="default")
