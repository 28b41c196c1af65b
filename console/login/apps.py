from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LoginConfig(AppConfig):
    name = "console.login"
    label = "signin"
    verbose_name = _("Signing in")
