"""All addresses."""

from django.contrib import admin
from django.urls import include, path
from django.utils.translation import gettext_lazy as _
from django.views.generic import RedirectView

from console import views

admin.site.site_header = admin.site.site_title = _("My Images administration")
admin.site.index_title = _("Administration")

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="images"), name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("", include("console.accounts.urls")),
    path("activation/", include("console.activation.urls")),
    path("images/", include("console.images.urls")),
    path("namespaces/", include("console.namespaces.urls")),
    path("docker-hub/", include("console.dockerhub.urls")),
    path("token/", include("console.tokens.urls")),
    path("indexing/", include("console.indexing.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "console.views.bad_request"
handler403 = "console.views.permission_denied"
handler404 = "console.views.not_found"
handler500 = "console.views.server_error"
