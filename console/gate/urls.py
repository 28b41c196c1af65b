"""URLs of the registry's API that the gate answers: all that the edge does not send straight to the registry."""

from django.urls import path, register_converter

from console.gate import views
from console.gate.converters import AnythingConverter

register_converter(AnythingConverter, "anything")

urlpatterns = [
    path("_catalog", views.catalog, name="gate-catalog"),
    path("_chunk", views.chunk, name="gate-chunk"),
    path("_upload", views.start_upload, name="gate-start-upload"),
    path("<anything:name>/tags/list", views.tags, name="gate-tags"),
    path("<anything:name>/manifests/<str:reference>", views.manifest, name="gate-manifest"),
    path("<anything:name>/referrers/<str:digest>", views.referrers, name="gate-referrers"),
    path("<anything:name>/blobs/uploads/", views.uploads, name="gate-uploads"),
    path("<anything:name>/blobs/uploads/<str:upload_id>", views.upload, name="gate-upload"),
    path("<anything:name>/blobs/<str:digest>", views.blob, name="gate-blob"),
    path("<anything:rest>", views.unknown, name="gate-unknown"),
]
