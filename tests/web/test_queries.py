"""No list asks the database more often because it has more rows, and none asks it often."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse

from console.repositories.models import Image
from tests.support.site_rows import INDEX, World

pytestmark = pytest.mark.django_db

# What has rows: the name of its address, what is asked for, and the most queries that it may take. The session, the
# account and its credential are two of them.
LISTS = {
    "images": ("/images/?size=100", 12),
    "image": ("/images/team/app/", 10),
    "image-tags": ("/images/team/app/-/tags/?size=100", 10),
    "image-compare": ("/images/team/app/-/compare/?from=v0&to=multi", 9),
    "tag": ("/images/team/app/-/tags/multi/", 11),
    "manifest": (f"/images/team/app/-/manifests/{INDEX}/", 11),
    "manifest-part": (f"/images/team/app/-/manifests/{INDEX}/platforms/", 6),
    "image-create": ("/images/-/create/", 6),
    "image-delete-many": ("/images/-/delete/?{ticked}", 6),
    "image-delete": ("/images/team/app/-/delete/", 6),
    "tags-delete": ("/images/team/app/-/delete-tags/?{tags}", 8),
    "tag-copy": ("/images/team/app/-/tags/v0/copy/", 11),
    "import": ("/images/-/import/", 5),
    "official-image-copy": ("/docker-hub/official0/-/tags/v0/copy/", 6),
    "namespaces": ("/namespaces/?size=100", 7),
    "namespace": ("/namespaces/team/?size=100", 9),
    "namespace-activity": ("/namespaces/team/-/activity/?size=100", 10),
    "namespace-members": ("/namespaces/team/-/members/?size=100", 12),
    "image-access": ("/images/team/app/-/access/?size=100", 12),
    "namespace-storage": ("/images/-/storage/team/", 7),
    "docker-hub": ("/docker-hub/?size=100", 6),
    "official-image": ("/docker-hub/official0/?size=100", 10),
    "public-images": ("/public-images/?size=100", 6),
    "public-image": ("/public-images/shop/app/?size=100", 10),
    "search": ("/search/?q=mi", 6),
    "favorites": ("/favorites/?size=100", 5),
    "teams": ("/teams/?size=100", 5),
    "team": ("/teams/team/?size=100", 9),
    "team-access": ("/teams/team/-/access/?size=100", 7),
    "team-delete": ("/teams/team/-/delete/", 6),
    "access-tokens": ("/account/tokens/?size=100", 10),
    "service-accounts": ("/namespaces/team/-/service-accounts/?size=100", 6),
    "service-account": ("/namespaces/team/-/service-accounts/team/?size=100", 12),
    "logins": ("/account/logins/?size=100", 5),
    "access-token-create": ("/account/tokens/-/create/", 5),
    "security": ("/account/security/", 7),
    "invitations": ("/invitations/", 3),
    "account-activity": ("/account/activity/", 6),
}
NO_LISTS = {
    "home", "healthz", "sign-in", "sign-out", "account", "password_change", "password_change_done", "password_reset",
    "password_reset_done", "password_reset_confirm", "password_reset_complete", "activate", "activation-steps",
    "registry-password", "registry-status", "images-version", "usage-guide", "image-commands", "image-row",
    "image-version", "image-info", "image-settings", "image-describe", "image-visibility", "copy-dismiss",
    "manifest-raw", "namespace-create",
    "namespace-delete", "namespace-settings", "namespace-leave", "namespace-hand-over", "namespace-hand-over-accept",
    "namespace-hand-over-decline", "namespace-hand-over-offer", "namespace-hand-over-take-back", "member-add-team",
    "member-change", "member-remove", "owner-change", "owner-remove", "image-add-team",
    "docker-hub-refresh", "docker-hub-version", "official-image-cached", "official-image-version",
    "team-create", "team-settings", "team-leave", "team-member-add", "team-manager", "team-member-remove",
    "transfer-cancel", "access-token-revoke", "transfer-retry", "transfer-dismiss", "star", "star-official", "token",
    "notifications", "login-revoke", "logins-revoke", "admin-sign-in", "admin-password-change",
    "second-factor", "sign-in-passkey", "sign-in-link", "sso", "sso-callback", "confirm", "app", "app-picture",
    "recovery-codes", "recovery-codes-file", "passkey-add", "passkey-rename", "factor-remove", "identity-connect",
    "identity-confirm", "identity-disconnect", "failure-retry", "failure-dismiss",
    "help", "help-page", "help-administration", "help-certificate", "help-certificate-file",
    "account-name", "email-change", "email-change-cancel",
    "email-change-send", "email-confirm", "account-preferences", "account-theme",
    "service-account-create", "service-account-describe", "service-account-delete", "service-account-token-create",
    "service-account-token-revoke",
    "checklist-close", "gate-catalog", "gate-tags", "gate-manifest", "gate-referrers", "gate-unknown",
    "invitation", "invitation-create", "invitation-link", "invitation-accept", "invitation-decline",
    "invitation-revoke", "sign-up", "sign-up-sent", "sign-up-finish", "sign-up-link",
    "gate-chunk", "gate-start-upload", "gate-uploads", "gate-upload", "gate-blob",
}  # fmt: skip
# Its filters ask for what there is to choose from.
MOST_IN_ADMIN = 11
# Of accounts, storage, jobs, problems and events there are numbers and the newest; the rest is what needs attention.
MOST_ON_THE_FRONT_PAGE = 21
ADMIN_LISTS = sorted(model._meta.label_lower for model in admin.site._registry)


def addresses(resolver):
    """The names of all addresses, less those of the administration."""
    for pattern in resolver.url_patterns:
        if not hasattr(pattern, "url_patterns"):
            yield pattern.name
        elif getattr(pattern, "namespace", None) != "admin":
            yield from addresses(pattern)


def test_each_address_is_known_to_be_a_list_or_none():
    known = set(LISTS) | NO_LISTS
    assert set(addresses(get_resolver())) == known, "name a new address in LISTS, or in NO_LISTS when it has no rows"
    assert not set(LISTS) & NO_LISTS


@pytest.fixture
def world(ann, team):
    return World(ann, team)


def count(client, path):
    """How many queries a page takes that is asked for a second time."""
    assert client.get(path).status_code == 200, path
    with CaptureQueriesContext(connection) as queries:
        response = client.get(path)
    assert response.status_code == 200, path
    return len(queries), len(response.content)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_takes_as_many_queries_with_many_rows_as_with_few(client, world, name):
    path, most = LISTS[name]

    def ask():
        ticked = "&".join(
            f"image={key}" for key in Image.objects.filter(namespace=world.team).values_list("pk", flat=True)
        )
        tags = "&".join(f"tag=v{one}" for one in range(world.made))
        return count(client, path.format(ticked=ticked, tags=tags))

    world.grow(2)
    few, short = ask()
    world.grow(10)
    many, long = ask()
    assert many == few <= most
    # The rows are there: a page that shows none of them would prove nothing.
    assert long > short or name in {"image"}


def test_the_front_page_of_the_administration(client, world):
    world.ann.is_staff = world.ann.is_superuser = True
    world.ann.save()
    world.grow(2)
    few, short = count(client, "/admin/")
    world.grow(20)
    many, long = count(client, "/admin/")
    assert many == few <= MOST_ON_THE_FRONT_PAGE
    assert long > short


@pytest.mark.parametrize("label", ADMIN_LISTS)
def test_a_list_of_the_administration(client, world, label):
    world.ann.is_staff = world.ann.is_superuser = True
    world.ann.save()
    app, model = label.split(".")
    path = reverse(f"admin:{app}_{model}_changelist")
    world.grow(2)
    few, short = count(client, path)
    world.grow(10)
    many, long = count(client, path)
    assert many == few <= MOST_IN_ADMIN
    assert long > short or label == "dockerhub.catalogue"  # which has one row
