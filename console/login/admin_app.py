"""Django's administration as an app, apart from ours: a module of apps has one default."""

from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    """Open to those who have signed in as it asks for."""

    default_site = "console.login.administration.Administration"
