"""Every page and dialog of the site, from the rows of the security tests: a page that is added there is shown here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from django.test import Client

from tests.security.answers import Row
from tests.security.site import Site
from tests.security.test_matrix import ROWS, routes

# Whose page is taken, the first that may see it.
ROLES = ("owner", "superuser", "new", "anonymous")
ERRORS = ("400", "403", "404", "413", "429", "500", "503", "csrf", "host")
# Sentences about what does not fit at a width.
MEASURE = Path(__file__).with_name("layout.js").read_text()
# Opens a dialog as a press on its button does.
OPEN = """([method, path, values]) => {
  const token = document.querySelector("#stars [name=csrfmiddlewaretoken]").value;
  return htmx.ajax(method, path, { target: "#dialog", values: { ...values, csrfmiddlewaretoken: token } });
}"""


class Shown(NamedTuple):
    """A page or a dialog: who sees it, and where."""

    row: Row
    role: str
    path: str
    dialog: bool


def known(site: Site, roles_of: Callable[[Row], Sequence[str]] = lambda row: ROLES) -> Iterator[Shown]:
    """Each page and dialog that the site answers with.

    :param roles_of: who may be asked for, the best first.
    """
    assert set(routes()) == {row.route for row in ROWS}, "a new address needs a row in tests/security first"
    for row in ROWS:
        role = next((role for role in roles_of(row) if row.GET[role][:3] in {"200", "410"}), None)
        if role is None:
            continue
        client = Client()
        client.cookies = site.cookies[role]
        answer = client.get(site.path(row), headers={"HX-Request": "true"})
        begin = b"" if answer.streaming else answer.content.lstrip()[:9].lower()
        # All else are parts of pages, files, and answers to programs.
        if answer.status_code in {200, 410} and begin in {b"<!doctype", b"<dialog a"}:
            yield Shown(row, role, site.path(row), begin == b"<dialog a")
