"""How to use the cache of Docker Hub: the commands on the page of an official image."""

import html

import pytest
from django.template.loader import render_to_string

from console.official_images.models import OfficialImage
from console.official_images.templatetags.dockerhub import Use
from tests.support.factories import AccountFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _address(settings):
    settings.DOCKERHUB_ADDRESS = "127.0.0.1:5001"


def shown(rf, account, **context):
    request = rf.get("/")
    request.user = account
    context = {"image": OfficialImage(name="debian"), "first": "stable", "enabled": True, **context}
    return html.unescape(render_to_string("dockerhub/_use.html", context, request))


def test_both_ways_each_command_with_a_button_that_copies_it(rf, ann):
    page = shown(rf, ann)
    for command in (
        f"docker login --username={ann.credential.username} 127.0.0.1:5001",
        "docker pull 127.0.0.1:5001/library/debian:stable",
        '{"registry-mirrors": ["http://127.0.0.1:5001"]}',
        f"docker --config ~/.docker/official login --username={ann.credential.username} 127.0.0.1:5001",
        "sed -i 's|127.0.0.1:5001|https://index.docker.io/v1/|' ~/.docker/official/config.json",
        "docker --config ~/.docker/official pull debian:stable",
    ):
        assert page.count(command) >= 2, command
    assert page.count("data-copy=") == 6
    assert "Enable the service first" not in page


def test_somebody_who_may_not_pull_yet(rf):
    page = shown(rf, AccountFactory())
    assert "Enable the service first: only activated accounts can pull from the cache." in page
    assert "docker login --username=[UserName] 127.0.0.1:5001" in page


def test_nothing_while_it_is_off(rf, ann):
    assert "docker" not in shown(rf, ann, enabled=False)


@pytest.mark.parametrize(
    ("address", "mirror"),
    [
        ("127.0.0.1:5001", "http://127.0.0.1:5001"),
        ("localhost:5001", "http://localhost:5001"),
        ("hub.example.com", "https://hub.example.com"),
        ("hub.example.com:8443", "https://hub.example.com:8443"),
        ("192.0.2.7:5001", "https://192.0.2.7:5001"),
    ],
)
def test_an_engine_takes_plain_http_from_its_own_machine_alone(settings, address, mirror):
    settings.DOCKERHUB_ADDRESS = address
    assert Use("ann", "debian", "stable").mirror_setting == f'{{"registry-mirrors": ["{mirror}"]}}'
