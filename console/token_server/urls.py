"""The token endpoint's address: what the registry names as its realm."""

from django.urls import path

from console.token_server import views

urlpatterns = [path("", views.token, name="token")]
