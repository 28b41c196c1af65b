"""What is found, and where: one statement for all kinds, and one before it for names of images.

Each kind is searched by the rules of its own list, among what that list shows the account. Of each kind a bounded
number of rows is read, by indexes: names by ``console.repositories.search``, words by ``console.repositories.words``.
The index of tags narrows by words alone: a word that very many tags have is read for all accounts.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    BooleanField,
    Case,
    CharField,
    DateTimeField,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Cast

from console.accounts.models import Account
from console.images.tags import tags_matching, without_attached
from console.membership.models import Grant
from console.namespaces.models import Namespace
from console.official_images.models import OfficialImage
from console.repositories import search
from console.repositories.models import Image, ImageWords, Tag
from console.repositories.models.image import ImageQuerySet, allowing
from console.repositories.words import TAG_WORDS, described, last_begins, matches, tag_words
from console.search.typed import Typed

IMAGES, NAMESPACES, TAGS, PUBLIC, OFFICIAL = "images", "namespaces", "tags", "public", "official"
KINDS = (IMAGES, NAMESPACES, TAGS, PUBLIC, OFFICIAL)
# Matches of a kind that are counted and can be shown.
MOST = 100
# Of so many rows that match the best are chosen: where more match, people type on.
_CANDIDATES = 1000

_NOTHING = Value("", output_field=CharField())
_NEVER = Cast(Value(None), DateTimeField())


class Match(NamedTuple):
    """Something that was found.

    :param part: the query that found it: names before descriptions, whole names first.
    :param state: of an image its visibility, or ``deleting``.
    :param described: whether its name does not match, but its description.
    """

    part: int
    kind: str
    key: int
    name: str
    tag: str
    summary: str
    state: str
    moment: datetime.datetime | None
    weight: int
    described: bool


def kinds_shown() -> tuple[str, ...]:
    """The kinds that this installation has."""
    return KINDS if settings.DOCKERHUB_ENABLED else tuple(kind for kind in KINDS if kind != OFFICIAL)


def find(account: Account, typed: Typed, kinds: Collection[str]) -> dict[str, list[Match]]:
    """What the account may see of these kinds and finds, the best first; of each kind at most one more than ``MOST``.

    At most four queries.
    """
    found: dict[str, dict[int, Match]] = {kind: {} for kind in KINDS if kind in kinds}
    queries = list(_queries(account, typed, kinds))
    if not queries:
        return {}
    rows = queries[0].union(*queries[1:], all=True) if len(queries) > 1 else queries[0]
    for match in sorted(map(Match._make, rows), key=_place):
        found[match.kind].setdefault(match.key, match)
    return {kind: list(rows.values())[: MOST + 1] for kind, rows in found.items()}


def _place(match: Match) -> tuple[int, int, float, str]:
    """The sort key: no order of a statement's parts is promised."""
    return match.part, match.weight, -match.moment.timestamp() if match.moment else 0, match.name


def _queries(account: Account, typed: Typed, kinds: Collection[str]) -> Iterator[QuerySet[Any, Any]]:
    """The queries for these kinds, each of a few rows with the columns of ``Match``."""
    part = iter(range(100))

    def rows(queryset: QuerySet[Any, Any], kind: str, name: str, **columns: Any) -> QuerySet[Any, Any]:
        described = columns.get("described", False)
        return queryset.values_list(
            Value(next(part)), Value(kind, output_field=CharField()), F("pk"), F(name),
            columns.get("tag", _NOTHING), columns.get("summary", _NOTHING), columns.get("state", _NOTHING),
            columns.get("moment", _NEVER), columns.get("weight", Value(0)), Value(described),
        )[: MOST + 1]  # fmt: skip

    image_columns = {
        "summary": F("summary"),
        "state": Case(When(state=Image.State.DELETING, then=F("state")), default=F("visibility")),
    }
    if typed.names and (IMAGES in kinds or PUBLIC in kinds):
        named, many = search.find(Image.objects.readable_by(account), typed.names)
        for kind, of_kind in ((IMAGES, _own), (PUBLIC, _of_others)):
            if kind in kinds:
                exact = of_kind(Image.objects.all(), account).filter(Q(name=typed.names) | Q(full_name=typed.names))
                yield rows(exact.order_by("full_name"), kind, "full_name", **image_columns)
                begins = _rank(name__startswith=typed.names)
                if many:  # read in the order of an index
                    some = search.containing(of_kind(Image.objects.all(), account), typed.names).order_by("name", "pk")
                else:
                    some = of_kind(named, account).order_by(begins, "full_name")
                yield rows(some, kind, "full_name", weight=begins, **image_columns)
    for kind, of_kind in ((IMAGES, _own), (PUBLIC, _of_others)):
        if kind in kinds and typed.words:
            sharing = _sharing(account) if kind == IMAGES else ()
            query = described(account.pk, [*typed.words], of_others=kind == PUBLIC, sharing=sharing)
            having = ImageWords.objects.filter(matches(F("words"), query))
            if sharing:  # their owners have other images, too, which must not fill the candidates
                having = having.filter(allowing(account, "image.view", "image__"))
            few = having.order_by().values("pk")[:_CANDIDATES]
            said = of_kind(Image.objects.all(), account).filter(_one_of(few)).order_by("full_name")
            yield rows(said, kind, "full_name", described=True, **image_columns)
    if NAMESPACES in kinds:
        namespaces = Namespace.objects.visible_to(account).matching(typed.text)
        weight = _rank(name__iexact=typed.text)
        yield rows(namespaces.order_by(weight, "name"), NAMESPACES, "name", weight=weight)
    if TAGS in kinds and (words := tag_words(typed.tag)):
        for queryset in _tags(account, typed, words):
            some_tags = queryset.order_by().values("pk")[:_CANDIDATES]
            newest = Tag.objects.filter(_one_of(some_tags)).order_by("-pushed_at")
            yield rows(newest, TAGS, "image__full_name", tag=F("name"), moment=F("pushed_at"))
    if OFFICIAL in kinds and typed.official and settings.DOCKERHUB_ENABLED:
        official = OfficialImage.objects.filter(listed=True).matching(typed.official)
        weight = Case(
            When(name=typed.official, then=0),
            When(name__startswith=typed.official, then=1),
            When(name__icontains=typed.official, then=2),
            default=3,
            output_field=IntegerField(),
        )
        yield rows(official.order_by(weight, "name"), OFFICIAL, "name", summary=F("description"), weight=weight)


def _one_of(keys: QuerySet[Any, Any]) -> Func:
    """Whether the primary key is one of these, which are read once: for ``IN`` they may be read again for each row."""
    return Func(
        F("pk"), ArraySubquery(keys), template="(%(expressions)s))", arg_joiner=" = ANY(", output_field=BooleanField()
    )


def _own(images: ImageQuerySet, account: Account) -> ImageQuerySet:
    return images.visible_to(account)


def _of_others(images: ImageQuerySet, account: Account) -> ImageQuerySet:
    """Public images of others: one's own, and those shared with one, are among one's images."""
    return images.public().exclude(allowing(account, "image.view"))


def _sharing(account: Account) -> Collection[int]:
    """The owners of what is shared with the account, by primary key."""
    grants = Grant.objects.held_by(account.pk).exclude(namespace__owner=account)
    return set(grants.order_by().values_list("namespace__owner", flat=True))


def _rank(**condition: Any) -> Case:
    """0 for what meets the condition, 1 for all else."""
    return Case(When(**condition, then=0), default=1, output_field=IntegerField())


def _tags(account: Account, typed: Typed, words: list[str]) -> Iterator[QuerySet[Tag]]:
    """The tags of one's images: those of this name, and those that contain it."""
    images = Image.objects.visible_to(account)
    if typed.images_of_tag:
        images, _many = search.find(images, typed.images_of_tag)
    tags = without_attached(Tag.objects.filter(image__in=images, state=Tag.State.ACTIVE), OuterRef("image"))
    yield tags.filter(matches(TAG_WORDS, f"'{typed.tag.lower()}'")).filter(name__iexact=typed.tag)
    yield tags_matching(tags.filter(matches(TAG_WORDS, last_begins(words))), typed.tag)
