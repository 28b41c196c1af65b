"""URLs of a namespace's page."""

from django.urls import path

from console.images import views

urlpatterns = [
    path("<namespace:namespace>/", views.namespace_images, name="namespace"),
]
