"""Run queued jobs that send e-mails."""

from procrastinate.contrib.django.models import ProcrastinateJob

from console.accounts import jobs
from console.invitations import jobs as invitations

TASKS = {
    task.name: task
    for task in (
        jobs.send_password_resets,
        jobs.send_email_link,
        jobs.send_email_changed,
        invitations.send_invitation,
        invitations.send_sign_up,
    )
}


def deliver() -> None:
    """Run the queued jobs that send e-mails."""
    queued = ProcrastinateJob.objects.filter(task_name__in=TASKS, status="todo")
    for name, arguments in queued.order_by("pk").values_list("task_name", "args"):
        TASKS[name](**arguments)
    queued._raw_delete(using="default")
