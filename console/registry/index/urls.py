"""URL of the registry's notifications."""

from django.urls import path

from console.registry.index import views

urlpatterns = [path("notifications/", views.notifications, name="notifications")]
