"""URLs of the favorites."""

from django.urls import path

from console.stars import views

urlpatterns = [
    path("favorites/", views.favorites, name="favorites"),
    path("favorites/-/star/<repository:repository>/", views.star, name="star"),
    path("favorites/-/official-star/<official:name>/", views.star_official, name="star-official"),
]
