"""Every address, for everybody, with every method: it answers what is written down, and changes what it may."""

from collections import defaultdict

import pytest
from django.urls import URLResolver, get_resolver

from tests.security.admin_rows import ADMIN
from tests.security.answers import METHODS, ROLES
from tests.security.console_rows import CONSOLE
from tests.security.site import Site, in_words, matches

ROWS = [*CONSOLE, *ADMIN]
MOST_SHOWN = 60


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
    """The answers of an address that are not those written down: a line for each difference, and who met it how."""
    path, found = site.path(row), defaultdict(list)
    for role in ROLES:
        with site.as_role(role) as ask:
            for method in METHODS:
                response, tables = ask(method, path, row.form)
                given, expected = in_words(response, tables, path), site.fill(row.expected(role, method), row.words)
                if not matches(expected, given):
                    found[given, expected, " ".join(sorted(tables))].append(f"{role} {method}")
    for (given, expected, tables), asked in found.items():
        written = f", having written {tables}" if tables else ""
        yield f"/{row.route} ({path}) answers {given}{written}, not {expected}, to {', '.join(asked)}"


@pytest.mark.django_db
@pytest.mark.parametrize("rows", [CONSOLE, ADMIN], ids=["console", "administration"])
def test_the_answers(rows):
    site = Site()
    wrong = [line for row in rows for line in wrong_answers(site, row)]
    assert not wrong, "\n".join([f"{len(wrong)} answers are not those written down", *wrong[:MOST_SHOWN]])
