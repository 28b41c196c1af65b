"""Compare two tags of an image."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from console.accounts.requests import Request
from console.images import tags as tag_list
from console.images.comparison import Mark, compare, platforms
from console.images.config_details import read_details
from console.images.views import image_context, own_image
from console.repositories.models import Image, Manifest, Tag
from console.web.activated import activated
from console.web.excerpts import shorten
from console.web.rendering import page

# Tags that the fields suggest.
_MOST_SUGGESTED = 100
# What the page shows of two tags; nothing while one is not named.
_OF_TWO = ("before", "same_digest", "platforms", "platform", "nothing_common", "one_sided", "same_platform")
# Characters of a platform's name.
_LONGEST_PLATFORM = 40


@require_GET
@activated
def compare_tags(request: Request, repository: str) -> HttpResponse:
    """What differs between two tags, read from the index: the registry is not asked.

    A tag that is not named is asked for; for one that does not exist the field says so, with status 404.
    """
    image = own_image(request, repository)
    names = [request.GET.get(name, "").replace("\x00", "").strip() for name in ("from", "to")]
    before, after = (tag_list.tag_named(image, name) if name else None for name in names)
    missing = [bool(name) and tag is None for name, tag in zip(names, (before, after), strict=True)]
    context = {
        **image_context(request, image, "tags"),
        "from_name": names[0],
        "to_name": names[1],
        "from_missing": missing[0],
        "to_missing": missing[1],
        "known": tag_list.last_names(image, _MOST_SUGGESTED),
        **dict.fromkeys(_OF_TWO),
    }
    if before and after:
        context |= _compared(image, before, after, request.GET.get("platform"))
    status = HTTPStatus.NOT_FOUND if any(missing) else HTTPStatus.OK
    return page(request, "images/compare.html", context, status=status)


def _compared(image: Image, before: Tag, after: Tag, asked: str | None) -> dict[str, Any]:
    """What the page shows of two tags.

    :param asked: the platform to compare; the first that both have where neither has that one.
    """
    same = before.manifest.digest == after.manifest.digest
    context: dict[str, Any] = {"before": before, "same_digest": same}
    if same:
        return context
    pair: list[Manifest | None] = [before.manifest, after.manifest]
    if Manifest.Kind.INDEX in (before.manifest.kind, after.manifest.kind):
        old, new = platforms(before.manifest), platforms(after.manifest)
        names = list(dict.fromkeys([*old, *new]))
        common = [name for name in names if name in old and name in new]
        chosen = asked if asked in names else next(iter(common), "")
        pair = _manifests(image, old.get(chosen), new.get(chosen))
        context |= {
            "platforms": [_platform(name, old.get(name), new.get(name), chosen=name == chosen) for name in names],
            "platform": shorten(chosen, _LONGEST_PLATFORM) or _("unknown platform"),
            "nothing_common": not common,
            "one_sided": (chosen in old) != (chosen in new),
            "same_platform": old.get(chosen) == new.get(chosen),
        }
    context["pair"] = pair
    old_details, new_details = (read_details(manifest) if manifest else None for manifest in pair)
    context["unread"] = [tag.name for tag, found in ((before, old_details), (after, new_details)) if found is None]
    if old_details and new_details:
        growth = pair[1].size - pair[0].size  # type: ignore[union-attr]
        context |= {"comparison": compare(old_details, new_details), "grown": max(growth, 0), "shrunk": max(-growth, 0)}
    return context


def _platform(name: str, before: str | None, after: str | None, *, chosen: bool) -> dict[str, Any]:
    """A platform that one of the tags has, or both, with its digest in each."""
    shown = shorten(name, _LONGEST_PLATFORM) or _("unknown platform")
    return {"name": name, "shown": shown, "mark": _mark(before, after), "chosen": chosen}


def _mark(before: str | None, after: str | None) -> Mark:
    if before == after:
        return Mark.SAME
    return Mark.ADDED if before is None else Mark.REMOVED if after is None else Mark.CHANGED


def _manifests(image: Image, *digests: str | None) -> list[Manifest | None]:
    """The manifests with these digests, in one query; ``None`` for what the index does not have."""
    rows = Manifest.objects.defer("children", "blobs").filter(image=image, digest__in=[one for one in digests if one])
    found = {row.digest: row for row in rows}
    return [found.get(digest or "") for digest in digests]
