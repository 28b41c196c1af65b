"""The token signing key is changed while everything runs."""

import base64
import shutil
import threading

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings as django_settings

from console.access.grants import Access
from console.installation import keys
from console.registry.signing import sign
from registry_client import Challenged, RegistryClient
from tests.support.pushed_images import DOCKER_MANIFEST, push_image
from tests.support.stack import Stack, wait_until
from tests.token_server.test_keys import certificate, trusted

PASSWORD = "the registry password 1"
SEED = """
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from console.accounts.models import Account, RegistryCredential
from console.namespaces.models import Namespace
owner = Account.objects.get()
RegistryCredential.objects.create(
    account=owner, username=owner.account_id, password=make_password({!r}), activated_at=timezone.now()
)
Namespace.objects.create(owner=owner, name="team")
"""
PULL = [Access("repository", "team/app", frozenset({"pull"}))]


@pytest.fixture
def whole(registry_program):
    made = Stack(registry_program)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def from_before(whole):
    """The keys as an earlier version made them: one, and its certificate."""
    made = keys.ensure_keys(whole.data_dir)
    made.next_token_key.unlink()
    text = made.token_key.read_bytes()
    made.token_certificate.write_bytes(text[text.index(b"-----BEGIN CERTIFICATE") :])
    return made


def status(address, token, path=""):
    headers = {"Authorization": f"Bearer {token}", "Accept": DOCKER_MANIFEST}
    return requests.get(f"http://{address}/v2/{path}", headers=headers, timeout=10).status_code


def token_of(whole, **parameters):
    """A token as clients get it, from whichever process of the console answers."""
    answer = requests.get(
        f"{whole.console_url}/token/",
        {"scope": "repository:team/app:pull", **parameters},
        auth=(whole.account_id, PASSWORD),
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_it_refuses_nobody_and_ends_the_former_key(whole, from_before, tmp_path, settings):
    settings.KEYS = from_before
    services = {
        whole.registry_address: django_settings.REGISTRY_SERVICE,
        whole.dockerhub_address: django_settings.DOCKERHUB_SERVICE,
    }
    old = certificate(from_before.token_key)
    whole.start()
    assert certificate(from_before.token_key) == old, "the keys of before go on"
    whole.manage("shell", "-v0", "-c", SEED.format(PASSWORD))
    owner = RegistryClient(f"http://{whole.registry_address}", Challenged(whole.account_id, PASSWORD))
    digest = push_image(owner, "team/app", "v1").digest
    # Kept by this test alone, as by somebody who has stolen it.
    stolen = tmp_path / "stolen.pem"
    shutil.copy(from_before.token_key, stolen)
    before = token_of(whole)["token"]
    refresh = token_of(whole, offline_token="true")["refresh_token"]

    # Somebody asks for tokens and pulls all the time, and is refused nothing.
    seen, stop = [], threading.Event()

    def pull():
        while not stop.is_set():
            token = token_of(whole)["token"]
            seen.append(status(whole.registry_address, token, "team/app/manifests/v1"))

    pullers = [threading.Thread(target=pull) for _ in range(2)]
    for puller in pullers:
        puller.start()
    wait_until(lambda: len(seen) > 5, "pulls before")
    pids = {name: whole.pid_of(name) for name in ("registry", "inner registry", "hub", "inner hub", "console")}
    whole.manage("rotate_signing_key")
    rotated = len(seen)
    wait_until(lambda: len(seen) > rotated + 20, "pulls after")
    stop.set()
    for puller in pullers:
        puller.join()
    assert set(seen) == {200}
    assert {name: whole.pid_of(name) for name in pids} == pids, "nothing was started again for it"

    new = certificate(from_before.token_key)
    assert new != old
    signers = {jwt.get_unverified_header(token_of(whole)["token"])["x5c"][0] for _ in range(20)}
    assert signers == {base64.b64encode(new.public_bytes(Encoding.DER)).decode()}, "every process signs with it"
    assert status(whole.registry_address, before, "team/app/manifests/v1") == 200
    for address, service in services.items():
        assert status(address, sign("ann", [], service).text) == 200, "signed with the new key"
        assert status(address, sign("ann", [], service, key_file=stolen).text) == 200, "and with the former"
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "service": django_settings.REGISTRY_SERVICE}
    form |= {"scope": "repository:team/app:pull", "client_id": "test"}
    assert requests.post(f"{whole.console_url}/token/", form, timeout=10).status_code == 200

    # Too early; and a second rotation has to wait as well, as no registry knows the next key yet.
    for arguments, why in (("--retire",), "are valid until"), ((), "has not read the next key yet"):
        with pytest.raises(AssertionError, match=why):
            whole.manage("rotate_signing_key", *arguments)

    # The time is over.
    (retired,) = from_before.folder.glob("token_retired_*.pem")
    retired.rename(retired.with_name("token_retired_1000.pem"))
    assert "The registries were started again" in whole.manage("rotate_signing_key", "--retire")
    assert old not in trusted(from_before)
    for address, service in services.items():
        assert status(address, sign("ann", [], service).text) == 200
        assert status(address, sign("ann", [], service, key_file=stolen).text) == 401
    assert status(whole.registry_address, before, "team/app/manifests/v1") == 401
    for name in ("registry", "inner registry", "hub", "inner hub"):
        assert whole.pid_of(name) != pids[name]
    assert whole.pid_of("console") == pids["console"]
    assert owner.manifest("team/app", "v1").digest == digest

    # And once more: the third key was in what they have just read.
    whole.manage("rotate_signing_key")
    assert status(whole.registry_address, token_of(whole)["token"], "team/app/manifests/v1") == 200
    done = whole.sql("SELECT action FROM audit_auditevent WHERE action LIKE 'signing%%' ORDER BY id")
    assert [action for (action,) in done] == ["signing_key.rotate", "signing_key.retire", "signing_key.rotate"]
