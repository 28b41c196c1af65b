from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TokenServerConfig(AppConfig):
    name = "console.token_server"
    label = "tokens"
    verbose_name = _("Registry tokens")
