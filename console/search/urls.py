"""Address of the search."""

from django.urls import path

from console.search import views

urlpatterns = [
    path("", views.search, name="search"),
]
