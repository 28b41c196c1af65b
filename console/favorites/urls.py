"""Addresses of the favorites and of everybody's public images."""

from django.urls import path

from console.favorites import views, views_public

urlpatterns = [
    path("favorites/", views.favorites, name="favorites"),
    path("favorites/-/star/<repository:repository>/", views.star, name="star"),
    path("favorites/-/official-star/<official:name>/", views.star_official, name="star-official"),
    path("public-images/", views_public.listing, name="public-images"),
    path("public-images/<repository:repository>/", views_public.image, name="public-image"),
]
