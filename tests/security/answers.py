"""The words that the table of answers is written in.

An *answer* is a text: a status, where a redirect leads to (``302 /images/``, or one of the names below), and at the end
what may be written to the database meanwhile: nothing when there is nothing, ``+`` for something that counts, ``~`` for
bookkeeping alone (sessions, wrong guesses, when something was last used).

A *pattern* says for each role what its answer is. Each of the functions below makes one; ``but`` changes it for a role:
``but(signed_in("200"), new="302 /images/")``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Who asks. ``new`` has not activated the service; ``deactivated`` is the owner, deactivated with a session still open;
# ``staff`` may use the administration and do nothing there, ``clerk`` has every permission that can be given there.
# ``superuser`` and ``clerk`` own nothing.
ROLES = ("anonymous", "new", "owner", "other", "deactivated", "staff", "clerk", "superuser")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

SIGN_IN, ADMIN_SIGN_IN, IMAGES = "302 /sign-in/?next=", "302 /admin/login/?next=", "302 /images/"
Pattern = Mapping[str, str]


def anybody(answer: str) -> Pattern:
    """The same for everybody."""
    return dict.fromkeys(ROLES, answer)


def but(pattern: Pattern, **answers: str) -> Pattern:
    """Another answer for some roles."""
    assert answers.keys() <= set(ROLES), answers
    return {**pattern, **answers}


def signed_in(answer: str) -> Pattern:
    """Those who are signed in; others are sent to sign in."""
    return but(anybody(answer), anonymous=SIGN_IN, deactivated=SIGN_IN)


def activated(answer: str) -> Pattern:
    """Those whose service is activated, too; others are sent to activate it."""
    return but(signed_in(answer), new=IMAGES)


def owner(answer: str, others: str = "404") -> Pattern:
    """The owner alone; nobody else learns that it exists, administrators on the pages included."""
    return but(activated(others), owner=answer)


def administrators(answer: str, *, clerk: str = "", staff: str = "403") -> Pattern:
    """The administration: superusers, and those with the permission (``clerk``, as superusers unless said).

    Whoever is no administrator is sent to sign in as one.
    """
    return but(anybody(ADMIN_SIGN_IN), staff=staff, clerk=clerk or answer, superuser=answer)


REFUSED = anybody("405")


@dataclass(frozen=True)
class Row:
    """An address.

    :ivar route: as the URL configuration has it, put together.
    :ivar GET: and its like: a pattern for each method. What is not said is 405 for everybody.
    :ivar form: what is posted: what succeeds for the owner. ``{words}`` are filled in by ``site.Site.words``.
    :ivar words: other words for this row alone, for what stands in its address.
    """

    route: str
    GET: Pattern = field(default_factory=lambda: REFUSED)
    POST: Pattern = field(default_factory=lambda: REFUSED)
    HEAD: Pattern = field(default_factory=lambda: REFUSED)
    OPTIONS: Pattern = field(default_factory=lambda: REFUSED)
    PUT: Pattern = field(default_factory=lambda: REFUSED)
    PATCH: Pattern = field(default_factory=lambda: REFUSED)
    DELETE: Pattern = field(default_factory=lambda: REFUSED)
    form: Mapping[str, str | list[str]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    def expected(self, role: str, method: str) -> str:
        """The answer."""
        return getattr(self, method, REFUSED)[role]


# A converter's name and a word's: <namespace:name> and <official:name> are two different words.
PART = re.compile(r"<([^<>]+)>")
