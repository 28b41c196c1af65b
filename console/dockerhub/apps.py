from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DockerHubConfig(AppConfig):
    name = "console.dockerhub"
    verbose_name = _("Docker Hub")
