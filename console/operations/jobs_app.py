"""App configuration of Procrastinate, under the name that the administration shows."""

from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django.apps import ProcrastinateConfig


class BackgroundJobsConfig(ProcrastinateConfig):
    """Jobs, their queue and their events."""

    verbose_name = _("Background jobs")

    def ready(self) -> None:
        """Name the model as the pages do."""
        super().ready()
        options = self.get_model("ProcrastinateJob")._meta
        options.verbose_name, options.verbose_name_plural = _("background job"), _("background jobs")
