"""Quotas of an account, with its usage read from the database."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from django.conf import settings

from console.access import quotas
from console.access.quotas import allowed
from console.accounts.models import Account
from console.namespaces.models import Namespace
from console.repositories.models import Image


@dataclass(frozen=True)
class Quota:
    """Quotas and usage of an account. The usage is read lazily, once."""

    account: Account
    namespaces_allowed: int
    images_allowed: int
    tags_allowed: int
    images_counted: int | None = None

    @functools.cached_property
    def namespaces_used(self) -> int:
        """How many namespaces the account has."""
        return Namespace.objects.owned_by(self.account).count()

    @functools.cached_property
    def images_used(self) -> int:
        """How many images the account has, as in its list."""
        if self.images_counted is not None:
            return self.images_counted
        counts = Namespace.objects.owned_by(self.account).order_by().values_list("image_count", flat=True)
        return sum(counts)


def quota(account: Account, images_used: int | None = None) -> Quota:
    """The quotas and usage of the account.

    :param images_used: how many images it has, if already counted.
    """
    return Quota(
        account,
        namespaces_allowed=allowed(account.namespace_quota, settings.DEFAULT_NAMESPACE_QUOTA),
        images_allowed=allowed(account.image_quota, settings.DEFAULT_IMAGE_QUOTA),
        tags_allowed=allowed(account.tag_quota, settings.DEFAULT_TAG_QUOTA),
        images_counted=images_used,
    )


def refuse_namespace(account: Account, now: Quota | None = None) -> str:
    """Error message if the account may not have one more namespace; empty if it may.

    :param now: its quota, if already read.
    """
    now = now or quota(account)
    return quotas.refuse_namespace(now.namespaces_used, now.namespaces_allowed)


def refuse_image(account: Account, now: Quota | None = None, *, own: bool = True) -> str:
    """Error message if the account may not have one more image; empty if it may.

    :param now: its quota, if already read.
    :param own: whether the account itself acts, and not a member of its namespace.
    """
    now = now or quota(account)
    return quotas.refuse_image(now.images_used, now.images_allowed, own=own)


def tags_used(image: Image) -> int:
    """Number of tags for the quota, including those that are shown under their subject."""
    return image.tag_count + image.attachment_count


def refuse_tag(image: Image, coming: int = 0) -> str:
    """Error message if the image may not have one more tag; empty if it may. The quota is that of its owner.

    :param coming: number of tags that are being copied to it.
    """
    return quotas.refuse_tag(tags_used(image) + coming, quota(image.namespace.owner).tags_allowed)
