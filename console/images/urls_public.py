"""Addresses of everybody's public images."""

from django.urls import path

from console.images import views_public as views

urlpatterns = [
    path("", views.listing, name="public-images"),
    path("<repository:repository>/", views.image, name="public-image"),
]
