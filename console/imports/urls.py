"""URLs of the imports."""

from django.urls import path

from console.imports import views

urlpatterns = [
    path("docker-hub/<official:name>/-/tags/<tag:tag>/copy/", views.official, name="official-image-copy"),
    path("images/-/import/", views.importing, name="import"),
    path("images/<repository:repository>/-/transfers/<int:number>/cancel/", views.cancel, name="transfer-cancel"),
    path("images/<repository:repository>/-/transfers/<int:number>/retry/", views.retry, name="transfer-retry"),
    path("images/<repository:repository>/-/transfers/<int:number>/dismiss/", views.dismiss, name="transfer-dismiss"),
]
