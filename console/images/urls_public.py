"""URLs of public images."""

from django.urls import path

from console.images import views_public

urlpatterns = [
    path("", views_public.listing, name="public-images"),
    path("<repository:repository>/", views_public.image, name="public-image"),
]
