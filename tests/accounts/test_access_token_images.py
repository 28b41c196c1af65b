"""Access tokens narrowed to images: the form, the list, and what they open at the token endpoint."""

import datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from console.access.roles import Role
from console.access_tokens import forms
from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken
from console.audit.models import AuditEvent
from console.membership.models import Grant
from console.ownership.services import finish_transfers, transfer_namespace
from console.repositories.models import Image, ImageAccess
from console.sharing.services import change_role, give_role, take_role
from tests.support.factories import ActivatedAccountFactory, GrantFactory, ImageFactory, NamespaceFactory
from tests.support.responses import text_of
from tests.support.token_endpoint import Asker, granted

pytestmark = pytest.mark.django_db

LIST, CREATE = "/account/tokens/", "/account/tokens/-/create/"
FORM = {"name": "ci", "access": "push", "reach": "chosen", "expires": "never"}
NAMES = ("team/app", "team/other", "shared/app", "shared/other", "public/app")


@pytest.fixture
def ask(client):
    return Asker(client)


@pytest.fixture
def shared(team):
    """A namespace of somebody else; Ann's team has two images as well, and somebody has a public one."""
    namespace = NamespaceFactory(name="shared")
    for space in (team, namespace):
        for name in ("app", "other"):
            ImageFactory(namespace=space, name=name)
    ImageFactory(namespace__name="public", name="app", visibility="public")
    return namespace


def image(name):
    return Image.objects.get(full_name=name)


def opened(ask, account, secret, *names):
    scopes = [f"repository:{name}:pull,push" for name in names or NAMES]
    answer = ask.get(*scopes, user=account.credential.username, password=secret)
    return {name: actions for (_kind, name), actions in granted(answer).items()}


class TestServices:
    def test_one_image(self, ann, team, shared, ask):
        token, secret = access_tokens.create(ann, "ci", can_push=True, images=[image("team/app")])
        assert not token.all_namespaces
        assert opened(ask, ann, secret) == {"team/app": {"pull", "push"}, "public/app": {"pull"}}
        assert AuditEvent.objects.get(action="access_token.create").detail["namespaces"] == ["team/app"]

    def test_with_a_namespace(self, ann, team, shared, ask):
        GrantFactory(namespace=shared, account=ann, role=Role.WRITER)
        chosen = {"namespaces": [team], "images": [image("shared/app")]}
        _token, secret = access_tokens.create(ann, "ci", can_push=True, **chosen)
        both = {"pull", "push"}
        assert opened(ask, ann, secret) == {
            "team/app": both, "team/other": both, "shared/app": both, "public/app": {"pull"},
        }  # fmt: skip

    @pytest.mark.parametrize("chosen", [{"images": []}, {"namespaces": []}, {"namespaces": [], "images": []}])
    def test_none_chosen_are_not_all(self, ann, team, chosen):
        with pytest.raises(ValidationError):
            access_tokens.create(ann, "ci", can_push=True, **chosen)
        assert not AccessToken.objects.exists()

    @pytest.mark.parametrize("name", ["shared/app", "public/app"])
    def test_without_a_role(self, ann, shared, name):
        with pytest.raises(ValidationError, match="that you have access to"):
            access_tokens.create(ann, "ci", can_push=True, images=[image(name)])

    def test_in_a_transfer(self, ann, team, shared):
        transfer_namespace(team, ActivatedAccountFactory())
        with pytest.raises(ValidationError, match="that you have access to"):
            access_tokens.create(ann, "ci", can_push=True, images=[image("team/app")])

    def test_managing_includes_deleting(self, ann):
        with pytest.raises(ValueError, match="must be one that may delete"):
            access_tokens.create(ann, "ci", can_push=True, can_manage=True)
        token, _secret = access_tokens.create(ann, "ci", can_push=True, can_delete=True, can_manage=True)
        assert token.access == "Pull, push, delete and manage"
        assert AuditEvent.objects.get(action="access_token.create").detail["can_manage"]
        with pytest.raises(IntegrityError, match="manage_needs_delete"), transaction.atomic():
            AccessToken.objects.update(can_delete=False)


class TestNeverMoreThanTheAccount:
    """As it is at the moment of the request."""

    @pytest.fixture
    def grant(self, ann, shared):
        return GrantFactory(namespace=shared, account=ann, role=Role.MAINTAINER)

    @pytest.fixture(params=["all", "namespace", "image"])
    def secret(self, ann, shared, grant, request):
        chosen = {"all": {}, "namespace": {"namespaces": [shared]}, "image": {"images": [image("shared/app")]}}
        return access_tokens.create(ann, "ci", can_push=True, can_delete=True, **chosen[request.param])[1]

    def on_app(self, ask, ann, secret):
        return opened(ask, ann, secret, "shared/app").get("shared/app", set())

    def test_demoted_removed_and_back(self, ann, shared, grant, secret, ask):
        assert self.on_app(ask, ann, secret) == {"pull", "push"}
        change_role(shared.owner, grant, Role.READER, None)
        assert self.on_app(ask, ann, secret) == {"pull"}
        take_role(shared.owner, grant)
        assert self.on_app(ask, ann, secret) == set()
        give_role(shared.owner, shared, ann, Role.WRITER)
        assert self.on_app(ask, ann, secret) == {"pull", "push"}

    def test_expired(self, ann, grant, secret, ask):
        Grant.objects.update(until=timezone.now() - datetime.timedelta(seconds=1))
        assert self.on_app(ask, ann, secret) == set()

    def test_a_new_role_counts_for_all_alone(self, ann, shared, grant, secret, ask):
        give_role(shared.owner, NamespaceFactory(owner=shared.owner, name="fresh"), ann, Role.READER)
        ImageFactory(namespace__name="fresh2", name="app")
        ImageFactory(namespace=shared.owner.namespaces.get(name="fresh"), name="app")
        token = AccessToken.objects.get()
        assert opened(ask, ann, secret, "fresh/app") == ({"fresh/app": {"pull"}} if token.all_namespaces else {})

    def test_the_page_says_so(self, client, ann, shared, grant, secret):
        assert "No access any more" not in text_of(client.get(LIST))
        take_role(shared.owner, grant)
        narrowed = not AccessToken.objects.get().all_namespaces
        assert ("No access any more" in text_of(client.get(LIST))) == narrowed


class TestWhatGoes:
    def test_an_image(self, client, ann, team, shared):
        token, _secret = access_tokens.create(ann, "ci", can_push=True, images=[image("team/app")])
        image("team/app").delete()
        assert not ImageAccess.objects.exists()
        token.refresh_from_db()
        assert not token.all_namespaces
        assert "None left" in text_of(client.get(LIST))

    @pytest.mark.usefixtures("registry_server")
    def test_a_transfer_ends_the_choices_of_the_former_owner_alone(self, ann, team, shared, ask):
        member, app = ActivatedAccountFactory(), image("team/app")
        GrantFactory(namespace=team, account=member, role=Role.WRITER)
        secrets = {}
        for account in (ann, member):
            for name, chosen in (("space", {"namespaces": [team]}), ("image", {"images": [app]})):
                secrets[account, name] = access_tokens.create(account, name, can_push=True, **chosen)[1]
        for owner in (ActivatedAccountFactory(), ann):
            transfer_namespace(team, owner)
            type(team).objects.filter(pk=team.pk).update(available_at=timezone.now())
            finish_transfers()
        # Ann owns it again: her old tokens stay closed. The member never lost the role.
        found = {key: opened(ask, key[0], secret, "team/app") for key, secret in secrets.items()}
        both = {"team/app": {"pull", "push"}}
        assert found == {
            (ann, "space"): {}, (ann, "image"): {}, (member, "space"): both, (member, "image"): both,
        }  # fmt: skip


class TestForm:
    def create(self, client, **changes):
        return client.post(CREATE, {**FORM, **changes})

    def chosen(self):
        token = AccessToken.objects.get()
        names = {namespace.name for namespace in token.namespaces.all()}
        return names | {one.full_name for one in token.images.all()}

    def test_typed_names(self, client, ann, team, shared):
        GrantFactory(namespace=shared, account=ann, image=image("shared/app"))
        assert self.create(client, names="team/app\r\n  shared/app team\n\n").status_code == 200
        assert self.chosen() == {"team/app", "shared/app", "team"}

    def test_ticked_and_typed(self, client, ann, team, shared):
        GrantFactory(namespace=shared, account=ann)
        assert self.create(client, namespaces=["shared"], names="team/app").status_code == 200
        assert self.chosen() == {"shared", "team/app"}

    @pytest.mark.parametrize(
        ("names", "sentence"),
        [
            ("", "Please choose at least one namespace or image."),
            (" \n ", "Please choose at least one namespace or image."),
            ("team/none", "You have no access to “team/none”."),
            ("shared/app", "You have no access to “shared/app”."),
            ("public/app", "You have no access to “public/app”."),
            ("shared", "You have no access to “shared”."),
            ("team//app", "You have no access to “team//app”."),
            ("/", "You have no access to “/”."),
            ("x" * 5000, "You have no access to"),
            ("a\x00b", "Null characters are not allowed."),
            (" ".join(f"team/{number}" for number in range(101)), "Use at most 100 names."),
        ],
    )
    def test_refused(self, client, ann, team, shared, names, sentence):
        answer = self.create(client, names=names)
        assert answer.status_code == 422
        assert sentence in text_of(answer)
        assert not AccessToken.objects.exists()

    def test_names_of_another_choice_are_not_read(self, client, ann, team):
        assert self.create(client, reach="all", names="nonsense").status_code == 200
        assert AccessToken.objects.get().all_namespaces

    def test_many_namespaces_are_typed(self, client, ann, team, monkeypatch):
        monkeypatch.setattr(forms, "MOST_TICK_BOXES", 2)
        for number in range(2):
            NamespaceFactory(owner=ann, name=f"more{number}")
        text = text_of(client.get(CREATE))
        assert 'name="namespaces"' not in text
        assert "such as team or team/app" in text
        assert self.create(client, names="more0 team").status_code == 200
        assert self.chosen() == {"more0", "team"}
        assert self.create(client, name="second").status_code == 422

    def test_the_list_names_them(self, client, ann, team, shared):
        self.create(client, names="team/app")
        assert "<span>team/app</span>" in text_of(client.get(LIST))
