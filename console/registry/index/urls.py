"""The address that the registry sends its notifications to."""

from django.urls import path

from console.registry.index import views

urlpatterns = [path("notifications/", views.notifications, name="notifications")]
