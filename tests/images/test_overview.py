"""An image's Overview and Settings: what they show, and where the former addresses lead."""

import datetime
import re

import pytest
from django.utils import timezone

from console.repositories.models import Copy, DailyActivity, Image
from console.repositories.services import mark_image_for_deletion, mark_tags_for_deletion
from console.repositories.totals import refresh_totals
from console.web.templatetags.charts import daily_bars
from tests.support.factories import ImageFactory, ManifestFactory, TagFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

IN_PLACE = {**HTMX, "HX-Target": "description"}
PREVIEW = {**HTMX, "HX-Target": "preview"}


@pytest.fixture
def app(team):
    return ImageFactory(namespace=team, name="app", description="# The app\n\nIt *serves*.\n\n" + "words " * 2000)


def add(image, name, minutes=0, **manifest):
    row = ManifestFactory(image=image, size=3 << 20, **{"kind": "image", **manifest})
    return TagFactory(
        image=image, name=name, manifest=row, pushed_at=timezone.now() - datetime.timedelta(minutes=minutes)
    )


class TestOverview:
    def test_what_it_shows(self, client, app):
        for number in range(7):
            add(app, f"v{number}", minutes=number)
        refresh_totals(app.pk)
        text = text_of(client.get("/images/team/app/"))
        assert "<h3>The app</h3>" in text
        assert "<em>serves</em>" in text
        assert f'data-copy="docker pull {app.address}:v0"' in text
        assert re.findall(r'title="(v\d)"', text) == ["v0", "v1", "v2", "v3", "v4"]
        assert "Show all 7 tags" in text
        assert (
            "Only people with a role on this image or on its namespace can pull it, push to it or delete from it."
            in text
        )
        Image.objects.update(visibility="public")
        assert "Anyone can pull this image." in text_of(client.get("/images/team/app/"))

    def test_latest_is_what_is_pulled(self, client, app):
        add(app, "v2")
        add(app, "latest", minutes=9)
        text = text_of(client.get("/images/team/app/"))
        assert "Pull “latest”" in text

    def test_the_command_fits_the_kind(self, client, app):
        add(app, "1.0.0", kind="artifact", artifact_type="application/vnd.cncf.helm.config.v1+json")
        text = text_of(client.get("/images/team/app/"))
        assert "helm pull oci://" in text
        assert "docker pull" not in text

    def test_an_empty_image(self, client, team):
        ImageFactory(namespace=team, name="app")
        text = text_of(client.get("/images/team/app/"))
        for shown in (
            "No tags yet",
            "docker push ",
            "Commands for other clients",
            "No description yet.",
            "No pulls or pushes in the last 30 days.",
        ):
            assert shown in text, shown
        assert "Latest tags" not in text

    def test_work_under_way_is_mentioned(self, client, app):
        assert "copy or import is under way" not in text_of(client.get("/images/team/app/"))
        Copy.objects.create(image=app, tag="v1", source="team/x", digest="sha256:x", requested_by="ann")
        assert "1 copy or import is under way or was cancelled." in text_of(client.get("/images/team/app/"))
        Copy.objects.create(image=app, tag="v2", source="team/x", digest="sha256:x", requested_by="ann", state="failed")
        assert "1 copy, import or deletion of this image has a problem." in text_of(client.get("/images/team/app/"))

    def test_an_image_that_is_being_deleted_asks_for_nothing(self, client, team):
        mark_image_for_deletion(team.owner, ImageFactory(namespace=team, name="app"))
        for tab in ("", "-/tags/", "-/commands/"):
            text = text_of(client.get(f"/images/team/app/{tab}"))
            assert "This image is being deleted" in text
            assert "docker push" not in text and "Push to this image" not in text and "Show the commands" not in text

    def test_a_tag_that_is_being_deleted_is_not_offered(self, client, team, app):
        add(app, "v1")
        assert "docker pull" in text_of(client.get("/images/team/app/-/tags/v1/"))
        mark_tags_for_deletion(team.owner, app, ["v1"])
        text = text_of(client.get("/images/team/app/-/tags/v1/"))
        assert "This tag is being deleted." in text and "docker pull" not in text

    def test_what_a_push_changes_is_swapped_alone(self, client, app):
        add(app, "v1")
        text = text_of(client.get("/images/team/app/", headers={**HTMX, "HX-Target": "now"}))
        assert text.lstrip().startswith('<div class="now" id="now" data-watch="/images/team/app/-/version/"')
        assert "v1" in text and "serves" not in text

    def test_no_image_is_deleted_from_it_or_from_a_tag(self, client, app):
        add(app, "v1")
        for path in ("/images/team/app/", "/images/team/app/-/tags/v1/", "/images/team/app/-/tags/"):
            assert "/images/team/app/-/delete/" not in text_of(client.get(path)), path
        assert "/images/team/app/-/delete/" in text_of(client.get("/images/team/app/-/settings/"))


class TestFormerAddresses:
    def test_a_list_of_tags_with_a_query(self, client, app):
        response = client.get("/images/team/app/?q=v&sort=-size")
        assert response["Location"] == "/images/team/app/-/tags/?q=v&sort=-size"

    def test_an_open_list_of_tags(self, client, app):
        response = client.get("/images/team/app/", headers={**HTMX, "HX-Target": "tags"})
        assert response["Location"] == "/images/team/app/-/tags/?"

    def test_info(self, client, app):
        assert client.get("/images/team/app/-/info/")["Location"] == "/images/team/app/"
        assert client.get("/images/team/none/-/info/").status_code == 404


class TestSettings:
    def test_what_it_shows(self, client, app):
        add(app, "v1")
        refresh_totals(app.pk)
        text = text_of(client.get("/images/team/app/-/settings/"))
        assert "This image is private" in text
        assert "It serves." in text
        assert "words words" not in text
        assert "with its 1 tag and 3.0 MiB of storage" in text
        places = [text.index(title) for title in (">Type<", ">Description<", ">Danger zone<")]
        assert places == sorted(places)

    def test_nothing_is_changed_while_it_is_deleted(self, client, app):
        Image.objects.update(state="deleting")
        text = text_of(client.get("/images/team/app/-/settings/"))
        for gone in ("Danger zone", "Make public", "/-/describe/"):
            assert gone not in text


class TestDescription:
    PATH = "/images/team/app/-/describe/"

    def test_the_first_line_is_its_summary(self, client, app):
        assert app.summary == "It serves."
        client.post(self.PATH, {"description": "Another [line](https://example.com)\nand more"})
        assert Image.objects.get().summary == "Another line"
        client.post(self.PATH, {"description": "x" * 300})
        assert Image.objects.get().summary == "x" * 199 + "…"
        client.post(self.PATH, {"description": ""})
        assert Image.objects.get().summary == ""

    def test_a_preview_changes_nothing(self, client, app):
        before = Image.objects.get().description
        text = text_of(client.post(self.PATH, {"description": "*new*", "preview": "1"}, headers=PREVIEW))
        assert "<em>new</em>" in text
        assert "<textarea" not in text
        without_script = text_of(client.post(self.PATH, {"description": "*new*", "preview": "1"}))
        assert "<em>new</em>" in without_script
        assert "> *new*</textarea>" in without_script
        assert Image.objects.get().description == before

    def test_a_preview_of_nothing(self, client, app):
        assert "Nothing to preview yet." in text_of(client.post(self.PATH, {"preview": "1"}, headers=PREVIEW))

    def test_a_preview_of_too_much(self, client, app):
        form = {"description": "x" * 25_001, "preview": "1"}
        response = client.post(self.PATH, form, headers=PREVIEW)
        assert response.status_code == 422
        assert response["HX-Retarget"] == "#description"
        assert "up to 25,000 characters." in text_of(response)

    def test_the_longest(self, client, app):
        assert client.post(self.PATH, {"description": "é" * 25_000}).status_code == 302
        assert Image.objects.get().description == "é" * 25_000


class TestChart:
    @pytest.mark.parametrize(
        ("top", "ticks"),
        [(0, [1, 0]), (1, [1, 0]), (2, [2, 1, 0]), (3, [4, 2, 0]), (10, [10, 5, 0]), (11, [20, 10, 0]),
         (99, [100, 50, 0]), (100, [100, 50, 0]), (101, [200, 100, 0]), (650_000, [800_000, 400_000, 0])],
    )  # fmt: skip
    def test_the_scale(self, top, ticks):
        days = [DailyActivity(pulls=number) for number in (0, top, 0)]
        for day in days:
            day.date = datetime.date(2026, 11, 20)
        assert daily_bars(days, "pulls", "Pulls")["ticks"] == ticks

    def test_numbers_axes_and_a_table(self, client, app):
        day = timezone.now().date() - datetime.timedelta(days=3)
        DailyActivity.objects.create(image=app, day=day, pushes=1, pulls=1234)
        DailyActivity.objects.create(image=app, day=timezone.now().date(), pushes=0, pulls=66)
        text = text_of(client.get("/images/team/app/"))
        assert "Pulls <strong>1,300</strong>" in text
        assert f"Most on one day (UTC): 1,234, on {day}" in text
        assert "<span>2,000</span><span>1,000</span><span>0</span>" in text
        assert f'<th scope="row">{day}</th><td>1,234</td>' in text
