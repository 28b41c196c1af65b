"""Start, cancel, retry and dismiss imports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from console.access import quotas, rules
from console.accounts.models import Account
from console.audit.services import record
from console.imports import credentials, jobs
from console.imports.models import Transfer
from console.imports.references import Reference
from console.imports.sources import guard
from console.namespaces.models import Namespace
from console.registry.copy_requests import locked_target, require_tag, target_image
from console.repositories import failures
from console.repositories.locks import image_locked
from console.repositories.models import Image
from console.repositories.rights import require
from registry_client import RefusedAddress


def copy_official(
    account: Account, name: str, reference: str, namespace: Namespace, target: str, tag: str, platforms: Iterable[str]
) -> Transfer:
    """Start a copy of an official image of Docker Hub, from the cache, to ``namespace/target:tag``.

    If the image does not exist, a private one is created; an existing tag is replaced.

    :param name: of the official image, without ``library/``.
    :param platforms: the platforms to copy; none for all.
    :raises ValidationError: keyed by field.
    """
    if refusal := rules.refuse_docker_hub():
        raise ValidationError(refusal)
    origin = {"source": "", "repository": f"library/{name}", "reference": reference}
    return _begin(account, origin, namespace, target, tag, platforms, None)


def import_image(
    account: Account,
    source: Reference,
    namespace: Namespace,
    target: str,
    tag: str,
    platforms: Iterable[str],
    login: tuple[str, str] | None = None,
) -> Transfer:
    """Start an import of an image from any registry to ``namespace/target:tag``, like ``copy_official``.

    Does not use the network: the job resolves the registry's name.

    :param login: user name and password for that registry; stored encrypted for the job, for an hour at most.
    :raises ValidationError: keyed by field.
    """
    try:
        guard().check_name(source.scheme, source.host, source.port)
    except RefusedAddress:
        if source.scheme == "http":
            sentence = _("Without TLS, only registries that an administrator allows can be used. Use https://.")
        else:
            sentence = _("This registry does not have a public address. Ask an administrator to allow it.")
        raise ValidationError({"reference": sentence}) from None
    if login is not None and any("\x00" in part or len(part) > credentials.LONGEST_CREDENTIAL for part in login):
        raise ValidationError({"username": _("The user name and the password can have up to 4,096 characters each.")})
    origin = {"source": source.url, "repository": source.repository, "reference": source.reference}
    return _begin(account, origin, namespace, target, tag, platforms, login)


def _begin(
    account: Account,
    origin: dict[str, str],
    namespace: Namespace,
    target: str,
    tag: str,
    platforms: Iterable[str],
    login: tuple[str, str] | None,
) -> Transfer:
    tag = tag.strip()
    require_tag(tag)
    with transaction.atomic():
        # Lock the account: otherwise two concurrent requests could exceed the limit (race).
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        _require_room(account)
        image = locked_target(account, target_image(account, namespace, target), tag)
        Transfer.objects.filter(image=image, tag=tag).delete()
        failures.forget(failures.Kind.IMPORT, image.repository, [tag])
        transfer = Transfer.objects.create(
            image=image,
            tag=tag,
            platforms=sorted(set(platforms)),
            with_credentials=login is not None,
            requested_by=account.account_id,
            **origin,
        )
        if login is not None:
            credentials.keep(transfer, *login)
        Image.objects.filter(pk=image.pk).update(changed_at=timezone.now())
        jobs.start(transfer)
        _record("tag.import", transfer, platforms=transfer.platforms, with_credentials=login is not None)
    return transfer


def _record(action: str, transfer: Transfer, **detail: Any) -> None:
    record(action, f"{transfer.image.repository}:{transfer.tag}", source=transfer.origin, **detail)


def _require_room(account: Account) -> None:
    under_way = Transfer.objects.filter(requested_by=account.account_id, state=Transfer.State.RUNNING).count()
    if refusal := quotas.refuse_transfer(under_way):
        raise ValidationError(refusal)


def cancel(account: Account, transfer: Transfer) -> None:
    """Cancel a transfer; the tag is not changed.

    :raises ValidationError: when it has ended, or the tag is being written.
    """
    _require(account, transfer)
    with image_locked(transfer.image_id):
        row = Transfer.objects.filter(pk=transfer.pk, state=Transfer.State.RUNNING).first()
        if row is None or row.finishing:
            raise ValidationError(_("Too late to cancel: the copy is finished or about to finish."))
        Transfer.objects.filter(pk=row.pk).update(state=Transfer.State.CANCELLED, problem="")
        credentials.forget(row.pk)
        _tell(row)
        _record("tag.import-cancel", row)


def retry(account: Account, transfer: Transfer) -> Transfer:
    """Retry a failed or cancelled transfer; blobs that are copied already are not copied again.

    :raises ValidationError: when it cannot be retried, or the account may not.
    """
    _require(account, transfer)
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        _require_room(account)
        locked_target(account, transfer.image, transfer.tag)
        row = Transfer.objects.filter(pk=transfer.pk).first()
        if row is None or not row.can_be_retried:
            raise ValidationError(_("This copy can’t be retried. Import the image again."))
        row.state, row.problem, row.finishing = Transfer.State.RUNNING, "", False
        # Reads the tag again, which may have changed.
        row.digest = row.result = ""
        row.bytes_done = row.bytes_total = 0
        row.attempt += 1
        row.requested_at, row.requested_by = timezone.now(), account.account_id
        row.save()
        failures.forget(failures.Kind.IMPORT, row.image.repository, [row.tag])
        _tell(row)
        jobs.start(row)
        _record("tag.import", row, platforms=row.platforms, attempt=row.attempt)
    return row


def dismiss(account: Account, transfer: Transfer) -> None:
    """Dismiss a failed or cancelled transfer; no effect while it is running.

    :raises ValidationError: when the account's role does not allow it.
    """
    _require(account, transfer)
    with image_locked(transfer.image_id):
        gone, _rows = Transfer.objects.filter(pk=transfer.pk).exclude(state=Transfer.State.RUNNING).delete()
        if gone:
            failures.forget(failures.Kind.IMPORT, transfer.image.repository, [transfer.tag])
            _record("tag.import-dismiss", transfer)
        _tell(transfer)


def _require(account: Account, transfer: Transfer) -> None:
    require(account, "image.push", transfer.image)


def _tell(transfer: Transfer) -> None:
    Image.objects.filter(pk=transfer.image_id).update(changed_at=timezone.now())
