from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OfficialImagesConfig(AppConfig):
    name = "console.official_images"
    label = "dockerhub"
    verbose_name = _("Docker Hub")
