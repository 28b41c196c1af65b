"""URLs of the invitations."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
