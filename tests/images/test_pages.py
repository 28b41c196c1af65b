"""The My Images tab and an image's page."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from console.repositories.models import Image, ImageDeletion, Tag
from console.repositories.totals import refresh_totals
from tests.support.factories import ActivatedAccountFactory, ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db


def cells(row):
    """How many columns a row of a table has."""
    return sum(int(span or 1) for span in re.findall(r'<t[hd]\b(?:[^>]*?colspan="(\d+)")?[^>]*>', row))


class TestList:
    def test_every_row_has_as_many_cells_as_the_head(self, client, team):
        ImageFactory(namespace=team, name="app")
        image = ImageFactory(namespace=team, name="going", state="deleting")
        ImageDeletion.objects.create(image=image, requested_by="x")
        head, *rows = re.findall(r"<tr\b.*?</tr>", client.get("/images/").content.decode(), re.DOTALL)
        assert len(rows) == 2
        assert [cells(row) for row in rows] == [cells(head)] * 2

    def test_it_works(self, client, team, settings):
        ImageFactory(namespace=team, name="web/app", visibility="public", tag_count=1234, size=5 * 1024**2)
        ImageFactory(name="somebody-elses")
        text = text_of(client.get("/images/"))
        assert f"{settings.REGISTRY_ADDRESS}/team/web/app" in text
        assert "1,234" in text
        assert "Public" in text
        assert "somebody-elses" not in text
        assert "1 in total" in text

    def test_next_steps(self, client, ann):
        assert "Create a namespace first" in text_of(client.get("/images/"))
        NamespaceFactory(owner=ann)
        assert "No images yet" in text_of(client.get("/images/"))
        assert "No images match" in text_of(client.get("/images/?q=zzz"))

    def names(self, client, query):
        page = client.get(f"/images/{query}").content.decode()
        return re.findall(r'<a href="/images/team\w*/([\w/-]+)/" title=', page)

    def test_search_filter_sort(self, client, ann, team):
        other = NamespaceFactory(owner=ann, name="team2")
        for number, name in enumerate(("beta", "alpha", "gamma")):
            ImageFactory(namespace=team, name=name, size=number, visibility="public" if number else "private")
        ImageFactory(namespace=other, name="delta", size=9)
        assert self.names(client, "?sort=name") == ["alpha", "beta", "delta", "gamma"]
        assert self.names(client, "?sort=-name") == ["gamma", "delta", "beta", "alpha"]
        assert self.names(client, "?sort=-size")[0] == "delta"
        assert self.names(client, "?q=MM") == ["gamma"]
        assert self.names(client, "?q=team2/") == ["delta"]
        assert self.names(client, "?namespace=team2") == ["delta"]
        assert self.names(client, "?type=public&sort=name") == ["alpha", "gamma"]
        assert 'aria-sort="descending"' in text_of(client.get("/images/?sort=-name"))

    def test_pages(self, client, team):
        for number in range(25):
            ImageFactory(namespace=team, name=f"image{number:02}")
        assert len(self.names(client, "")) == 20
        assert len(self.names(client, "?size=10")) == 10
        assert self.names(client, "?size=10&page=3&sort=name")[0] == "image20"
        assert len(self.names(client, "?page=2")) == 5

    @pytest.mark.parametrize(
        "query",
        [
            "?page=0", "?page=-1", "?page=x", "?page=99999999999999999999", "?size=7", "?size=x", "?sort=password",
            "?sort=--name", "?sort=namespace__owner__password", "?q=%00", "?q=%25_", "?namespace=%00", "?type=secret",
            "?q=" + "x" * 5000, "?sort=%ff", "?page=1&page=2",
        ],
    )  # fmt: skip
    def test_garbage(self, client, team, query):
        ImageFactory(namespace=team)
        for path in ("/images/", "/namespaces/"):
            assert client.get(path + query).status_code == 200

    @pytest.mark.parametrize("path", ["/images/", "/namespaces/", "/images/team/app/-/tags/"])
    def test_the_number_of_queries_does_not_grow(self, client, ann, team, path):
        app = ImageFactory(namespace=team, name="app")

        def count():
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path + "?size=100").status_code == 200
            return len(queries)

        TagFactory(image=app)
        before = count()
        for _ in range(9):
            ImageFactory(namespace=team)
            NamespaceFactory(owner=ann)
            TagFactory(image=app)
        assert count() == before

    def test_partial(self, client, team):
        response = client.get("/images/", headers={**HTMX, "HX-Target": "list"})
        assert "<html" not in text_of(response)
        assert 'id="list"' in text_of(response)
        assert "HX-Request" in response["Vary"]
        restored = client.get("/images/", headers={**HTMX, "HX-Target": "list", "HX-History-Restore-Request": "true"})
        assert "<html" in text_of(restored)

    def test_a_partial_brings_along_what_stands_elsewhere(self, client, team):
        app = ImageFactory(namespace=team, name="app")
        TagFactory(image=app)
        refresh_totals(app.pk)
        for path, target, words in (
            ("/images/", "list", "1 of 500 images used"),
            ("/images/team/app/-/tags/", "tags", "1 of 1,000 tags used"),
        ):
            response = text_of(client.get(path, headers={**HTMX, "HX-Target": target}))
            assert re.search(rf'id="used" hx-swap-oob="true"\s?>{words}', response)
            whole = text_of(client.get(path))
            assert (whole.count(words), whole.count("hx-swap-oob")) == (1, 0)

    def test_numbers_of_rows_are_not_grouped(self, client, ann):
        """Grouped, nothing would be found by them."""
        team = NamespaceFactory(pk=1234567, owner=ann, name="team")
        pair = [ImageFactory(pk=1234567 + number, namespace=team) for number in range(2)]
        for path in ("/images/", f"/images/-/delete/?image={pair[0].pk}&image={pair[1].pk}"):
            assert 'value="1234567"' in text_of(client.get(path))
        assert 'id="why-1234567"' in text_of(client.get("/namespaces/"))

    def test_a_registry_that_is_down_hides_nothing(self, client, team, settings):
        settings.REGISTRY_URL = "http://127.0.0.1:9"
        TagFactory(image=ImageFactory(namespace=team, name="app"), name="v7")
        assert "app" in text_of(client.get("/images/"))
        assert "v7" in text_of(client.get("/images/team/app/-/tags/"))
        assert 'hx-get="/images/-/registry/"' in text_of(client.get("/images/"))
        assert "Can’t reach the registry. Pushes" in text_of(client.get("/images/-/registry/", headers=HTMX))

    def test_a_registry_that_is_up_needs_no_words(self, client, ann, registry_server):
        assert text_of(client.get("/images/-/registry/", headers=HTMX)).strip() == ""

    def test_quota(self, client, team):
        ImageFactory(namespace=team)
        team.owner.image_quota = 1
        team.owner.save()
        text = text_of(client.get("/images/"))
        assert "This account has reached its image limit (1)." in text
        asked = text_of(client.get("/images/-/create/"))
        assert "This account has reached its image limit (1)." in asked and 'name="description"' not in asked
        response = client.post("/images/-/create/", {"name": "more", "namespace": "team", "visibility": "private"})
        assert "This account has reached its image limit (1)." in text_of(response)
        assert Image.objects.count() == 1


class TestCreate:
    def form(self, **changes):
        return {"name": "app", "namespace": "team", "visibility": "private", "description": "", **changes}

    def test_it_works(self, client, team):
        assert "<dialog" in text_of(client.get("/images/-/create/", headers=HTMX))
        response = client.post("/images/-/create/", self.form(name="deep/er/app", description="x\r\ny"), headers=HTMX)
        assert response["HX-Redirect"] == "/images/team/deep/er/app/-/commands/"
        image = Image.objects.get()
        assert (image.repository, image.visibility, image.description) == ("team/deep/er/app", "private", "x\ny")
        assert client.post("/images/-/create/", self.form())["Location"] == "/images/team/app/-/commands/"

    def test_without_a_namespace(self, client, ann):
        assert "you have none yet" in text_of(client.get("/images/-/create/"))

    @pytest.mark.parametrize(
        "name",
        ["", "a", "x" * 201, "App", "äpp", "аpp", "..", "a/../b", "a//b", "-x", "x-", "/app", "app/", "a b", "a\x00b"],
    )
    def test_bad_names(self, client, team, name):
        response = client.post("/images/-/create/", self.form(name=name), headers=HTMX)
        assert response.status_code == 422
        assert 'class="errors"' in text_of(response)
        assert not Image.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"visibility": "secret"}, "Please choose Public or Private"),
            ({"namespace": "theirs"}, "Please choose a namespace that you may push to"),
            ({"namespace": ""}, "Please choose a namespace"),
            ({"description": "x" * 25_001}, "25,000 characters"),
        ],
    )
    def test_bad_input(self, client, team, changes, sentence):
        NamespaceFactory(name="theirs")
        assert sentence in text_of(client.post("/images/-/create/", self.form(**changes)))
        assert not Image.objects.exists()

    def test_taken(self, client, team):
        ImageFactory(namespace=team, name="app")
        assert "The image “team/app” already exists." in text_of(client.post("/images/-/create/", self.form()))
        Image.objects.update(state="deleting")
        assert "is still being deleted" in text_of(client.post("/images/-/create/", self.form()))


class TestImage:
    def test_tags(self, client, team):
        image = ImageFactory(namespace=team, name="app")
        TagFactory(
            image=image, name="v1", pushed_by="ann", manifest=ManifestFactory(image=image, platforms=["linux/s390x"])
        )
        TagFactory(image=image, name="v2", state="deleting", problem="The registry does not answer.")
        text = text_of(client.get("/images/team/app/-/tags/"))
        assert "by ann" in text, "a user name without an account"
        assert "linux/s390x" in text
        assert f"docker pull {image.address}:v1" in text
        assert "The registry does not answer." in text
        assert "v1" not in text_of(client.get("/images/team/app/-/tags/?q=v2", headers={**HTMX, "HX-Target": "tags"}))
        assert "No tags match “zzz”" in text_of(client.get("/images/team/app/-/tags/?q=zzz"))

    def test_who_pushed_has_a_name(self, client, ann, team):
        other = ActivatedAccountFactory(name="Ben", credential__username="ben-1")
        image = ImageFactory(namespace=team, name="app")
        TagFactory(image=image, name="v1", pushed_by=ann.account_id)
        TagFactory(image=image, name="v2", pushed_by=other.registry_credential.username)
        text = text_of(client.get("/images/team/app/-/tags/"))
        assert f'title="{ann.account_id}">by Ann<' in text
        assert 'title="ben-1">by Ben<' in text

    def test_a_row_has_the_first_line_of_the_description(self, client, team):
        ImageFactory(namespace=team, name="app", description="# Head\n\nWhat *it* <is>\nand more")
        text = text_of(client.get("/images/"))
        assert '<span class="summary" title="What it &lt;is&gt;">What it &lt;is&gt;</span>' in text
        assert "and more" not in text

    def test_info_and_description(self, client, team):
        ImageFactory(namespace=team, name="app", description="# Head\n<script>alert(1)</script>")
        text = text_of(client.get("/images/team/app/"))
        assert "<h3>Head</h3>" in text
        assert "<script>alert" not in text
        assert "Head" in text_of(client.get("/images/team/app/-/describe/", headers=HTMX))
        in_place = {**HTMX, "HX-Target": "description"}
        form = text_of(client.get("/images/team/app/-/describe/", headers=in_place))
        assert "<textarea" in form
        assert "<html" not in form
        response = client.post("/images/team/app/-/describe/", {"description": "*new*"}, headers=in_place)
        assert "<em>new</em>" in text_of(response)
        assert "announce" in response["HX-Trigger"]
        assert Image.objects.get().description == "*new*"
        without_script = client.post("/images/team/app/-/describe/", {"description": "newer"})
        assert without_script["Location"] == "/images/team/app/"
        too_long = {"description": "x" * 25_001}
        assert client.post("/images/team/app/-/describe/", too_long).status_code == 422
        assert "25,000 characters" in text_of(client.post("/images/team/app/-/describe/", too_long, headers=in_place))

    def test_commands(self, client, team, settings):
        ImageFactory(namespace=team, name="web/app")
        address = settings.REGISTRY_ADDRESS
        for path in ("/images/team/web/app/-/commands/", "/images/-/guide/"):
            text = text_of(client.get(path))
            assert f"docker login --username={team.owner.account_id} {address}<" in text
            assert f"docker tag [ImageId] {address}/team/web/app:[tag]" in text
            assert f"docker push {address}/team/web/app:[tag]" in text
            assert f"docker pull {address}/team/web/app:[tag]" in text
            assert "With sudo, the first prompt is for the machine’s own password." in text

    @pytest.mark.parametrize(
        "verb", ["", "-/info/", "-/commands/", "-/describe/", "-/delete/", "-/delete-tags/?tag=v1"]
    )
    def test_somebody_elses(self, client, ann, verb):
        tag = TagFactory(name="v1")
        path = f"/images/{tag.image.repository}/{verb}"
        assert client.get(path).status_code == 404
        assert client.post(path, {"tag": "v1", "description": "x"}).status_code in {404, 405}
        assert Image.objects.get().state == "active"

    def test_whose_images_are_counted(self, client, team):
        ImageFactory(namespace=NamespaceFactory(owner=team.owner, name="other"))
        assert "1 of 500 images in your account" in text_of(client.get("/namespaces/team/"))

    @pytest.mark.parametrize("path", ["/images/-/create/", "/images/-/import/"])
    @pytest.mark.parametrize("headers", [{}, HTMX])
    def test_without_a_namespace(self, client, ann, path, headers):
        text = text_of(client.get(path, headers=headers))
        assert re.search(r'data-close>Cancel</a> <a class="button primary" [^>]+autofocus>Create a Namespace</a>', text)

    @pytest.mark.parametrize(
        "path", [
            "/images/team/", "/images/Team/app/", "/images/team//app/", "/images/team/../x/", "/images/-x/y/",
            "/images/-/storage/%00/", "/images/-/storage/A/", "/namespaces/%00/-/delete/",
        ],
    )  # fmt: skip
    def test_names_that_are_none(self, client, ann, path):
        assert client.get(path).status_code == 404


class TestDelete:
    def test_it_works(self, client, team):
        image = ImageFactory(namespace=team, name="app", tag_count=3, size=2048)
        text = text_of(client.get("/images/team/app/-/delete/", headers=HTMX))
        assert "Delete Image Repository" in text
        assert "Delete all tags of the image" in text
        assert "This deletes 3 tags and 2.0 KiB of storage. They cannot be recovered." in text
        assert 'name="typed"' not in text
        current = {"HX-Current-URL": "http://testserver/images/?page=2"}
        response = client.post("/images/team/app/-/delete/", headers={**HTMX, **current})
        assert response["HX-Redirect"] == "/images/?page=2"
        image.refresh_from_db()
        assert image.state == "deleting"
        text = text_of(client.get("/images/"))
        assert "Deleting team/app, 3 tags, 2.0 KiB." in text
        assert 'data-deleted="Deleted team/app, 3 tags, 2.0 KiB."' in text

    def test_more_than_ten_tags(self, client, team):
        image = ImageFactory(namespace=team, name="app", tag_count=11)
        assert "Type the name “app” to confirm" in text_of(client.get("/images/team/app/-/delete/"))
        assert client.post("/images/team/app/-/delete/", {"typed": "other"}).status_code == 422
        image.refresh_from_db()
        assert image.state == "active"
        assert client.post("/images/team/app/-/delete/", {"typed": "app"})["Location"] == "/images/"

    def test_ticked_rows(self, client, team):
        images = [ImageFactory(namespace=team, tag_count=4) for _ in range(3)]
        theirs = ImageFactory()
        query = "&".join(f"image={image.pk}" for image in [*images, theirs])
        text = text_of(client.get(f"/images/-/delete/?{query}&image=x&image=99999999999999999999"))
        assert "Type the number of images, “3”" in text
        form = {"image": [image.pk for image in [*images, theirs]], "typed": "3"}
        assert client.post("/images/-/delete/", form).status_code == 302
        assert "Deleting 3 images, 12 tags, " in text_of(client.get("/images/"))
        assert Image.objects.filter(state="deleting").count() == 3
        theirs.refresh_from_db()
        assert theirs.state == "active"

    def test_nothing_ticked(self, client, ann):
        assert client.get("/images/-/delete/")["Location"] == "/images/"

    def test_the_row_tells_how_far_it_is(self, client, team):
        image = ImageFactory(namespace=team, name="app", state="deleting")
        ImageDeletion.objects.create(
            image=image, requested_by="x", total=200, done=50, phase="tags", problem="Waiting."
        )
        for response in (client.get("/images/"), client.get("/images/team/app/-/row/", headers=HTMX)):
            text = text_of(response)
            assert 'value="25"' in text
            assert "Waiting." in text
            assert 'hx-trigger="every 1s"' in text
        assert "is being deleted" in text_of(client.get("/images/team/app/-/tags/"))

    def test_the_row_goes_with_the_image(self, client, team):
        response = client.get("/images/team/gone/-/row/", headers=HTMX)
        assert response.content == b""
        assert response["HX-Trigger"] == "list-changed"

    def test_tags(self, client, team):
        image = ImageFactory(namespace=team, name="app")
        manifest = ManifestFactory(image=image)
        for name in ("v1", "same"):
            TagFactory(image=image, manifest=manifest, name=name)
        refresh_totals(image.pk)
        text = text_of(client.get("/images/team/app/-/delete-tags/?tag=v1", headers=HTMX))
        assert "Other tags of the same digest stay: <code>same</code>" in text
        response = client.post("/images/team/app/-/delete-tags/", {"tag": ["v1"]}, headers=HTMX)
        assert response["HX-Redirect"] == "/images/team/app/-/tags/"
        assert Tag.objects.get(name="v1").state == "deleting"
        assert Tag.objects.get(name="same").state == "active"
        assert "no longer exist" in text_of(client.post("/images/team/app/-/delete-tags/", {"tag": ["v1"]}))
        assert client.post("/images/team/app/-/delete-tags/", {"tag": ["gone"]}).status_code == 404
        assert client.get("/images/team/app/-/delete-tags/")["Location"] == "/images/team/app/-/tags/"
        assert client.get("/images/team/app/-/delete-tags/?tag=%00").status_code == 404

    def test_more_than_ten_of_them(self, client, team):
        image = ImageFactory(namespace=team, name="app")
        tags = [TagFactory(image=image, name=f"v{number}").name for number in range(11)]
        assert 'name="typed"' not in text_of(client.get("/images/team/app/-/delete-tags/", {"tag": tags[:10]}))
        assert "Type the name “app” to confirm" in text_of(client.get("/images/team/app/-/delete-tags/", {"tag": tags}))
        refused = client.post("/images/team/app/-/delete-tags/", {"tag": tags, "typed": "team"})
        assert refused.status_code == 422
        assert "Type “app” to confirm." in text_of(refused)
        assert not Tag.objects.filter(state="deleting").exists()
        client.post("/images/team/app/-/delete-tags/", {"tag": tags, "typed": "team/app"})
        assert Tag.objects.filter(state="deleting").count() == 11
        assert "Deleting 11 tags of team/app." in text_of(client.get("/images/team/app/-/tags/"))

    def test_tags_that_share_their_digest_with_many(self, client, team):
        image = ImageFactory(namespace=team, name="app")
        manifest = ManifestFactory(image=image)
        for number in range(26):
            TagFactory(image=image, manifest=manifest, name=f"v{number:02}")
        text = text_of(client.get("/images/team/app/-/delete-tags/?tag=v00", headers=HTMX))
        assert "<code>v20</code> and 5 more" in text
        assert "v21" not in text
        assert "signature" not in text, "nothing goes with a digest that stays"

    def test_the_list_of_tags_is_found_again_as_it_was(self, client, team):
        for number in range(3):
            TagFactory(image=ImageFactory(namespace=team, name=f"app{number}"), name="v1")

        def go(number, current):
            headers = {**HTMX, "HX-Current-URL": f"http://testserver{current}"}
            path = f"/images/team/app{number}/-/delete-tags/"
            return client.post(path, {"tag": ["v1"]}, headers=headers)["HX-Redirect"]

        tags = "/images/team/app0/-/tags/"
        assert go(0, f"{tags}?sort=-size&size=50") == f"{tags}?sort=-size&size=50"
        assert go(1, "/images/team/app1/-/tags/v1/") == "/images/team/app1/-/tags/", "that page goes with the tag"
        assert go(2, "//elsewhere.example/images/team/app2/?x=1") == "/images/team/app2/-/tags/"

    def test_tags_of_an_image_that_is_being_deleted(self, client, team):
        tag = TagFactory(image=ImageFactory(namespace=team, name="app", state="deleting"))
        ImageDeletion.objects.create(image=tag.image, requested_by="x")
        response = client.post("/images/team/app/-/delete-tags/", {"tag": [tag.name]})
        assert "is being deleted with all its tags" in text_of(response)
