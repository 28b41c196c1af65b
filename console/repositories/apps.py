from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RepositoriesConfig(AppConfig):
    name = "console.repositories"
    label = "images"
    verbose_name = _("Images")
