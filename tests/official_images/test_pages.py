"""The Docker Hub pages: what they show of what is known, and that they ask nobody themselves."""

import datetime
import re

import pytest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.official_images import jobs
from console.official_images.models import Catalogue, OfficialImage, OfficialTag, Problem
from console.web.templatetags.console import moment
from tests.support.factories import AccountFactory
from tests.support.hub_api import image as hub_image
from tests.support.hub_api import tag as hub_tag

pytestmark = pytest.mark.django_db
REFRESH = re.compile(r'id="refresh" (disabled|)>')
SIX_HOURS_AGO = timezone.now() - datetime.timedelta(hours=6, minutes=1)


@pytest.fixture
def known():
    """A catalogue that was read just now."""
    now = timezone.now()
    Catalogue.objects.create(pk=1, refreshed_at=now, tried_at=now)
    for number, (name, description) in enumerate(
        [("debian", "Linux with <packages> & more"), ("nginx", "A web server"), ("postgres", "A database server")]
    ):
        OfficialImage.objects.create(
            name=name, description=description, stars=1000 + number, pulls=13_000_000_000 - number, updated_at=now
        )


@pytest.fixture
def debian(known):
    return OfficialImage.objects.get(name="debian")


def text(client, path, **headers):
    response = client.get(path, **headers)
    assert response.status_code == 200, path
    return response.content.decode()


def rows_of(html):
    return [name for name in ("debian", "nginx", "postgres") if f'href="/docker-hub/{name}/"' in html]


def waiting(name):
    return ProcrastinateJob.objects.filter(task_name=name, status="todo").count()


class TestList:
    def test_what_is_known_is_shown(self, client, ann, known, hub):
        html = text(client, "/docker-hub/")
        assert rows_of(html) == ["debian", "nginx", "postgres"]
        assert "Linux with &lt;packages&gt; &amp; more" in html
        assert "13,000,000,000" in html
        assert "As of" in html
        assert "3 in total" in html
        assert hub.asked == []
        assert waiting("dockerhub.refresh") == 0

    def test_search_sort_and_paging(self, client, ann, known):
        assert rows_of(text(client, "/docker-hub/?q=server")) == ["nginx", "postgres"]
        assert rows_of(text(client, "/docker-hub/?q=SERVER+data")) == ["postgres"]
        html = text(client, "/docker-hub/?q=%00%27%22%3Cb%3E")
        assert rows_of(html) == []
        assert "&lt;b&gt;”." in html
        for sort in ("name", "-name", "stars", "-stars", "pulls", "-pulls", "updated", "-updated", "x", "-"):
            html = text(client, f"/docker-hub/?sort={sort}&page=99&size=7")
            order = sorted(("debian", "nginx", "postgres"), key=lambda name: html.index(f'href="/docker-hub/{name}/"'))
            forward = sort in {"name", "stars", "-pulls", "updated", "x", "-"}
            assert order == (["debian", "nginx", "postgres"] if forward else ["postgres", "nginx", "debian"]), sort
        OfficialImage.objects.bulk_create(OfficialImage(name=f"image{number}") for number in range(30))
        html = text(client, "/docker-hub/?sort=name&page=2&size=10")
        assert "Page 3" in html
        assert "33 in total" in html

    def test_the_number_of_queries_does_not_grow(self, client, ann, known, django_assert_max_num_queries):
        OfficialImage.objects.bulk_create(OfficialImage(name=f"image{number}") for number in range(200))
        with django_assert_max_num_queries(8):
            text(client, "/docker-hub/?size=100")

    def test_htmx_gets_the_list_alone(self, client, ann, known):
        html = text(client, "/docker-hub/?q=nginx", HTTP_HX_REQUEST="true", HTTP_HX_TARGET="list")
        assert rows_of(html) == ["nginx"]
        assert "<html" not in html
        assert 'id="known" hx-swap-oob="true"' in html

    def test_an_empty_one_is_asked_for(self, client, ann, hub):
        html = text(client, "/docker-hub/")
        assert html.count("Loading") == 1 and "Loading the catalogue" in html
        assert REFRESH.search(html)[1] == "disabled"
        text(client, "/docker-hub/")
        assert waiting("dockerhub.refresh") == 1
        assert hub.asked == []
        before = text(client, "/docker-hub/-/version/")
        hub.images = [hub_image("debian", pulls=5)]
        jobs.refresh()
        assert text(client, "/docker-hub/-/version/") != before
        html = text(client, "/docker-hub/")
        assert rows_of(html) == ["debian"]
        assert "Loading" not in html
        assert REFRESH.search(html)[1] == ""

    def test_an_old_one_is_shown_and_asked_for(self, client, ann, known):
        Catalogue.objects.update(refreshed_at=SIX_HOURS_AGO, tried_at=SIX_HOURS_AGO)
        html = text(client, "/docker-hub/")
        assert rows_of(html) == ["debian", "nginx", "postgres"]
        assert html.count("Loading from Docker Hub") == 1
        assert waiting("dockerhub.refresh") == 1

    def test_without_the_internet_it_says_since_when(self, client, ann, known):
        Catalogue.objects.update(refreshed_at=SIX_HOURS_AGO, problem=Problem.UNREACHABLE, failures=1)
        html = text(client, "/docker-hub/")
        assert "Can’t reach Docker Hub." in html
        assert f"This list is from {moment(SIX_HOURS_AGO)}" in html
        assert rows_of(html) == ["debian", "nginx", "postgres"]

    def test_without_the_internet_and_nothing_known(self, client, ann):
        Catalogue.objects.create(pk=1, tried_at=timezone.now(), problem=Problem.UNREACHABLE, failures=1)
        html = text(client, "/docker-hub/")
        assert "The catalogue has not been loaded yet" in html
        assert "Can’t reach Docker Hub." in html

    def test_what_is_no_longer_listed_is_not_in_it(self, client, ann, debian):
        OfficialImage.objects.filter(pk=debian.pk).update(listed=False)
        assert rows_of(text(client, "/docker-hub/")) == ["nginx", "postgres"]
        assert "no longer lists this image" in text(client, "/docker-hub/debian/")

    def test_somebody_who_is_not_activated_may_look(self, client, known):
        client.force_login(AccountFactory())
        assert rows_of(text(client, "/docker-hub/")) == ["debian", "nginx", "postgres"]


class TestRefresh:
    def test_it_is_asked_for_once_a_minute(self, client, ann, known):
        assert "Refreshing the catalogue." in self.press(client)
        assert waiting("dockerhub.refresh") == 1
        ProcrastinateJob.objects.all().delete()
        assert "less than a minute ago" in self.press(client)
        assert waiting("dockerhub.refresh") == 0
        Catalogue.objects.update(asked_at=timezone.now() - datetime.timedelta(seconds=61))
        assert "Refreshing the catalogue." in self.press(client)
        assert waiting("dockerhub.refresh") == 1

    def test_not_while_docker_hub_wants_none(self, client, ann, known):
        Catalogue.objects.update(retry_at=timezone.now() + datetime.timedelta(minutes=5))
        assert "rate limit is reached" in self.press(client)
        assert waiting("dockerhub.refresh") == 0

    def test_who_may_not(self, client, known):
        assert client.get("/docker-hub/-/refresh/").status_code == 405
        assert client.post("/docker-hub/-/refresh/")["Location"].startswith("/sign-in/")
        client.force_login(AccountFactory())
        assert client.post("/docker-hub/-/refresh/")["Location"] == "/images/"
        assert waiting("dockerhub.refresh") == 0

    @staticmethod
    def press(client):
        return client.post("/docker-hub/-/refresh/", follow=True).content.decode()


class TestImage:
    def tags(self, debian, count=3):
        OfficialTag.objects.bulk_create(
            OfficialTag(
                image=debian, name=f"v{number}", digest=f"sha256:{number:064x}", size=(number + 1) << 20,
                pushed_at=SIX_HOURS_AGO + datetime.timedelta(minutes=number),
                platforms=[
                    {"name": name, "digest": f"sha256:{number:064x}", "size": 5 << 20}
                    for name in ("linux/amd64", "linux/arm64/v8", "linux/s390x", "linux/riscv64")
                ],
            )
            for number in range(count)
        )  # fmt: skip
        OfficialImage.objects.filter(pk=debian.pk).update(tags_known_at=timezone.now(), tags_total=count)

    def test_what_is_known_is_shown(self, client, ann, debian, settings, hub):
        self.tags(debian)
        html = text(client, "/docker-hub/debian/")
        for name in ("v0", "v1", "v2"):
            assert f'data-copy="docker pull {settings.DOCKERHUB_ADDRESS}/library/debian:{name}"' in html
        assert f"docker pull {settings.DOCKERHUB_ADDRESS}/library/debian:v2</code>" in html.replace(
            "<wbr>", ""
        )  # the newest
        assert "linux/riscv64" in html
        assert "3.0\N{NO-BREAK SPACE}MiB" in html
        assert hub.asked == []
        assert waiting("dockerhub.read_tags") == 0
        OfficialTag.objects.filter(name="v1").update(name="latest")
        assert "debian:latest</code>" in text(client, "/docker-hub/debian/")

    def test_search_sort_and_paging(self, client, ann, debian, django_assert_max_num_queries):
        self.tags(debian, 250)
        with django_assert_max_num_queries(12):
            html = text(client, "/docker-hub/debian/?q=V1&size=100&page=2")
        assert "111 in total" in html
        assert "No tags match “nothing”" in text(client, "/docker-hub/debian/?q=nothing")
        for sort in ("name", "-name", "size", "-size", "pushed", "-pushed"):
            html = text(client, f"/docker-hub/debian/?q=v11&sort={sort}")
            assert (html.index(">v110<") < html.index(">v111<")) == (not sort.startswith("-")), sort
        html = text(
            client, "/docker-hub/debian/?page=-1&size=x&sort=%00&q=%00", HTTP_HX_REQUEST="true", HTTP_HX_TARGET="tags"
        )
        assert "250 in total" in html
        assert "<html" not in html

    def test_opening_it_has_old_tags_read_again(self, client, ann, debian, hub):
        hub.tags["debian"] = [hub_tag("12-slim")]
        html = text(client, "/docker-hub/debian/")
        assert html.count("Loading") == 1 and "Loading the tags" in html
        text(client, "/docker-hub/debian/")
        assert waiting("dockerhub.read_tags") == 1
        assert hub.asked == []
        before = text(client, "/docker-hub/debian/-/version/")
        ProcrastinateJob.objects.all().delete()
        jobs.read_tags("debian")
        assert text(client, "/docker-hub/debian/-/version/") != before
        html = text(client, "/docker-hub/debian/")
        assert ">12-slim<" in html
        assert "Loading from Docker Hub" not in html
        assert waiting("dockerhub.read_tags") == 0
        hour_ago = timezone.now() - datetime.timedelta(hours=1)
        OfficialImage.objects.update(tags_known_at=hour_ago, tags_tried_at=hour_ago)
        assert ">12-slim<" in text(client, "/docker-hub/debian/")
        assert waiting("dockerhub.read_tags") == 1

    def test_while_they_are_read(self, client, ann, debian):
        OfficialImage.objects.update(tags_tried_at=timezone.now())
        assert "Loading the tags" in text(client, "/docker-hub/debian/")
        assert waiting("dockerhub.read_tags") == 0

    def test_without_the_internet_it_says_since_when(self, client, ann, debian):
        self.tags(debian)
        OfficialImage.objects.update(
            tags_known_at=SIX_HOURS_AGO, tags_tried_at=timezone.now(), tags_problem=Problem.UNREACHABLE
        )
        html = text(client, "/docker-hub/debian/")
        assert "Can’t reach Docker Hub." in html
        assert f"This list is from {moment(SIX_HOURS_AGO)}" in html
        assert ">v2<" in html

    def test_without_tags(self, client, ann, debian):
        now = timezone.now()
        OfficialImage.objects.update(tags_known_at=now, tags_tried_at=now)
        assert "Docker Hub has no tags of this image." in text(client, "/docker-hub/debian/")
        OfficialImage.objects.update(tags_known_at=None, tags_problem=Problem.BUSY)
        html = text(client, "/docker-hub/debian/")
        assert "The tags have not been loaded yet" in html
        assert "rate limit is reached" in html
        OfficialImage.objects.update(tags_tried_at=None, tags_problem="")
        Catalogue.objects.update(retry_at=now + datetime.timedelta(minutes=1))
        assert "rate limit is reached" in text(client, "/docker-hub/debian/")

    def test_it_says_when_there_are_more_tags(self, client, ann, debian):
        self.tags(debian)
        OfficialImage.objects.update(tags_total=4321)
        assert "the newest 3 of 4,321 tags" in text(client, "/docker-hub/debian/")

    @pytest.mark.parametrize("name", ["grafana/grafana", "nobody", "Debian", "-", "..", "%00", "a%0a", "debian/x", "é"])
    def test_what_is_no_official_image_is_not_found(self, client, ann, debian, name):
        for rest in ("", "-/cached/", "-/version/"):
            assert client.get(f"/docker-hub/{name}/{rest}").status_code == 404, name + rest
        assert ProcrastinateJob.objects.count() == 0

    def test_not_signed_in(self, client, debian):
        for path in ("debian/", "debian/-/cached/", "debian/-/version/", "-/version/"):
            assert client.get(f"/docker-hub/{path}")["Location"].startswith("/sign-in/")


def test_turned_off(client, ann, debian, settings, hub):
    settings.DOCKERHUB_ENABLED = False
    html = text(client, "/docker-hub/")
    assert "Docker Hub is turned off" in html
    assert rows_of(html) == []
    assert "Docker Hub’s official images are turned off on this server." in html
    assert "An administrator can turn it on." in html and "DOCKERHUB" not in html
    assert "you can’t pull through the cache" in text(client, "/docker-hub/debian/")
    assert "Can’t reach the cache." in text(client, "/docker-hub/debian/-/cached/")
    client.post("/docker-hub/-/refresh/")
    jobs.keep_up()
    assert hub.asked == []
    assert ProcrastinateJob.objects.count() == 0


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("port", "is off: another program uses port 5001."),
        ("program", "is off: no registry program was found for it."),
        ("files", "is off: its files could not be written."),
    ],
)
def test_wanted_but_missing(client, ann, debian, settings, hub, missing, sentence):
    """The start went on without the cache: the pages and the administration give the reason."""
    settings.DOCKERHUB_ENABLED, settings.DOCKERHUB_MISSING, settings.DOCKERHUB_PORT = False, missing, 5001
    ann.is_staff = ann.is_superuser = True
    ann.save()
    for path in ("/docker-hub/", "/docker-hub/debian/", "/admin/"):
        assert sentence in text(client, path), path
    assert ("DOCKERHUB_PORT" in text(client, "/docker-hub/")) == (missing == "port")
    settings.DOCKERHUB_ENABLED, settings.DOCKERHUB_MISSING = True, ""
    assert "cache is off" not in text(client, "/admin/")
