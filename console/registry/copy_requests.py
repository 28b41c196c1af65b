"""Start copies of tags: check the rights, store the copy and queue its job."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from console.accounts.models import Account
from console.audit.services import record
from console.jobs.queue import repository_lock
from console.namespaces.models import Namespace
from console.registry import copying, jobs
from console.repositories import failures, quotas
from console.repositories.failures import Kind
from console.repositories.fairness import priority_of
from console.repositories.models import Copy, Image, Tag
from console.repositories.rights import refusal, require
from console.repositories.services import check_tag_name, create_image


def copy_tag(
    account: Account, source: Tag, namespace: Namespace, name: str, tag: str, *, attached: bool = False
) -> Copy:
    """Start a copy of a tag with all its platforms to ``namespace/name:tag``, which is replaced if it exists.

    A private image is created if there is none of that name.

    :param source: a tag of an image that the account may see, with its image and manifest.
    :param attached: whether attachments (signatures, SBOMs) are copied, too.
    :raises ValidationError: keyed by field.
    """
    tag = tag.strip()
    require(account, "image.view", source.image)
    if source.state != Tag.State.ACTIVE or source.image.state != Image.State.ACTIVE:
        raise ValidationError(_("The tag is being deleted."))
    require_tag(tag)
    with transaction.atomic():
        image = target_image(account, namespace, name)
        copy = _start(account, source, image, tag, attached)
        if attached and image.pk != source.image_id:
            for other in copying.attachments_of(source.image, source.manifest.digest):
                _start(account, other, image, other.name)
    return copy


def require_tag(tag: str) -> None:
    """Check the name of a tag.

    :raises ValidationError: keyed ``tag``, for an invalid name.
    """
    try:
        check_tag_name(tag)
    except ValidationError as problem:
        raise ValidationError({"tag": problem.messages}) from None


def target_image(account: Account, namespace: Namespace, name: str) -> Image:
    """Get the image to copy to, or create it.

    :raises ValidationError: keyed by field.
    """
    found = Image.objects.select_related("namespace").filter(namespace=namespace, name=name.strip()).first()
    if found is None:
        return create_image(account, namespace, name)
    _require_push(account, found)
    if found.state != Image.State.ACTIVE:
        raise ValidationError({"name": _("The image “%s” is being deleted.") % found.repository})
    return found


def locked_target(account: Account, image: Image, tag: str) -> Image:
    """Lock the image's row and check that ``tag`` of it can be copied to now.

    :raises ValidationError: keyed by field.
    """
    # Without its namespace, which must be read after the wait for the lock: it may be transferred meanwhile.
    locked = Image.objects.select_for_update(of=("self",)).filter(pk=image.pk).first()
    # It may have been deleted or transferred during the wait for the lock.
    if locked is None or locked.state != Image.State.ACTIVE:
        raise ValidationError({"name": _("The image “%s” is being deleted.") % image.repository})
    _require_push(account, locked)
    existing = Tag.objects.filter(image=locked, name=tag).first()
    if existing is not None and existing.state != Tag.State.ACTIVE:
        raise ValidationError({"tag": _("The tag “%s” is being deleted.") % tag})
    coming = {
        *locked.copies.filter(state=Copy.State.RUNNING).values_list("tag", flat=True),
        *locked.transfers.filter(state="running").values_list("tag", flat=True),
    }
    if tag in coming:
        raise ValidationError({"tag": _("A copy to the tag “%s” is already running.") % tag})
    if existing is None and (refusal := quotas.refuse_tag(locked, len(coming))):
        raise ValidationError({"name": refusal})
    return locked


def _require_push(account: Account, image: Image) -> None:
    if sentence := refusal(account, "image.push", image):
        raise ValidationError({"namespace": sentence})


def _start(account: Account, source: Tag, image: Image, tag: str, attached: bool = False) -> Copy:
    if image.pk == source.image_id and tag == source.name:
        raise ValidationError({"tag": _("This is the same tag. Choose another name.")})
    locked = locked_target(account, image, tag)
    Copy.objects.filter(image=locked, tag=tag).delete()
    failures.forget(Kind.COPY, locked.repository, [tag])
    copy = Copy.objects.create(
        image=locked,
        tag=tag,
        source=source.image.repository,
        digest=source.manifest.digest,
        attached=attached,
        requested_by=account.account_id,
    )
    Image.objects.filter(pk=locked.pk).update(changed_at=timezone.now())
    lock, priority = repository_lock(locked.repository), priority_of(locked)
    jobs.copy.configure(lock=lock, priority=priority).defer(copy_id=copy.pk)
    record("tag.copy", f"{locked.repository}:{tag}", source=f"{source.image.repository}:{source.name}")
    return copy
