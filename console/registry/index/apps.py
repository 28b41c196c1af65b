from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IndexConfig(AppConfig):
    name = "console.registry.index"
    label = "indexing"
    verbose_name = _("Index")
