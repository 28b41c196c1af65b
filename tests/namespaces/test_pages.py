"""The Namespace tab."""

import pytest
from django.core.exceptions import ValidationError

from console.namespaces.models import Namespace
from console.ownership.services import delete_namespace, require_available, transfer_namespace
from console.repositories.failures import give_up
from console.repositories.models import WorkFailure
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db


class TestNamespaces:
    def test_it_works(self, client, team):
        ImageFactory(namespace=team, size=2048)
        NamespaceFactory(name="somebody-elses")
        text = text_of(client.get("/namespaces/"))
        assert "team" in text
        assert "2.0" in text
        assert "contains 1 image" in text
        assert "somebody-elses" not in text
        assert "1 of 10 namespaces used" in text

    def test_empty_and_no_match(self, client, ann):
        assert "No namespaces yet" in text_of(client.get("/namespaces/"))
        NamespaceFactory(owner=ann)
        assert "No namespaces match “zzz”" in text_of(client.get("/namespaces/?q=zzz"))

    def test_create(self, client, ann):
        assert "<dialog" in text_of(client.get("/namespaces/-/create/", headers=HTMX))
        assert "<html" in text_of(client.get("/namespaces/-/create/"))
        assert client.post("/namespaces/-/create/", {"name": "one"})["Location"] == "/namespaces/"
        assert client.post("/namespaces/-/create/", {"name": "two"}, headers=HTMX)["HX-Redirect"] == "/namespaces/"
        assert ann.namespaces.count() == 2

    @pytest.mark.parametrize(
        "name", ["", "a", "x" * 31, "Team", "téam", "tеam", "..", "a//b", "-x", "library", "a\x00b"]
    )
    def test_bad_names(self, client, ann, name):
        response = client.post("/namespaces/-/create/", {"name": name}, headers=HTMX)
        assert response.status_code == 422
        assert 'class="errors"' in text_of(response)
        assert not Namespace.objects.exists()

    def test_taken(self, client, ann):
        NamespaceFactory(name="taken")
        response = client.post("/namespaces/-/create/", {"name": "taken"})
        assert "already in use by another user. Try another name." in text_of(response)

    def test_quota(self, client, team):
        team.owner.namespace_quota = 1
        team.owner.save()
        text = text_of(client.get("/namespaces/"))
        assert "This account has reached its namespace limit (1)." in text
        assert 'id="id_name"' not in text_of(client.get("/namespaces/-/create/"))
        assert "namespace limit (1)" in text_of(client.post("/namespaces/-/create/", {"name": "more"}))

    def test_delete(self, client, team):
        assert "team" in text_of(client.get("/namespaces/team/-/delete/", headers=HTMX))
        for typed in ({}, {"typed": "tea"}):
            refused = client.post("/namespaces/team/-/delete/", typed, headers=HTMX)
            assert refused.status_code == 422
            assert "Type “team” to confirm." in text_of(refused)
        response = client.post("/namespaces/team/-/delete/", {"typed": " team "}, headers=HTMX)
        assert response["HX-Redirect"] == "/namespaces/"
        assert not Namespace.objects.exists()

    def test_delete_one_that_holds_images(self, client, team):
        ImageFactory(namespace=team)
        assert "still contains 1 image" in text_of(client.get("/namespaces/team/-/delete/"))
        assert "still contains images" in text_of(client.post("/namespaces/team/-/delete/"))

    def test_somebody_elses(self, client, ann):
        NamespaceFactory(name="theirs")
        assert client.get("/namespaces/theirs/-/delete/").status_code == 404
        assert client.post("/namespaces/theirs/-/delete/").status_code == 404
        assert Namespace.objects.exists()

    def test_in_transfer(self, client, team):
        transfer_namespace(team, ActivatedAccountFactory())
        assert "Being transferred" in text_of(client.get("/namespaces/"))
        response = client.post("/images/-/create/", {"name": "app", "namespace": "team", "visibility": "private"})
        assert "Please choose a namespace that you may push to" in text_of(response)

    def test_a_transfer_that_was_given_up(self, client, team):
        transfer_namespace(team, ActivatedAccountFactory())
        give_up("transfer", "team", sentence="It is not given to its new owner.")
        WorkFailure.objects.update(given_up_at=None)
        assert "not given to its new owner" not in text_of(client.get("/namespaces/")), "it is being tried again"
        give_up("transfer", "team", sentence="It is not given to its new owner.")
        sentence = "It is not given to its new owner. Ask an administrator."
        assert text_of(client.get("/namespaces/")).count(sentence) == 1

    def test_a_name_whose_release_was_given_up(self, client, ann):
        former = NamespaceFactory(name="freed")
        delete_namespace(former.owner, former)
        for given_up in (False, True):
            if given_up:
                give_up("release", "freed", sentence="The name stays held.")
            response = client.post("/namespaces/-/create/", {"name": "freed"})
            assert ("ask an administrator" in text_of(response)) == given_up
            assert ("already in use by another user" in text_of(response)) == (not given_up)
            with pytest.raises(ValidationError) as refused:
                require_available(ann, "freed")
            assert ("ask an administrator" in str(refused.value)) == given_up
        assert not Namespace.objects.exists()
