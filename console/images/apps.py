from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ImagePagesConfig(AppConfig):
    name = "console.images"
    label = "image_pages"
    verbose_name = _("Image pages")
