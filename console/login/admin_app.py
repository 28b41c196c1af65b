"""App configuration of Django's administration, with our site as the default."""

from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    """Open to those who have signed in as it asks for."""

    default_site = "console.login.administration.Administration"
