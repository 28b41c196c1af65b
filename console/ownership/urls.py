"""URLs of the Namespace tab."""

from django.urls import path

from console.ownership import views, views_hand_over

urlpatterns = [
    path("", views.listing, name="namespaces"),
    path("-/create/", views.create, name="namespace-create"),
    path("<namespace:name>/-/delete/", views.delete, name="namespace-delete"),
    path("<namespace:name>/-/hand-over/", views_hand_over.show, name="namespace-hand-over"),
    path("<namespace:name>/-/hand-over/accept/", views_hand_over.accept, name="namespace-hand-over-accept"),
    path("<namespace:name>/-/hand-over/decline/", views_hand_over.decline, name="namespace-hand-over-decline"),
    path("<namespace:name>/-/hand-over/offer/", views_hand_over.offer, name="namespace-hand-over-offer"),
    path("<namespace:name>/-/hand-over/take-back/", views_hand_over.take_back, name="namespace-hand-over-take-back"),
]
