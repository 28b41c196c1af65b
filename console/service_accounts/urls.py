"""URLs of the service accounts."""

from django.urls import path

from console.service_accounts import views

_PLACE = "namespaces/<namespace:namespace>/-/service-accounts/"
_ONE = f"{_PLACE}<namespace:service>/"

urlpatterns = [
    path(_PLACE, views.listing, name="service-accounts"),
    path(f"{_PLACE}-/create/", views.create, name="service-account-create"),
    path(_ONE, views.service_account, name="service-account"),
    path(f"{_ONE}-/describe/", views.describe, name="service-account-describe"),
    path(f"{_ONE}-/delete/", views.delete, name="service-account-delete"),
    path(f"{_ONE}-/tokens/-/create/", views.create_token, name="service-account-token-create"),
    path(f"{_ONE}-/tokens/<int:pk>/-/revoke/", views.revoke_token, name="service-account-token-revoke"),
]
