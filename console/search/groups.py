"""What was found, as groups of rows for pages: name, kind, and the description's beginning or where it matched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import F, Value
from django.db.models.functions import Greatest, Lower, StrIndex, Substr
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.accounts.models import Account
from console.repositories.models import Image
from console.search.matches import IMAGES, MOST, NAMESPACES, OFFICIAL, PUBLIC, TAGS, Match
from console.search.typed import Typed
from console.web import fragments
from console.web.excerpts import any_of, around, marked_html
from console.web.fast_urls import address_of
from console.web.templatetags.console import ago, number

LABELS = {
    IMAGES: gettext_lazy("Images"),
    NAMESPACES: gettext_lazy("Namespaces"),
    TAGS: gettext_lazy("Tags"),
    PUBLIC: gettext_lazy("Public images"),
    OFFICIAL: gettext_lazy("Official images"),
}
# The list of a kind, by the name of its address. No list has the tags of all images.
LISTS = {IMAGES: "images", NAMESPACES: "namespaces", PUBLIC: "public-images", OFFICIAL: "docker-hub"}
# Characters of a description before its match that are read, those of them that are shown, and all that are read.
_BEFORE, _SHOWN_BEFORE, _READ = 100, 24, 400
_MARKS = re.compile(r"\]\([^)\s]*\)?|[#*`>|~\[\]]+")


@dataclass(frozen=True)
class Group:
    """The matches of one kind.

    :param rows: the first ones as HTML.
    :param count: their number in words, with a plus where not all were counted.
    :param more: whether there are more than ``rows``.
    :param everything: the address of all that match.
    :param in_list: the address of the kind's own list with the same search; empty where there is none.
    """

    kind: str
    label: str
    rows: list[SafeString]
    count: str
    total: int
    more: bool
    everything: str
    in_list: str


def groups(account: Account, typed: Typed, found: dict[str, list[Match]], most: int) -> list[Group]:
    """The groups that have matches, with at most ``most`` rows each. At most one query."""
    shown = {kind: matches[:most] for kind, matches in found.items() if matches}
    excerpts = _excerpts(account, typed, [match for matches in shown.values() for match in matches])
    any_word = any_of(typed.any_word)
    return [
        Group(
            kind=kind,
            label=str(LABELS[kind]),
            rows=[_row(match, any_word, excerpts.get(match.key, "") if match.described else "") for match in matches],
            count=number(len(found[kind])) if len(found[kind]) <= MOST else f"{number(MOST)}+",
            total=len(found[kind]),
            more=len(found[kind]) > len(matches),
            everything=address(typed.text, kind),
            # The lists search names alone.
            in_list="" if all(match.described for match in found[kind]) else _in_list(typed, kind),
        )
        for kind, matches in shown.items()
    ]


def address(text: str, kind: str = "") -> str:
    """The address of the page with what is found, of one kind or of all."""
    return f"{reverse('search')}?{urlencode({'q': text, 'in': kind} if kind else {'q': text})}"


def _in_list(typed: Typed, kind: str) -> str:
    if kind not in LISTS:
        return ""
    text = {NAMESPACES: typed.text, OFFICIAL: typed.official}.get(kind, typed.names)
    return f"{reverse(LISTS[kind])}?{urlencode({'q': text})}"


def _excerpts(account: Account, typed: Typed, matches: Iterable[Match]) -> dict[int, str]:
    """The words around the match in the descriptions of these images, where the summary does not have it."""
    longest = max(typed.words, key=len, default="")
    keys = [
        match.key
        for match in matches
        if match.described and match.kind in {IMAGES, PUBLIC} and longest not in match.summary.lower()
    ]
    if not keys:
        return {}
    images = Image.objects.readable_by(account).filter(pk__in=keys).annotate(
        place=StrIndex(Lower("description"), Value(longest)),
        read=Substr("description", Greatest(F("place") - _BEFORE, Value(1)), _READ),
    )  # fmt: skip
    any_word = any_of(typed.any_word)
    return {
        key: around(_plain(text), any_word, before=_SHOWN_BEFORE, inside=place > _BEFORE)
        for key, place, text in images.values_list("pk", "place", "read")
    }


def _plain(text: str) -> str:
    """A piece of Markdown without most of its marks, on one line."""
    return " ".join(_MARKS.sub(" ", text).split())


def _row(match: Match, any_word: re.Pattern[str], excerpt: str) -> SafeString:
    name = f"{match.name}:{match.tag}" if match.kind == TAGS else match.name
    text = excerpt or match.summary
    values = {
        "address": _address(match),
        "name": name,
        "title": marked_html(name, any_word),
        "kind": _kind(match),
        "text": text,
        "said": marked_html(text, any_word),
        "when": ago(match.moment) if match.moment else "",
        "in_description": bool(excerpt),
        "image": match.kind in {IMAGES, PUBLIC},
        "namespace": match.kind == NAMESPACES,
        "tag": match.kind == TAGS,
    }
    return fragments.render("search/_hit.html", values)


def _address(match: Match) -> str:
    if match.kind == TAGS:
        return address_of("tag", match.name, match.tag)
    views = {IMAGES: "image", NAMESPACES: "namespace", PUBLIC: "public-image", OFFICIAL: "official-image"}
    return address_of(views[match.kind], match.name)


def _kind(match: Match) -> str:
    """What it is, in words."""
    if match.kind in {IMAGES, PUBLIC}:
        states = {"private": _("Private image"), "public": _("Public image"), "deleting": _("Image being deleted")}
        return states[match.state]
    return {NAMESPACES: _("Namespace"), TAGS: _("Tag"), OFFICIAL: _("Official image")}[match.kind]


def count_all(found: Sequence[Group]) -> tuple[int, bool]:
    """How many matches there are in all groups, and whether not all were counted."""
    return sum(min(group.total, MOST) for group in found), any(group.total > MOST for group in found)
