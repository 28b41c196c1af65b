"""A form says all that is wrong at once, each at its field."""

import re

import pytest

from console.access_tokens import services as access_tokens
from console.throttling.models import Mark
from tests.support.factories import PASSWORD, AccountFactory, ImageFactory, ManifestFactory, TagFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def tag(team):
    image = ImageFactory(namespace=team, name="app")
    return TagFactory(image=image, manifest=ManifestFactory(image=image), name="v1")


def invalid(response):
    """The fields that have errors."""
    return re.findall(r'class="errors" id="id_(\w+)_errors"', response.content.decode())


@pytest.mark.parametrize(("path", "form", "wrong"), [
    ("/images/-/create/", {"name": "a//b", "description": "d" * 25_001},
     ["name", "visibility", "namespace", "description"]),
    ("/images/-/create/", {"name": "app", "namespace": "team", "visibility": "private", "description": "d" * 25_001},
     ["name", "description"]),
    ("/images/team/app/-/tags/v1/copy/", {"namespace": "none", "name": "X", "tag": "-"}, ["namespace", "name", "tag"]),
    ("/docker-hub/debian/-/tags/12/copy/", {"name": "X", "tag": "-", "platforms": "x"},
     ["namespace", "name", "tag", "platforms"]),
    ("/images/-/import/", {"reference": "A", "password": "p", "name": "X", "tag": "-", "platforms": "x"},
     ["reference", "username", "namespace", "name", "tag", "platforms"]),
    # The name there, a single letter, cannot be an image's here.
    ("/images/-/import/", {"reference": "r.example.com/a/b@sha256:" + "0" * 64, "namespace": "team"}, ["name", "tag"]),
    ("/account/tokens/-/create/", {"name": "a b", "access": "x", "reach": "chosen", "expires": "date", "date": "x"},
     ["name", "access", "namespaces", "date"]),
    ("/account/tokens/-/create/",
     {"name": "ci", "access": "pull", "reach": "all", "expires": "date", "date": "2001-01-01"}, ["name", "date"]),
    ("/account/password/", {"old_password": "wrong", "new_password1": "short", "new_password2": "other"},
     ["old_password", "new_password1", "new_password2"]),
])  # fmt: skip
def test_each(client, ann, tag, path, form, wrong):
    access_tokens.create(ann, "ci", can_push=False)
    response = client.post(path, form)
    assert response.status_code in {200, 422}
    assert invalid(response) == wrong
    for name in wrong:  # each input says where its error is
        (*_first, tag) = re.findall(rf'<(?:input|select|textarea)[^>]* name="{name}"[^>]*>', response.content.decode())
        assert re.search(rf'aria-describedby="[^"]*\bid_{name}_errors"', tag) and 'aria-invalid="true"' in tag
    focused = re.findall(r"<(?:input|select|textarea)[^>]* autofocus[^>]*>", response.content.decode())
    assert f'name="{wrong[0]}"' in focused[0]
    assert {re.search(r'name="(\w+)"', one)[1] for one in focused} == {wrong[0]}


def test_in_the_administration(client):
    boss = AccountFactory(is_staff=True, is_superuser=True)
    client.force_login(boss)
    form = {"name": "", "email": "x", "usable_password": "true", "password1": "short", "password2": "other"}
    response = client.post("/admin/accounts/account/add/", form)
    assert set(response.context["errors"].data and response.context["adminform"].form.errors) == {
        "name", "email", "password1", "password2",
    }  # fmt: skip
    form = {"usable_password": "true", "password1": "short", "password2": "other"}
    response = client.post(f"/admin/accounts/account/{AccountFactory().pk}/password/", form)
    assert set(response.context["form"].errors) == {"password1", "password2"}


class TestSigningIn:
    """What cannot be anybody's name is no guess."""

    @pytest.mark.parametrize("name", [
        "nobody", "12345678901", "1234567890123", "0" * 12, "someone@exam", "a b@example.com", "x" * 255,
        f"{'a' * 245}@example.com", "@example.com",
    ])  # fmt: skip
    def test_it_is_refused_and_not_counted(self, client, name):
        for _ in range(12):
            response = client.post("/sign-in/", {"username": name, "password": "wrong"})
            assert response.status_code == 200
            assert "Enter your Account ID (twelve digits) or your e-mail address" in response.content.decode()
        assert invalid(response) == ["username"]
        assert not Mark.objects.exists()

    def test_the_longest_address_signs_in(self, client):
        address = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.com"
        AccountFactory(email=address)
        assert 'maxlength="' not in client.get("/sign-in/").content.decode()
        assert client.post("/sign-in/", {"username": f" {address.upper()} ", "password": PASSWORD}).status_code == 302

    def test_a_password_longer_than_any_is_no_guess_either(self, client):
        account = AccountFactory()
        response = client.post("/sign-in/", {"username": account.account_id, "password": "x" * 4097})
        assert invalid(response) == ["password"]
        assert not Mark.objects.exists()
        client.force_login(account)
        new = {"new_password1": "y" * 4097, "new_password2": "y" * 4097}
        assert invalid(client.post("/account/password/", {"old_password": PASSWORD, **new})) == ["new_password1"]


def test_a_line_end_is_one_character(client, ann, tag):
    """Browsers send it as two, and count it as one."""
    text = "a\r\n" * 499 + "bc"
    assert client.post("/images/team/app/-/describe/", {"description": text}).status_code == 302
    tag.image.refresh_from_db()
    assert tag.image.description == text.replace("\r\n", "\n")
    assert len(tag.image.description) == 1000
