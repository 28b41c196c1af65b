"""What access tokens are narrowed to, for pages: names, and whether the account still has a role there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet

from console.accounts.models import AccessToken, Account
from console.namespaces.models import Namespace
from console.repositories.models import Image


@dataclass(frozen=True)
class Choice:
    """A namespace or an image that a token is narrowed to.

    :ivar accessible: whether the account has a role there now; otherwise the choice gives nothing.
    """

    name: str
    accessible: bool


def with_choices(tokens: QuerySet[AccessToken]) -> QuerySet[AccessToken]:
    """The tokens with their namespaces and images: two queries more."""
    images = Image.objects.only("full_name").order_by("full_name")
    return tokens.prefetch_related("namespaces", Prefetch("images", images))


def add_choices(tokens: Iterable[Any], account: Account) -> None:
    """Set ``choices`` of each token of ``with_choices``, a list of ``Choice``: two queries, however many tokens.

    :param account: whose tokens they are.
    """
    narrowed = [token for token in tokens if not token.all_namespaces]
    chosen = {namespace.pk for token in narrowed for namespace in token.namespaces.all()}
    images = {image.pk for token in narrowed for image in token.images.all()}
    visible = set(Namespace.objects.visible_to(account).filter(pk__in=chosen).values_list("pk", flat=True))
    seen = set(Image.objects.visible_to(account).filter(pk__in=images).values_list("pk", flat=True))
    for token in narrowed:
        token.choices = [
            *(Choice(namespace.name, namespace.pk in visible) for namespace in token.namespaces.all()),
            *(Choice(image.full_name, image.pk in seen) for image in token.images.all()),
        ]
