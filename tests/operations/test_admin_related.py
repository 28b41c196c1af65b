"""The page of a row leads to what belongs to it, and to its audit events; lists say what is searched in them."""

import html
import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission

from console.access_tokens import services as access_tokens
from console.audit.services import record
from console.official_images.models import Catalogue
from console.repositories.models import Image
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory, TagFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


def related(page):
    """The card's facts: by name, what it says and the list's address."""
    card = text_of(page).partition('aria-labelledby="related-title"')[2].partition("</section>")[0]
    facts = re.findall(r'<dt>([^<]+)</dt>\s*<dd><a href="([^"]+)">([^<]+)</a></dd>', card)
    return {name: (said.replace("\N{NO-BREAK SPACE}", " "), html.unescape(to)) for name, to, said in facts}


def rows(page):
    return list(page.context["cl"].result_list)


def test_what_belongs_to_an_account(client, boss):
    ann = ActivatedAccountFactory(name="Ann")
    space = NamespaceFactory(owner=ann)
    image = ImageFactory(namespace=space)
    ImageFactory()  # of somebody else
    Image.objects.filter(pk=image.pk).update(size=3 * 2**29)
    token, _secret = access_tokens.create(ann, "ci", can_push=True)
    found = related(client.get(f"/admin/accounts/account/{ann.pk}/change/"))
    assert {name: said for name, (said, _to) in found.items()} == {
        "Namespaces": "1",
        "Images": "1, 1.5 GiB",
        "Access tokens": "1",
        "Docker logins": "0",
        "Second factors": "0",
        "Single sign-on identities": "0",
        "Roles": "0",
        "Team members": "0",
        "Activity": "Show",
    }
    event = record("image.create", "app", actor=ann.account_id)
    assert rows(client.get(found["Activity"][1]))[0] == event
    assert rows(client.get(found["Namespaces"][1])) == [space]
    assert rows(client.get(found["Access tokens"][1])) == [token]
    page = client.get(found["Images"][1])
    assert rows(page) == [image]
    # What the list is filtered by stands above it, with the way to all.
    shown = text_of(page).split('id="changelist-filter"')[1]
    assert ">Owner</span>" in shown and f'<a href="?owner__exact={ann.pk}" aria-current="true">{ann}</a>' in shown
    assert ">Owner</span>" not in text_of(client.get("/admin/images/image/")).split("<main", 1)[1]
    assert client.get("/admin/images/image/?owner__exact=x").status_code == 302


def test_what_belongs_to_a_namespace_and_an_image(client, boss):
    tag = TagFactory()
    TagFactory()
    space = client.get(f"/admin/namespaces/namespace/{tag.image.namespace.pk}/change/")
    assert rows(client.get(related(space)["Images"][1])) == [tag.image]
    image = related(client.get(f"/admin/images/image/{tag.image.pk}/change/"))
    assert {name: count for name, (count, _to) in image.items()} == {"Tags": "1", "Imports": "0", "Copies": "0"}
    assert rows(client.get(image["Tags"][1])) == [tag]


def test_only_what_one_may_see(client):
    clerk = AccountFactory(is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=("view_account", "view_namespace")))
    client.force_login(clerk)
    page = client.get(f"/admin/accounts/account/{AccountFactory().pk}/change/")
    assert set(related(page)) == {"Namespaces"}
    assert "historylink" not in text_of(page)


def test_the_history_is_in_the_audit_log(client, boss):
    space = NamespaceFactory(name="payments")
    event = record("namespace.create", "payments")
    record("namespace.create", "other")
    page = text_of(client.get(f"/admin/namespaces/namespace/{space.pk}/change/"))
    (address,) = re.findall(r'<a href="([^"]+)" class="historylink">History</a>', page)
    assert address == "/admin/audit/auditevent/?target=payments"
    assert rows(client.get(address)) == [event]


@pytest.mark.parametrize("label", sorted(model._meta.label_lower for model in admin.site._registry))
def test_a_list_says_what_is_searched(client, boss, label):
    options = next(found for model, found in admin.site._registry.items() if model._meta.label_lower == label)
    assert bool(options.search_fields) == bool(options.search_help_text)
    if options.search_fields:
        page = text_of(client.get(f"/admin/{label.replace('.', '/')}/"))
        assert f'placeholder="{options.search_help_text}"' in page


def test_the_only_catalogue_is_shown_without_a_list(client, boss):
    address = "/admin/dockerhub/catalogue/"
    assert client.get(address).status_code == 200
    row = Catalogue.objects.create()
    page = text_of(client.get(address))
    assert f"<h1>{row}" in page.replace("<wbr>", "") and "closelink" not in page


def test_the_help_for_administrators_leads_to_the_administration(client, boss):
    page = text_of(client.get("/help/administration/operations/"))
    pages = page.split('class="help-pages"')[1].split("</nav>")[0]
    assert '<a href="/admin/">Administration</a>' in pages
    client.force_login(AccountFactory())
    page = text_of(client.get("/help/getting-started/"))
    assert '"/admin/"' not in page.split('class="help-pages"')[1].split("</nav>")[0]
