"""URLs of the access tokens."""

from django.urls import path

from console.access_tokens import views

urlpatterns = [
    path("", views.listing, name="access-tokens"),
    path("-/create/", views.create, name="access-token-create"),
    path("<int:pk>/-/revoke/", views.revoke, name="access-token-revoke"),
]
