from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GuessingConfig(AppConfig):
    name = "console.guessing"
    verbose_name = _("Guessing of passwords")
