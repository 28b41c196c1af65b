"""Reading Docker Hub's list of official images, whatever it answers."""

import datetime
import json
import time
from email.utils import formatdate

import pytest
from django.utils import timezone

from console.official_images import catalogue, hub_api, jobs
from console.official_images.models import Catalogue, OfficialImage, Problem
from tests.support.hub_api import image
from tests.support.ports import free_port

pytestmark = pytest.mark.django_db


def listed():
    return set(OfficialImage.objects.filter(listed=True).values_list("name", flat=True))


def test_the_list_is_read_page_by_page(hub):
    hub.images = [image(f"image{number}", stars=number, pulls=13_000_000_000) for number in range(250)]
    catalogue.refresh()
    assert len(listed()) == 250
    row = OfficialImage.objects.get(name="image249")
    assert (row.stars, row.pulls) == (249, 13_000_000_000)
    assert row.updated_at == datetime.datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=datetime.UTC)
    state = catalogue.state()
    assert state.problem == ""
    assert state.refreshed_at >= state.tried_at
    assert [path.partition("?")[2] for path, _condition in hub.asked] == [
        "page_size=100", "page=2&page_size=100", "page=3&page_size=100"
    ]  # fmt: skip


def test_pages_that_did_not_change_are_not_sent_again(hub):
    hub.images = [image(f"image{number}") for number in range(150)]
    catalogue.refresh()
    hub.images[120]["star_count"] = 77
    hub.asked.clear()
    catalogue.refresh()
    assert all(condition for _path, condition in hub.asked)
    assert OfficialImage.objects.get(name="image120").stars == 77
    assert len(listed()) == 150
    hub.validators = False
    catalogue.refresh()
    assert len(listed()) == 150


def test_what_is_no_longer_listed_keeps_its_row(hub):
    hub.images = [image("debian"), image("centos")]
    catalogue.refresh()
    OfficialImage.objects.filter(name="centos").update(star_count=3)
    hub.images.pop()
    catalogue.refresh()
    assert listed() == {"debian"}
    hub.images.append(image("centos", stars=9))
    catalogue.refresh()
    row = OfficialImage.objects.get(name="centos")
    assert (row.listed, row.stars, row.star_count) == (True, 9, 3)


def test_fewer_rows_than_there_are_said_to_be_prove_nothing(hub):
    hub.images = [image("debian"), image("centos")]
    catalogue.refresh()
    body = json.dumps({"count": 2, "next": None, "results": [image("debian"), image("debian")]}).encode()
    hub.answers = [(200, {}, body)]
    catalogue.refresh()
    assert listed() == {"debian", "centos"}


def test_rows_that_make_no_sense_are_left_out(hub):
    hub.images = [
        image("good", description="a\x00b \ud800 c\nd" + "x" * 900),
        image("../../etc"), image("Upper"), image("a/b"), image("x" * 201), image(""), {**image("n"), "name": None},
        {**image("odd"), "description": None, "star_count": "many", "pull_count": 1 << 70, "last_updated": "soon"},
        {**image("odder"), "star_count": -1, "pull_count": True, "last_updated": "0001-01-01T00:00:00+14:00"},
    ]  # fmt: skip
    hub.answers = [(200, {}, json.dumps({"count": 99, "next": None, "results": [*hub.images, 7, None, []]}).encode())]
    catalogue.refresh()
    assert listed() == {"good", "odd", "odder"}
    good, odd = OfficialImage.objects.get(name="good"), OfficialImage.objects.get(name="odd")
    assert good.description.startswith("ab c dxxx")
    assert len(good.description) == 500
    assert (odd.description, odd.stars, odd.pulls, odd.updated_at) == ("", 0, 0, None)


def page_of(**changes):
    return json.dumps({"count": 1, "next": None, "results": [image("evil")], **changes}).encode()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((500, {}, b"oops"), Problem.BROKEN),
        ((503, {}, b""), Problem.BROKEN),
        ((429, {"Retry-After": "120"}, b""), Problem.BUSY),
        ((401, {}, b"{}"), Problem.REFUSED),
        ((403, {}, b"{}"), Problem.REFUSED),
        ((404, {}, b"{}"), Problem.UNKNOWN),
        ((304, {}, b""), Problem.UNEXPECTED),
        ((200, {}, b"<html>Sign in to the hotel's network</html>"), Problem.UNEXPECTED),
        ((200, {}, b"[]"), Problem.UNEXPECTED),
        ((200, {}, b"[" * 100_000), Problem.UNEXPECTED),
        ((200, {}, page_of(results={})), Problem.UNEXPECTED),
        ((200, {}, page_of(count="1")), Problem.UNEXPECTED),
        ((200, {}, page_of(next=7)), Problem.UNEXPECTED),
        ((200, {}, page_of(results=[], count=0)), Problem.UNEXPECTED),
        ((200, {"Content-Encoding": "gzip"}, b"not gzip"), Problem.UNEXPECTED),
        ((200, {"Content-Length": "1000"}, b"{"), Problem.UNREACHABLE),
        ((302, {"Location": "http://127.0.0.1:1/v2/"}, b""), Problem.UNEXPECTED),
        ((302, {"Location": "//evil.example.com/"}, b""), Problem.UNEXPECTED),
        ((302, {}, b""), Problem.UNEXPECTED),
    ],
)
def test_what_goes_wrong_leaves_what_is_known(hub, answer, kind):
    hub.images, hub.validators = [image("debian")], False
    catalogue.refresh()
    known = catalogue.state().refreshed_at
    hub.answers = [answer] * 5
    if answer[1].get("Content-Length"):
        hub.answers = [answer]
        hub.server.RequestHandlerClass.protocol_version = "HTTP/1.0"
    catalogue.refresh()
    state = catalogue.state()
    assert state.problem == kind
    assert (state.refreshed_at, state.failures) == (known, 1)
    assert listed() == {"debian"}
    hub.answers = []
    catalogue.refresh()
    state = catalogue.state()
    assert (state.problem, state.failures, state.retry_at) == ("", 0, None)


@pytest.mark.parametrize(
    "following", ["http://127.0.0.1:1/v2/?page=2", "https://hub.docker.com/v2/", "//x.example/", "http://[/"]
)
def test_no_answer_leads_to_another_host(hub, following):
    hub.answers = [(200, {}, page_of(next=following))]
    catalogue.refresh()
    assert catalogue.state().problem == Problem.UNEXPECTED
    assert len(hub.asked) == 1


def test_a_redirect_within_docker_hub_is_followed(hub):
    hub.images = [image("debian")]
    hub.answers = [(301, {"Location": "/v2/repositories/library/?page_size=100&page=1"}, b"")]
    catalogue.refresh()
    assert listed() == {"debian"}


def test_an_answer_without_end_is_given_up(hub, monkeypatch):
    monkeypatch.setattr(hub_api, "LARGEST_PAGE", 1000)
    hub.answers = [(200, {}, page_of() + b" " * 2000)]
    catalogue.refresh()
    assert catalogue.state().problem == Problem.UNEXPECTED


def test_nobody_answers(settings):
    OfficialImage.objects.create(name="debian")
    settings.DOCKERHUB_API = f"http://127.0.0.1:{free_port()}"
    catalogue.refresh()
    assert catalogue.state().problem == Problem.UNREACHABLE
    assert listed() == {"debian"}


def held_for(header):
    seconds = (catalogue.state().retry_at - timezone.now()).total_seconds()
    return f"{header}: {seconds}", seconds


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        # Those that name a time are made when the test runs: parameters are made once for all, in every process.
        (lambda: "90", 80, 90),
        (lambda: str(int(time.time()) + 600), 500, 600),
        (lambda: formatdate(time.time() + 600, usegmt=True), 500, 601),
        (lambda: "nonsense", 50, 60),
        (lambda: "99999999", 6 * 3600 - 10, 6 * 3600),
        (lambda: "-5", 50, 60),
    ],
    ids=["seconds", "timestamp", "date", "nonsense", "far", "past"],
)
def test_docker_hub_is_left_alone_for_as_long_as_it_asks(hub, header, least, most):
    header = header()
    hub.answers = [(429, {"Retry-After": header}, b"")]
    catalogue.refresh()
    message, seconds = held_for(header)
    assert least < seconds <= most, message
    hub.asked.clear()
    OfficialImage.objects.create(name="debian")
    jobs.keep_up()
    jobs.refresh()
    catalogue.read_tags("debian")
    assert hub.asked == []
    assert OfficialImage.objects.get(name="debian").tags_problem == Problem.BUSY
    assert not catalogue.may_be_asked()


class TestDue:
    now = datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.UTC)

    def state(self, **minutes):
        failures = minutes.pop("failures", 0)
        times = {name: self.now - datetime.timedelta(minutes=ago) for name, ago in minutes.items()}
        return Catalogue(failures=failures, **times)

    def test_every_six_hours(self):
        assert catalogue.due(self.now, Catalogue())
        assert not catalogue.due(self.now, self.state(refreshed_at=359, tried_at=359))
        assert catalogue.due(self.now, self.state(refreshed_at=360, tried_at=360))

    def test_later_and_later_after_failures(self):
        for failures, minutes in ((1, 1), (2, 2), (3, 4), (7, 60), (50, 60)):
            assert not catalogue.due(self.now, self.state(tried_at=minutes - 0.1, failures=failures)), failures
            assert catalogue.due(self.now, self.state(tried_at=minutes, failures=failures)), failures

    def test_not_while_docker_hub_wants_none(self):
        assert not catalogue.due(self.now, self.state(retry_at=-1))
        assert catalogue.due(self.now, self.state(retry_at=0))

    def test_not_when_it_is_off(self, settings):
        settings.DOCKERHUB_ENABLED = False
        assert not catalogue.due(self.now, Catalogue())
        assert not catalogue.tags_due(self.now, OfficialImage(name="debian"), Catalogue())
        assert not catalogue.may_be_asked()


def test_the_worker_reads_it_once_in_six_hours(hub):
    hub.images = [image("debian")]
    jobs.keep_up()
    jobs.keep_up()
    assert len(hub.asked) == 1
    Catalogue.objects.update(refreshed_at=timezone.now() - catalogue.CATALOGUE_AGE)
    jobs.keep_up()
    assert len(hub.asked) == 2
