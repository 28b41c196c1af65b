"""URLs of invitations and of sign-up."""

from django.urls import path

from console.invitations import views, views_sign_up

urlpatterns = [
    path("namespaces/<namespace:namespace>/-/invite/", views.create, name="invitation-create"),
    path("invitations/", views.listing, name="invitations"),
    path("invitations/link/<str:secret>/", views.link, name="invitation-link"),
    path("invitations/<int:pk>/", views.invitation, name="invitation"),
    path("invitations/<int:pk>/-/accept/", views.accept, name="invitation-accept"),
    path("invitations/<int:pk>/-/decline/", views.decline, name="invitation-decline"),
    path("invitations/<int:pk>/-/revoke/", views.revoke, name="invitation-revoke"),
    path("sign-up/", views_sign_up.begin, name="sign-up"),
    path("sign-up/sent/", views_sign_up.sent, name="sign-up-sent"),
    path("sign-up/finish/", views_sign_up.finish, name="sign-up-finish"),
    path("sign-up/link/<str:token>/", views_sign_up.link, name="sign-up-link"),
]
