"""Quotas of an account, with what it uses counted in the database."""

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
    """What an account has and may have. What it has is counted when it is asked for, once."""

    account: Account
    namespaces_allowed: int
    images_allowed: int
    tags_allowed: int
    images_counted: int | None = None

    @functools.cached_property
    def namespaces_used(self) -> int:
        """How many namespaces the account has."""
        return Namespace.objects.visible_to(self.account).count()

    @functools.cached_property
    def images_used(self) -> int:
        """How many images it has, as many as its list shows."""
        return Image.objects.visible_to(self.account).count() if self.images_counted is None else self.images_counted


def quota(account: Account, images_used: int | None = None) -> Quota:
    """What the account has and may have.

    :param images_used: how many images it has, where they were counted just before.
    """
    return Quota(
        account,
        namespaces_allowed=allowed(account.namespace_quota, settings.DEFAULT_NAMESPACE_QUOTA),
        images_allowed=allowed(account.image_quota, settings.DEFAULT_IMAGE_QUOTA),
        tags_allowed=allowed(account.tag_quota, settings.DEFAULT_TAG_QUOTA),
        images_counted=images_used,
    )


def refuse_namespace(account: Account, now: Quota | None = None) -> str:
    """Why the account may not have one more namespace, as a sentence; empty when it may.

    :param now: its quota, where it was asked for just before.
    """
    now = now or quota(account)
    return quotas.refuse_namespace(now.namespaces_used, now.namespaces_allowed)


def refuse_image(account: Account, now: Quota | None = None) -> str:
    """Why the account may not have one more image, as a sentence; empty when it may.

    :param now: its quota, where it was asked for just before.
    """
    now = now or quota(account)
    return quotas.refuse_image(now.images_used, now.images_allowed)


def tags_used(image: Image) -> int:
    """What counts towards the quota of tags: those too that stand under what they are about."""
    return image.tag_count + image.attachment_count


def refuse_tag(account: Account, image: Image, coming: int = 0) -> str:
    """Why the account may not add one more tag to the image, as a sentence; empty when it may.

    :param coming: tags that are on their way to it.
    """
    return quotas.refuse_tag(tags_used(image) + coming, quota(account).tags_allowed)
