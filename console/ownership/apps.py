from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OwnershipConfig(AppConfig):
    name = "console.ownership"
    verbose_name = _("Namespace ownership")
