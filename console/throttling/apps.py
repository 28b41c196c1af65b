from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ThrottlingConfig(AppConfig):
    name = "console.throttling"
    label = "guessing"
    verbose_name = _("Rate limits")
