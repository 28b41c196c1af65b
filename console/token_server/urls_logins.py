"""URLs of the page of Docker logins."""

from django.urls import path

from console.token_server import views_logins

urlpatterns = [
    path("", views_logins.listing, name="logins"),
    path("-/revoke/", views_logins.revoke_all, name="logins-revoke"),
    path("<uuid:pk>/-/revoke/", views_logins.revoke, name="login-revoke"),
]
