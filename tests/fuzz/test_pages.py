"""Pages asked with wild text: in the query, in forms, in addresses, in headers and cookies. None of it is a 500.

What a view raises comes out of Django's client, so that it is shown with what caused it.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import wild
from tests.fuzz.budget import examples
from tests.fuzz.test_texts import MADE_UP_KEYS
from tests.support.site_addresses import every_address
from tests.support.site_rows import INDEX, World
from tests.web.test_queries import LISTS

pytestmark = pytest.mark.django_db

# Protocols of their own, which have tests of their own.
ELSEWHERE = {"token", "notifications"}
# What our pages look at in a query, all of which they are asked with at once; and the administration's lists, which
# refuse the whole for any of it.
QUERY = [
    "q", "sort", "page", "after", "before", "last", "size", "next", "platform", "namespace", "type", "kind", "look",
    "image", "tag", "reference", "name", "platforms",
]  # fmt: skip
ADMIN_QUERY = [
    "q", "o", "p", "all", "e", "_popup", "_to_field", "_changelist_filters", "at__year", "at__day", "state__exact",
    "tag", "name", "id__exact", "state", "revoked_at__isempty", "activated", "term", "app_label", "model_name",
    "reason__exact",
]  # fmt: skip
# Then what forms send.
FIELDS = [
    "username", "password", "old_password", "new_password1", "new_password2", "email", "name", "namespace", "next",
    "description", "visibility", "reference", "tag", "tags", "images", "platforms", "attached", "confirm", "typed",
    "star", "access", "namespaces", "reach", "expires", "date", "transfer_to", "action", "_selected_action", "index",
    "select_across", "account_id", "is_active", "until_0", "until_1", "csrfmiddlewaretoken", "post", "initial-name",
]  # fmt: skip
RIGHT = st.sampled_from(
    [
        "1",
        "team",
        "app",
        "team/app",
        "v0",
        "multi",
        INDEX,
        "name",
        "-pushed",
        "public",
        "on",
        "2026-01-01",
        "delete_selected",
    ]
)
VALUES = RIGHT | wild.WHOLE_TEXTS | MADE_UP_KEYS | st.integers().map(str)


def _pairs(names):
    return st.lists(st.tuples(st.sampled_from(names) | wild.WHOLE_TEXTS, VALUES), max_size=5)


ALL_OF_QUERY = st.fixed_dictionaries({}, optional=dict.fromkeys(QUERY, VALUES))
NAMES_OF_HEADERS = [
    "HX-Request", "HX-Current-URL", "HX-Current-URL-URI-AutoEncoded", "HX-Target", "HX-Trigger", "Referer", "Range",
    "If-None-Match", "If-Modified-Since", "Accept-Language", "Accept-Encoding", "X-Forwarded-For", "Accept",
]  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(NAMES_OF_HEADERS), st.just("true") | wild.WHOLE_TEXTS.map(wild.in_header), max_size=2
)


@pytest.fixture
def world(ann, team):
    """Something of everything, all of which ``ann`` sees, who is an administrator, too."""
    ann.is_staff = ann.is_superuser = True
    ann.save()
    made = World(ann, team)
    made.grow(1)
    return made


def _ask(client, method, path, query, form, headers):
    """The status; whatever it changed is undone, signing out included."""
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    with transaction.atomic():
        response = client.generic(
            method,
            path,
            urlencode(form).encode() if method == "POST" else b"",
            content_type="application/x-www-form-urlencoded",
            headers=headers,
            QUERY_STRING=urlencode(query),
        )
        if not response.streaming:
            assert response.content is not None
        transaction.set_rollback(True)
    client.cookies.clear()
    for name, value in cookies.items():
        client.cookies[name] = value
    return response.status_code


def test_queries_forms_and_headers(cases, client, world):
    addresses = sorted({(name, path) for name, path, _view in every_address() if name not in ELSEWHERE})
    assert len(addresses) > 80

    lists = [address for address in addresses if address[0] in LISTS]
    ours = [address for address in addresses if not address[0].startswith("admin:")]
    theirs = [address for address in addresses if address[0].endswith("_changelist")]
    assert len(lists) == len(LISTS) and len(ours) > 50 and len(theirs) > 10

    @given(st.sampled_from(lists) | st.sampled_from(ours), ALL_OF_QUERY, HEADERS)
    @examples(150)
    def ask(address, query, headers):
        cases("queries of pages")
        assert _ask(client, "GET", address[1], query, [], headers) < 500, address

    @given(st.sampled_from(theirs) | st.sampled_from(addresses), st.sampled_from(ADMIN_QUERY), st.just("\0") | VALUES)
    @examples(150)
    def ask_administration(address, name, value):
        cases("queries of the administration")
        assert _ask(client, "GET", address[1], {name: value}, [], {}) < 500, address

    @given(st.sampled_from(addresses), _pairs(QUERY), _pairs(FIELDS), HEADERS)
    @examples(150)
    def send(address, query, form, headers):
        cases("forms")
        assert _ask(client, "POST", address[1], query, form, headers) < 500, address

    ask()
    ask_administration()
    send()


def test_parts_of_addresses(cases, client, world):
    """Each part in turn is something else."""
    addresses = sorted({path for name, path, _view in every_address() if name not in ELSEWHERE})

    @given(st.sampled_from(addresses), st.integers(0, 8), VALUES | wild.NAMES | wild.DIGESTS)
    @examples(200)
    def ask(path, number, text):
        cases("parts of addresses")
        parts = path.split("/")
        parts[number % len(parts)] = quote(text.encode("utf-8", "ignore"), safe="/")
        assert _ask(client, "GET", "/" + "/".join(parts).lstrip("/"), [], [], {}) < 500, parts

    ask()


COOKIES = st.sampled_from([settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, "messages", "django_language"])


def test_cookies(cases, client, db):
    """A cookie can hold what the database cannot: between quotation marks an octal number stands for a character."""
    values = wild.WHOLE_TEXTS.map(wild.in_header) | st.sampled_from(
        ['"abcdefgh\\000"', '"\\000"', "x" * 500, '"\\377abcdefgh"']
    )

    @given(COOKIES, values, st.sampled_from(["GET", "POST"]))
    @examples(80)
    def ask(name, value, method):
        cases("cookies")
        response = client.generic(method, "/images/", headers={"Cookie": f"{name}={value}"})
        assert response.status_code < 500
        client.cookies.clear()

    ask()
