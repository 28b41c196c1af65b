"""URLs of the teams."""

from django.urls import path

from console.teams import views, views_members

urlpatterns = [
    path("teams/", views.listing, name="teams"),
    path("teams/-/create/", views.create, name="team-create"),
    path("teams/<namespace:team>/", views_members.members, name="team"),
    path("teams/<namespace:team>/-/access/", views.access, name="team-access"),
    path("teams/<namespace:team>/-/settings/", views.change, name="team-settings"),
    path("teams/<namespace:team>/-/delete/", views.delete, name="team-delete"),
    path("teams/<namespace:team>/-/leave/", views_members.leave, name="team-leave"),
    path("teams/<namespace:team>/-/members/add/", views_members.add, name="team-member-add"),
    path("teams/<namespace:team>/-/members/<int:account>/manager/", views_members.manager, name="team-manager"),
    path("teams/<namespace:team>/-/members/<int:account>/remove/", views_members.remove, name="team-member-remove"),
]
