"""URLs of the members of namespaces, and of roles on images."""

from django.urls import path

from console.members import views, views_roles

urlpatterns = [
    path("namespaces/<namespace:namespace>/-/members/", views.members, name="namespace-members"),
    path("namespaces/<namespace:namespace>/-/activity/", views.namespace_activity, name="namespace-activity"),
    path("namespaces/<namespace:namespace>/-/settings/", views.settings, name="namespace-settings"),
    path("namespaces/<namespace:namespace>/-/leave/", views.leave, name="namespace-leave"),
    path("namespaces/<namespace:namespace>/-/members/add-team/", views_roles.add_team, name="member-add-team"),
    path("namespaces/<namespace:namespace>/-/members/owner/change/", views_roles.change_owner, name="owner-change"),
    path("namespaces/<namespace:namespace>/-/members/owner/remove/", views_roles.remove_owner, name="owner-remove"),
    path("namespaces/<namespace:namespace>/-/members/<int:pk>/change/", views_roles.change, name="member-change"),
    path("namespaces/<namespace:namespace>/-/members/<int:pk>/remove/", views_roles.remove, name="member-remove"),
    path("images/<repository:repository>/-/access/", views.access, name="image-access"),
    path("images/<repository:repository>/-/access/add-team/", views_roles.add_team_to_image, name="image-add-team"),
]
