"""Addresses of the images."""

from django.urls import path, register_converter

from console.images import views, views_changes
from console.images.converters import RepositoryConverter

register_converter(RepositoryConverter, "repository")

urlpatterns = [
    path("", views.listing, name="images"),
    path("-/create/", views_changes.create, name="image-create"),
    path("-/delete/", views_changes.delete_many, name="image-delete-many"),
    path("-/registry/", views.registry_status, name="registry-status"),
    path("-/guide/", views.guide, name="usage-guide"),
    path("<repository:repository>/", views.tags, name="image"),
    path("<repository:repository>/-/info/", views.info, name="image-info"),
    path("<repository:repository>/-/commands/", views.commands, name="image-commands"),
    path("<repository:repository>/-/row/", views.row, name="image-row"),
    path("<repository:repository>/-/describe/", views_changes.describe, name="image-describe"),
    path("<repository:repository>/-/delete/", views_changes.delete, name="image-delete"),
    path("<repository:repository>/-/tags/delete/", views_changes.tags_delete, name="tags-delete"),
]
