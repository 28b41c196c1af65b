"""URLs of the registry's API that the gate answers; the edge sends all others to the registry."""

from django.urls import path, register_converter

from console.gate import views
from console.gate.converters import AnythingConverter

register_converter(AnythingConverter, "anything")

urlpatterns = [
    path("_catalog", views.catalog, name="gate-catalog"),
    path("<anything:name>/tags/list", views.tags, name="gate-tags"),
    path("<anything:name>/manifests/<str:reference>", views.manifest, name="gate-manifest"),
    path("<anything:name>/referrers/<str:digest>", views.referrers, name="gate-referrers"),
    path("<anything:rest>", views.unknown, name="gate-unknown"),
]
