"""Request and run imports in tests."""

from __future__ import annotations

import uuid

from console.imports import jobs
from console.imports.models import Transfer
from console.imports.references import parse
from console.imports.services import copy_official, import_image
from console.registry.connection import registry
from console.repositories.models import Image, Tag
from tests.support.http_servers import Reply, error_reply


def official():
    """A unique name of an official image."""
    return f"image{uuid.uuid4().hex[:12]}"


def ask(namespace, name, reference="latest", *, target="mine", tag="v1", platforms=()):
    return copy_official(namespace.owner, name, reference, namespace, target, tag, platforms)


def bring(namespace, text, *, target="mine", tag="v1", platforms=(), login=None):
    return import_image(namespace.owner, parse(text), namespace, target, tag, platforms, login)


def run(transfer):
    """Run both steps, like the worker; returns the transfer, ``None`` if it has succeeded."""
    transfer.refresh_from_db()
    jobs.fetch(transfer.pk, transfer.attempt)
    jobs.finish(transfer.pk, transfer.attempt) if ready(transfer) else None
    return Transfer.objects.filter(pk=transfer.pk).first()


def ready(transfer):
    """Whether the second step is queued."""
    from procrastinate.contrib.django.models import ProcrastinateJob

    return ProcrastinateJob.objects.filter(
        task_name="transfers.finish", args__transfer_id=transfer.pk, args__attempt=transfer.attempt
    ).exists()


def image(namespace, name="mine"):
    return Image.objects.get(namespace=namespace, name=name)


def tag_of(made, name="v1"):
    return Tag.objects.select_related("manifest").get(image=made, name=name)


def pulled(made, reference="v1"):
    """Pull an image like a client; returns the digest."""
    manifest = registry().manifest(made.repository, reference)
    if manifest.is_index:
        for child in manifest.children:
            pulled(made, child.digest)
    else:
        for blob in manifest.references:
            assert b"".join(registry().blob(made.repository, blob))
    return manifest.digest


def blob_reply(content):
    return Reply(200, content, {"Content-Type": "application/octet-stream"})


def manifest_reply(content, media_type):
    return Reply(200, content, {"Content-Type": media_type})


def serving(pushed_manifest, media_type, blobs, *, spoil=None):
    """The responses of a registry with one image; ``spoil`` may return another response."""

    def answer(request):
        if spoil is not None and (other := spoil(request)) is not None:
            return other
        if "/manifests/" in request.path:
            return manifest_reply(pushed_manifest, media_type)
        digest = request.path.rpartition("/")[2]
        return blob_reply(blobs[digest]) if digest in blobs else error_reply(404, "BLOB_UNKNOWN")

    return answer
