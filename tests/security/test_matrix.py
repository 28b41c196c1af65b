"""Every address, for everybody, with every method: it answers what is written down, and changes what it may."""

import pytest
from django.urls import URLResolver, get_resolver

from tests.security.admin_rows import ADMIN
from tests.security.answers import METHODS, ROLES
from tests.security.console_rows import CONSOLE
from tests.security.site import Site, in_words, matches

ROWS = [*CONSOLE, *ADMIN]


def routes(resolver=None, before=""):
    """Each route of the site, put together."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, route)
        else:
            yield route


def test_each_address_has_a_row_and_each_row_an_address():
    written, there = [row.route for row in ROWS], set(routes())
    assert len(written) == len(set(written)), "two rows for one address"
    assert there - set(written) == set(), "addresses without a row: see the top of console_rows.py"
    assert set(written) - there == set(), "rows of addresses that are gone"


def wrong_answers(site, row):
    """Each answer of an address that is not the one written down, as a line."""
    path = site.path(row)
    for role in ROLES:
        with site.as_role(role) as ask:
            for method in METHODS:
                response, tables = ask(method, path, row.form)
                given, expected = in_words(response, tables, path), site.fill(row.expected(role, method), row.words)
                if not matches(expected, given):
                    yield (
                        f"/{row.route} ({path}) {role} {method}: {given}, not {expected}; "
                        f"written: {', '.join(sorted(tables)) or 'nothing'}"
                    )


@pytest.mark.django_db
@pytest.mark.parametrize("rows", [CONSOLE, ADMIN], ids=["console", "administration"])
def test_the_answers(rows):
    site = Site()
    wrong = [line for row in rows for line in wrong_answers(site, row)]
    assert not wrong, "\n".join([f"{len(wrong)} answers are not those written down", *wrong])
