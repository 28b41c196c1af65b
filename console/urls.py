"""URL configuration of the project."""

from django.contrib import admin
from django.urls import include, path, register_converter
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from console import home, views
from console.repositories.converters import DigestConverter, NamespaceConverter, RepositoryConverter, TagConverter

admin.site.site_header = admin.site.site_title = _("My Images administration")
admin.site.index_title = _("Administration")

for name, converter in (
    ("namespace", NamespaceConverter),
    ("repository", RepositoryConverter),
    ("tag", TagConverter),
    ("digest", DigestConverter),
):
    register_converter(converter, name)

urlpatterns = [
    path("", require_safe(RedirectView.as_view(pattern_name="images")), name="home"),
    path("healthz", views.healthz, name="healthz"),
    # API endpoints first: URL patterns are tried in this order.
    path("token/", include("console.token_server.urls")),
    path("indexing/", include("console.registry.index.urls")),
    path("v2/", include("console.gate.urls")),
    path("", include("console.login.urls")),
    path("", include("console.login.urls_account")),
    path("account/tokens/", include("console.access_tokens.urls")),
    path("account/logins/", include("console.token_server.urls_logins")),
    path("activation/", include("console.activation.urls")),
    path("images/", home.my_images, name="images"),
    path("images/-/checklist/", home.close, name="checklist-close"),
    path("images/", include("console.images.urls")),
    path("namespaces/", include("console.ownership.urls")),
    path("", include("console.members.urls")),
    path("", include("console.teams.urls")),
    path("", include("console.service_accounts.urls")),
    path("", include("console.invitations.urls")),
    path("namespaces/", include("console.images.urls_namespace")),
    path("docker-hub/", include("console.official_images.urls")),
    path("", include("console.imports.urls")),
    path("", include("console.stars.urls")),
    path("public-images/", include("console.images.urls_public")),
    path("search/", include("console.search.urls")),
    path("help/", include("console.help.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "console.views.bad_request"
handler403 = "console.views.permission_denied"
handler404 = "console.views.not_found"
handler500 = "console.views.server_error"
