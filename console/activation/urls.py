"""URLs of the activation."""

from django.urls import path

from console.activation import views

urlpatterns = [
    path("", views.activate, name="activate"),
    path("steps/", views.steps, name="activation-steps"),
    path("password/", views.registry_password, name="registry-password"),
]
