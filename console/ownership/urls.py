"""URLs of the Namespace tab."""

from django.urls import path

from console.ownership import views

urlpatterns = [
    path("", views.listing, name="namespaces"),
    path("-/create/", views.create, name="namespace-create"),
    path("<namespace:name>/-/delete/", views.delete, name="namespace-delete"),
]
