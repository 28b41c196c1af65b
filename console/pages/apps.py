from django.apps import AppConfig
from django.contrib.admin import apps as administration


class PagesConfig(AppConfig):
    name = "console.pages"
    default = True


class AdministrationConfig(administration.AdminConfig):
    default = False
    default_site = "console.pages.administration.Administration"
