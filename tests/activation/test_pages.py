"""The pages of the activation."""

import re

import pytest

from console.audit.models import AuditEvent
from console.namespaces.models import Namespace
from tests.support.factories import AccountFactory, NamespaceFactory, RegistryCredentialFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db


class TestActivation:
    @pytest.fixture
    def fresh(self, client):
        account = AccountFactory()
        client.force_login(account)
        return account

    def form(self, account, **changes):
        return {"username": account.account_id, "password": "p ss:w%rd é1", "confirm": "p ss:w%rd é1", **changes}

    def test_it_works(self, client, fresh, registry_server):
        text = text_of(client.get("/images/"))
        assert f'value="{fresh.account_id}"' in text
        assert "you need them to push and pull images" in text
        assert "Image address" not in text
        response = client.post("/activation/", self.form(fresh, namespace="team"))
        assert response["Location"] == "/activation/steps/"
        assert client.get("/images/")["Location"] == "/activation/steps/"
        assert "Continue" in text_of(client.get("/activation/steps/"))
        assert client.post("/activation/steps/")["Location"] == "/images/"
        assert "The service is activated." in text_of(client.get("/images/"))
        assert client.post("/activation/", self.form(fresh))["Location"] == "/images/"

    def test_a_registry_that_is_down(self, client, fresh, settings, registry_server):
        there, settings.REGISTRY_URL = settings.REGISTRY_URL, "http://127.0.0.1:9"
        client.post("/activation/", self.form(fresh))
        response = client.post("/activation/steps/", headers={**HTMX, "HX-Target": "steps"})
        text = text_of(response)
        assert "Can’t reach the registry." in text
        assert "Try again" in text
        assert "<html" not in text
        assert "Enable" in text_of(client.get("/images/?edit"))
        settings.REGISTRY_URL = there
        assert client.post("/activation/steps/", headers=HTMX)["HX-Redirect"] == "/images/"

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"password": ""}, "Please enter a password"),
            ({"confirm": ""}, "Please enter the password again"),
            ({"confirm": "another"}, "The two passwords do not match"),
            ({"username": ""}, "Please enter a user name"),
            ({"username": "Ann!"}, "Use 4 to 30 lowercase letters"),
            ({"username": "x" * 99}, "Use 4 to 30 lowercase letters"),
            ({"password": "short", "confirm": "short"}, "8 to 64 characters"),
            ({"namespace": "a//b"}, "beginning and ending with a letter or digit"),
            ({"namespace": "library"}, "is reserved"),
        ],
    )
    def test_bad_input(self, client, fresh, changes, sentence):
        response = client.post("/activation/", self.form(fresh, **changes))
        assert response.status_code == 422
        assert sentence in text_of(response)
        assert not Namespace.objects.exists()

    def test_all_that_is_wrong_is_said_at_once(self, client, fresh):
        RegistryCredentialFactory(username="taken")
        NamespaceFactory(name="theirs")
        response = client.post(
            "/activation/", {"username": "taken", "password": "short", "confirm": "other", "namespace": "theirs"}
        )
        text = text_of(response)
        assert response.status_code == 422
        for name, sentence in {
            "username": "The user name “taken” is already in use by another user.",
            "password": "8 to 64 characters",
            "confirm": "The two passwords do not match",
            "namespace": "The name “theirs” is already in use by another user.",
        }.items():
            errors = re.search(rf'<ul class="errors" id="id_{name}_errors">(.*?)</ul>', text)
            assert sentence in errors[1], name
            (tag,) = re.findall(rf'<input[^>]* name="{name}"[^>]*>', text)
            assert 'aria-invalid="true"' in tag and re.search(rf'aria-describedby="[^"]*id_{name}_errors"', tag)
            assert ("autofocus" in tag) == (name == "username")
        assert 'value="taken"' in text and 'value="theirs"' in text
        # No page has a password in it: a browser keeps what was typed, see focus.js.
        assert 'value="short"' not in text

    @pytest.mark.parametrize(
        ("changes", "wrong"),
        [
            ({"username": "x!", "namespace": "a//b"}, ["username", "namespace"]),
            ({"username": "", "password": "12345678", "confirm": "12345678"}, ["username", "password"]),
            ({"password": "short", "confirm": ""}, ["password", "confirm"]),
            ({"username": "999999999999", "namespace": "library"}, ["username", "namespace"]),
            ({"namespace": "n" * 31, "password": "p" * 65, "confirm": "p" * 65}, ["password", "namespace"]),
        ],
    )
    def test_at_which_fields(self, client, fresh, changes, wrong):
        response = client.post("/activation/", self.form(fresh, **changes))
        assert re.findall(r'class="errors" id="id_(\w+)_errors"', response.content.decode()) == wrong

    def test_as_a_part_of_the_page(self, client, fresh):
        there = {**HTMX, "HX-Target": "activation"}
        response = client.post("/activation/", self.form(fresh, username="x!"), headers=there)
        assert response.status_code == 422
        assert "<html" not in response.content.decode()
        assert client.post("/activation/", self.form(fresh), headers=there)["HX-Redirect"] == "/activation/steps/"

    @pytest.mark.parametrize(
        ("namespace", "step"), [("team", "create an image or push one."), ("", "create a namespace")]
    )
    def test_the_next_step_is_one_that_is_left(self, client, fresh, registry_server, namespace, step):
        client.post("/activation/", self.form(fresh, namespace=namespace))
        assert ("Create the namespace" in text_of(client.get("/activation/steps/"))) == bool(namespace)
        client.post("/activation/steps/")
        text = text_of(client.get("/images/"))
        assert f"The service is activated. Next, {step}" in text
        assert ("Create a namespace first" in text) == (not namespace)
        assert ("No images yet" in text) == bool(namespace)

    def test_steps_before_the_form(self, client, fresh):
        assert client.get("/activation/steps/")["Location"] == "/images/"

    def test_reset_password(self, client, ann):
        assert "readonly" in text_of(client.get("/activation/password/"))
        response = client.post("/activation/password/", {"password": "", "confirm": ""}, headers=HTMX)
        assert response.status_code == 422
        response = client.post("/activation/password/", {"password": "short", "confirm": "short"}, headers=HTMX)
        assert "8 to 64 characters" in text_of(response)
        response = client.post("/activation/password/", {"password": "short", "confirm": "other"}, headers=HTMX)
        text = text_of(response)
        assert "8 to 64 characters" in text and "The two passwords do not match" in text
        form = {"password": "brand new pass 9", "confirm": "brand new pass 9"}
        assert client.post("/activation/password/", form, headers=HTMX)["HX-Redirect"] == "/images/"
        ann.credential.refresh_from_db()
        assert ann.credential.check_password("brand new pass 9")
        assert "brand new" not in str(list(AuditEvent.objects.values()))

    def test_reset_password_before_activation(self, client, fresh):
        assert client.get("/activation/password/")["Location"] == "/images/"
