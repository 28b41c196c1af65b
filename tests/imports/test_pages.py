"""The dialogs, and what an image's page shows of copies from elsewhere."""

import pytest
from django.urls import reverse

from console.imports.models import Credentials, Transfer
from console.official_images.models import OfficialImage, OfficialTag
from console.repositories.models import Image
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.import_requests import ask, bring
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

OFFICIAL = "/docker-hub/nginx/-/tags/1.27/copy/"
IMPORT = "/images/-/import/"


@pytest.fixture
def known():
    """Docker Hub's own word about a tag."""
    platforms = [
        {"name": name, "digest": "sha256:" + "a" * 64, "size": 1}
        for name in (
            "linux/amd64",
            "linux/arm64/v8",
            "unknown/unknown",
            "windows/amd64 10.0.20348.2762",
            "windows/amd64 10.0.17763.6532",
        )
    ]
    OfficialTag.objects.create(image=OfficialImage.objects.create(name="nginx"), name="1.27", platforms=platforms)


class TestOfficial:
    def test_the_dialog(self, client, team, known):
        page = text_of(client.get(OFFICIAL, headers=HTMX))
        assert "<dialog" in page
        assert "Copy to my namespace" in page
        assert page.count('type="checkbox" name="platforms"') == 3
        assert 'value="windows/amd64"' in page, "a copy does not choose by the version"
        assert "unknown" not in page
        assert 'value="nginx"' in page
        assert "<html" in text_of(client.get(OFFICIAL))

    def test_begun(self, client, team, known):
        data = {"namespace": "team", "name": "web", "tag": "1", "platforms": ["linux/amd64", "linux/arm64/v8"]}
        response = client.post(OFFICIAL, data)
        assert response["Location"] == "/images/team/web/-/tags/"
        made = Transfer.objects.get()
        assert (made.source, made.repository, made.reference) == ("", "library/nginx", "1.27")
        assert made.platforms == ["linux/amd64", "linux/arm64/v8"]
        page = text_of(client.get("/images/team/web/-/tags/"))
        assert "The copy of “nginx:1.27” has started." in page
        assert "“1” is being copied from nginx:1.27." in page

    def test_by_htmx(self, client, team, known):
        response = client.post(OFFICIAL, {"namespace": "team", "name": "web", "tag": "1"}, headers=HTMX)
        assert response["HX-Redirect"] == "/images/team/web/-/tags/"
        assert Transfer.objects.get().platforms == []

    def test_a_tag_of_which_nothing_is_known(self, client, team):
        assert 'type="text" name="platforms"' in text_of(client.get(OFFICIAL))
        data = {"namespace": "team", "name": "web", "tag": "1", "platforms": "linux/arm64, linux/amd64,linux/arm64"}
        client.post(OFFICIAL, data)
        assert Transfer.objects.get().platforms == ["linux/amd64", "linux/arm64"]

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"namespace": "other"}, "a namespace that you may push to"),
            ({"name": ""}, "Please enter a name"),
            ({"name": "X"}, "lowercase"),
            ({"tag": ""}, "Please enter a tag"),
            ({"tag": "-"}, "up to 128"),
            ({"tag": "a\x00"}, "up to 128"),
            ({"platforms": ["linux/none"]}, "does not have the platform linux/none"),
        ],
    )
    def test_refused(self, client, team, known, change, sentence):
        data = {"namespace": "team", "name": "web", "tag": "1", **change}
        response = client.post(OFFICIAL, data)
        assert response.status_code == 422
        assert sentence in text_of(response)
        assert not Transfer.objects.exists()

    def test_switched_off(self, client, team, settings):
        settings.DOCKERHUB_ENABLED = False
        assert "turned off" in text_of(client.get(OFFICIAL))
        response = client.post(OFFICIAL, {"namespace": "team", "name": "web", "tag": "1"})
        assert (response.status_code, "turned off" in text_of(response)) == (422, True)

    def test_without_a_namespace(self, client, ann):
        for address in (OFFICIAL, IMPORT):
            assert "you have none yet" in text_of(client.get(address))

    @pytest.mark.parametrize("path", ["/docker-hub/a/b/-/tags/1/copy/", "/docker-hub/X/-/tags/1/copy/"])
    def test_not_an_official_image(self, client, team, path):
        assert client.get(path).status_code == 404


class TestImport:
    DATA = {"reference": "registry.example.com/team/app:1", "namespace": "team"}

    def test_the_dialog(self, client, team):
        assert f'hx-get="{IMPORT}"' in text_of(client.get("/images/"))
        page = text_of(client.get(f"{IMPORT}?reference=r.example.com/app&name=web", headers=HTMX))
        assert 'value="r.example.com/app"' in page
        assert 'value="web"' in page

    def test_what_is_left_empty(self, client, team):
        response = client.post(IMPORT, self.DATA)
        assert response["Location"] == "/images/team/app/-/tags/"
        made = Transfer.objects.get()
        assert (made.source, made.repository, made.reference) == ("https://registry.example.com", "team/app", "1")
        assert (made.image.name, made.tag, made.with_credentials) == ("app", "1", False)
        digest = f"sha256:{'a' * 64}"
        client.post(IMPORT, {**self.DATA, "reference": f"r.example.com/app:7@{digest}", "name": "web"})
        made = Transfer.objects.get(image__name="web")
        assert (made.reference, made.tag) == (digest, "7")
        # A digest alone names no tag, and "latest" may be there.
        response = client.post(IMPORT, {**self.DATA, "reference": f"r.example.com/app@{digest}", "name": "web"})
        assert "a digest does not name one" in text_of(response)
        assert Transfer.objects.count() == 2

    def test_with_credentials(self, client, team):
        response = client.post(IMPORT, {**self.DATA, "username": "ann", "password": " s3cret "})
        assert response.status_code == 302
        from console.imports import credentials

        assert credentials.of(Transfer.objects.get()) == ("ann", " s3cret ")
        assert "s3cret" not in text_of(client.get("/images/team/app/-/tags/"))

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"reference": ""}, "Please enter an image name"),
            ({"reference": "r.example.com/App"}, "not an image name"),
            ({"reference": "a" * 801}, "image name is too long"),
            ({"reference": "10.0.0.1/app"}, "does not have a public address"),
            ({"reference": "http://r.example.com/app"}, "Use https://"),
            ({"password": "s3cret"}, "user name too"),
            ({"username": "ann", "password": "s3cret", "tag": "-"}, "up to 128"),
            ({"username": "a" * 4097}, "can have up to 4,096 characters"),
            ({"platforms": "linux"}, "Enter platforms like"),
            ({"platforms": "linux/amd64 " * 51}, ""),
            ({"namespace": ""}, "choose a namespace"),
        ],
    )
    def test_refused(self, client, team, change, sentence):
        response = client.post(IMPORT, {**self.DATA, **change})
        if sentence:
            assert response.status_code == 422
            assert sentence in text_of(response)
            assert not Transfer.objects.exists()
        assert "s3cret" not in response.content.decode()
        assert Credentials.objects.count() == 0


class TestOnTheImagesPage:
    def test_running(self, client, team, ann):
        transfer = ask(team, "nginx")
        Transfer.objects.update(bytes_total=2048, bytes_done=1024, platforms=["linux/amd64"], problem="It waits.")
        page = text_of(client.get("/images/team/mine/-/tags/"))
        assert 'value="50"' in page
        assert "1 KiB of 2 KiB" in page or "1.0 KiB of 2.0 KiB" in page
        assert "It waits." in page
        assert "linux/amd64" in page
        response = client.post(f"/images/team/mine/-/transfers/{transfer.pk}/cancel/")
        assert response["Location"] == "/images/team/mine/-/tags/"
        assert "was cancelled" in text_of(client.get("/images/team/mine/-/tags/"))
        client.post(f"/images/team/mine/-/transfers/{transfer.pk}/retry/")
        transfer.refresh_from_db()
        assert (transfer.state, transfer.attempt) == (Transfer.State.RUNNING, 2)

    def test_failed(self, client, team, ann):
        transfer = ask(team, "nginx")
        Transfer.objects.update(state=Transfer.State.FAILED, problem="There is a reason.")
        page = text_of(client.get("/images/team/mine/-/tags/"))
        assert "Copying nginx:latest to “v1” failed:" in page
        assert "There is a reason." in page
        client.post(f"/images/team/mine/-/transfers/{transfer.pk}/dismiss/")
        assert not Transfer.objects.exists()

    def test_failed_with_credentials(self, client, team, ann):
        transfer = bring(team, "r.example.com/team/app:1", login=("ann", "s3cret"), platforms=["linux/amd64"])
        Transfer.objects.update(state=Transfer.State.FAILED)
        page = text_of(client.get("/images/team/mine/-/tags/"))
        assert reverse("transfer-retry", args=["team/mine", transfer.pk]) not in page
        form = text_of(client.get(Transfer.objects.get().again))
        for value in ("https://r.example.com/team/app:1", "mine", "v1", "linux/amd64"):
            assert f'value="{value}"' in form
        assert "s3cret" not in page + form

    def test_too_late(self, client, team, ann):
        transfer = ask(team, "nginx")
        Transfer.objects.update(finishing=True)
        client.post(f"/images/team/mine/-/transfers/{transfer.pk}/cancel/")
        assert "Too late to cancel" in text_of(client.get("/images/team/mine/-/tags/"))

    def test_not_there_and_somebody_elses(self, client, team, ann):
        transfer = ask(team, "nginx")
        other = ImageFactory(namespace=team, name="other")
        theirs = ask(NamespaceFactory(owner=ActivatedAccountFactory(), name="theirs"), "nginx")
        for verb in ("cancel", "retry", "dismiss"):
            for repository, number in (
                (other.repository, transfer.pk),
                ("team/mine", 10**9),
                ("theirs/mine", theirs.pk),
            ):
                assert client.post(f"/images/{repository}/-/transfers/{number}/{verb}/").status_code == 404
            assert client.get(f"/images/team/mine/-/transfers/{transfer.pk}/{verb}/").status_code == 405
        assert Transfer.objects.filter(state=Transfer.State.RUNNING).count() == 2

    def test_as_many_queries_with_many(self, client, team, ann, django_assert_num_queries):
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        ask(team, "nginx")
        with CaptureQueriesContext(connection) as one:
            client.get("/images/team/mine/-/tags/")
        for number in range(5):
            ask(team, "nginx", tag=f"w{number}")
        with django_assert_num_queries(len(one)):
            client.get("/images/team/mine/-/tags/")


class TestWho:
    @pytest.mark.parametrize("address", [OFFICIAL, IMPORT])
    def test_signed_out_or_not_activated(self, client, address):
        assert client.get(address)["Location"].startswith("/sign-in/")
        from tests.support.factories import AccountFactory

        client.force_login(AccountFactory())
        assert client.get(address)["Location"] == "/images/"
        assert client.post(address, {})["Location"] == "/images/"

    def test_the_admin_shows_no_credentials(self, client, team, ann):
        bring(team, "r.example.com/app", login=("ann", "s3cret"))
        ann.is_staff = ann.is_superuser = True
        ann.save()
        transfer = Transfer.objects.get()
        for address in ("/admin/transfers/transfer/", f"/admin/transfers/transfer/{transfer.pk}/change/"):
            response = client.get(address)
            assert response.status_code == 200
            assert "s3cret" not in response.content.decode()
        assert "credentials/" not in client.get("/admin/").content.decode()
        assert Image.objects.count() == 1
