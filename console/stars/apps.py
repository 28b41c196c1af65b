from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StarsConfig(AppConfig):
    name = "console.stars"
    label = "favorites"
    verbose_name = _("Favorites")
