"""The registry processes for the console's own calls take nobody else's tokens."""

import pytest
import requests

from console.installation.environment import inner_registry_file
from tests.support.stack import Stack

PASSWORD = "the registry password 1"
CREDENTIAL = """
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from console.accounts.models import Account, RegistryCredential
RegistryCredential.objects.create(
    account=Account.objects.get(account_id={!r}), username={!r}, password=make_password({!r}),
    activated_at=timezone.now(),
)
"""


@pytest.fixture(scope="module")
def somebody(stack: Stack):
    account_id = stack.somebody("Ann", "the console password 1")
    stack.manage("shell", "-v0", "-c", CREDENTIAL.format(account_id, account_id, PASSWORD))
    return account_id


@pytest.mark.parametrize(
    ("service", "outer", "inner"),
    [
        ("my-images-registry", "registry_address", "inner_registry"),
        ("my-images-registry-dockerhub", "dockerhub_address", "inner_dockerhub"),
    ],
)
def test_a_persons_token_opens_the_public_process_alone(stack, somebody, service, outer, inner):
    answer = requests.get(f"{stack.console_url}/token/", {"service": service}, auth=(somebody, PASSWORD), timeout=20)
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    inner_url = inner_registry_file(stack.data_dir).with_name(inner).read_text()
    # The cache itself has nobody to fetch from here, and may be on its way up or down.
    if outer == "registry_address":
        assert requests.get(f"http://{getattr(stack, outer)}/v2/", headers=headers, timeout=20).status_code == 200
    assert requests.get(f"{inner_url}/v2/", headers=headers, timeout=20).status_code == 401


@pytest.mark.parametrize("service", ["my-images-registry-inner", "my-images-registry-dockerhub-inner"])
def test_nobody_is_given_a_token_for_them(stack, somebody, service):
    answer = requests.get(f"{stack.console_url}/token/", {"service": service}, auth=(somebody, PASSWORD), timeout=20)
    assert answer.status_code == 400
    assert answer.json()["errors"]
