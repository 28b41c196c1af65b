"""URLs of the service accounts."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
