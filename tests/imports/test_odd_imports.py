"""Manifests that are not what they say, imported from another registry: each import ends, with a tag or a sentence."""

import uuid

import pytest

from console.imports.models import Transfer
from console.repositories.models import WorkFailure
from tests.support import disk
from tests.support.import_requests import bring, image, run, tag_of
from tests.support.odd_manifests import ODD, push_odd

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server", "imports_allowed")]
# Sizes that cannot be true: what is to be sent is not known. Nothing is tried for a day.
REFUSED = {
    "a config of a size beyond belief",
    "a config of a negative size",
    "a layer of a negative size",
}


@pytest.mark.parametrize("name", ODD)
def test_it_ends(upstream, upstream_url, namespace, name):
    repository = f"odd/{uuid.uuid4().hex}"
    odd = push_odd(upstream, repository, name)
    transfer = bring(namespace, f"{upstream_url}/{repository}:odd")
    left = run(transfer)
    if name in REFUSED:
        assert left.state == Transfer.State.FAILED and left.problem
        assert WorkFailure.objects.get().kind == "import"
        return
    assert left is None
    made = image(namespace)
    assert disk.tags(made.repository) == {"v1": odd.digest}
    assert tag_of(made).manifest.digest == odd.digest
    for entry in upstream.manifest(repository, odd.digest).entries:
        assert entry.digest in disk.blobs(made.repository) | disk.manifests(made.repository)
