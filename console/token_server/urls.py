"""URL of the token endpoint: the realm that the registry names."""

from django.urls import path

from console.token_server import views

urlpatterns = [path("", views.token, name="token")]
