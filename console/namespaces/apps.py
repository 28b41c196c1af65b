from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NamespacesConfig(AppConfig):
    name = "console.namespaces"
    verbose_name = _("Namespaces")
