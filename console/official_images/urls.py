"""URLs of the Docker Hub pages. No image has the name ``-``, so ``/-/`` begins a verb."""

from django.urls import path, register_converter

from console.official_images import views
from console.official_images.converters import OfficialImageConverter

register_converter(OfficialImageConverter, "official")

urlpatterns = [
    path("", views.listing, name="docker-hub"),
    path("-/refresh/", views.refresh, name="docker-hub-refresh"),
    path("-/version/", views.version, name="docker-hub-version"),
    path("<official:name>/", views.image, name="official-image"),
    path("<official:name>/-/cached/", views.cached, name="official-image-cached"),
    path("<official:name>/-/version/", views.image_version, name="official-image-version"),
]
