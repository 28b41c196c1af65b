"""App configuration of Django's administration, with our site as the default."""

from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    """Uses ``console.login.administration.Administration`` as the default site."""

    default_site = "console.login.administration.Administration"
