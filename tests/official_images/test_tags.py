"""Reading the tags of an official image, however many there are."""

import datetime

import pytest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.official_images import catalogue, hub_api, jobs
from console.official_images.models import OfficialImage, OfficialTag, Problem
from tests.support.hub_api import platform, tag

pytestmark = pytest.mark.django_db


@pytest.fixture
def debian():
    return OfficialImage.objects.create(name="debian")


def names(image):
    return set(image.tags.values_list("name", flat=True))


def read(image):
    catalogue.read_tags(image.name)
    image.refresh_from_db()


def days_ago(number):
    return (
        f"{datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC) - datetime.timedelta(days=number):%Y-%m-%dT%H:%M:%SZ}"
    )


def test_tags_with_their_platforms(hub, debian):
    hub.tags["debian"] = [
        tag("12", size=300, images=[
            platform("arm64", 290, variant="v8"), platform("amd64", 300), platform("unknown", 5, system="unknown"),
            platform("amd64", 400, system="windows", version="10.0.20348"),
        ]),
        tag("bare", images=[]),
    ]  # fmt: skip
    read(debian)
    twelve, bare = OfficialTag.objects.get(name="12"), OfficialTag.objects.get(name="bare")
    assert [one["name"] for one in twelve.platforms] == ["linux/amd64", "linux/arm64/v8", "windows/amd64 10.0.20348"]
    assert [one["size"] for one in twelve.platforms] == [300, 290, 400]
    assert all(one["digest"].startswith("sha256:") for one in twelve.platforms)
    assert (twelve.size, twelve.digest) == (300, hub.tags["debian"][0]["digest"])
    assert twelve.pushed_at == datetime.datetime(2026, 11, 20, 10, 0, 0, 500_000, tzinfo=datetime.UTC)
    assert (bare.platforms, bare.size) == ([], 0)
    assert (debian.tags_total, debian.tags_problem) == (2, "")
    assert debian.tags_known_at >= debian.tags_tried_at


def test_older_tags_say_less(hub, debian):
    row = tag("old", images=[platform("amd64", 7)])
    for name in ("digest", "full_size", "tag_last_pushed"):
        del row[name]
    hub.tags["debian"] = [row, {**tag("strange"), "images": ["amd64", {"os": 1}], "digest": "latest"}]
    read(debian)
    old, strange = OfficialTag.objects.get(name="old"), OfficialTag.objects.get(name="strange")
    assert (old.digest, old.size) == (row["images"][0]["digest"], 7)
    assert old.pushed_at is not None
    assert (strange.platforms, strange.digest) == ([], "")


def test_what_is_gone_goes_and_what_moved_is_renewed(hub, debian):
    hub.tags["debian"] = [tag("12"), tag("11")]
    read(debian)
    hub.tags["debian"] = [{**tag("12"), "digest": "sha256:" + "a" * 64}, tag("13")]
    read(debian)
    assert names(debian) == {"12", "13"}
    assert OfficialTag.objects.get(name="12").digest == "sha256:" + "a" * 64


def test_what_did_not_change_is_not_sent_again(hub, debian):
    hub.tags["debian"] = [tag(f"v{number}") for number in range(250)]
    read(debian)
    known = debian.tags_known_at
    assert len(hub.asked) == 3
    read(debian)
    assert len(hub.asked) == 4
    assert hub.asked[-1][1]
    assert len(names(debian)) == 250
    assert debian.tags_known_at > known


def test_of_very_many_tags_the_newest_are_kept(hub, debian, monkeypatch):
    monkeypatch.setattr(catalogue, "MOST_TAGS", 300)
    hub.tags["debian"] = [tag(f"v{number}", pushed=days_ago(number)) for number in range(1000)]
    read(debian)
    assert names(debian) == {f"v{number}" for number in range(300)}
    assert debian.tags_total == 1000
    assert len(hub.asked) == 3
    # A new one pushes the oldest out.
    hub.tags["debian"].insert(0, tag("new", pushed=days_ago(-1)))
    read(debian)
    assert names(debian) == {"new"} | {f"v{number}" for number in range(299)}
    assert debian.tags_problem == ""


def test_pages_that_nobody_without_an_account_may_see_end_the_list(hub, debian):
    hub.tags["debian"], hub.offset_limit = [tag(f"v{number}") for number in range(500)], 200
    OfficialTag.objects.create(image=debian, name="known-before")
    read(debian)
    assert names(debian) == {f"v{number}" for number in range(200)} | {"known-before"}
    assert (debian.tags_problem, debian.tags_total) == ("", 500)


def test_a_tag_that_moves_to_the_front_while_the_list_is_read_stays(hub, debian):
    hub.tags["debian"] = [tag(f"v{number}") for number in range(250)]
    read(debian)
    debian.tags.filter(name="v0").update(size=1)
    OfficialImage.objects.update(tags_etag="")
    rows, answer = hub.tags["debian"], hub._answer

    def push_meanwhile(address):
        found = answer(address)
        if "page=" not in address:
            hub.tags["debian"] = [rows[240], *rows[:240], *rows[241:]]
        return found

    hub._answer = push_meanwhile
    read(debian)
    assert "v240" in names(debian)
    assert len(names(debian)) == 250


@pytest.mark.parametrize(
    ("status", "kind"), [(500, Problem.BROKEN), (429, Problem.BUSY), (401, Problem.REFUSED), (404, Problem.UNKNOWN)]
)
def test_a_failure_in_the_middle_loses_nothing(hub, debian, status, kind):
    hub.tags["debian"] = [tag(f"v{number}") for number in range(250)]
    read(debian)
    known = debian.tags_known_at
    hub.tags["debian"] = [tag("new"), *hub.tags["debian"]]
    hub.answers = [None, (status, {}, b"{}")] if kind != Problem.REFUSED else [(status, {}, b"{}")]
    read(debian)
    assert debian.tags_problem == kind
    assert debian.tags_known_at == known
    assert names(debian) >= {f"v{number}" for number in range(250)}
    catalogue.Catalogue.objects.update(retry_at=None)
    read(debian)
    assert (debian.tags_problem, len(names(debian))) == ("", 251)


def test_a_list_that_leads_in_a_circle_ends(hub, debian, monkeypatch):
    monkeypatch.setattr(catalogue, "MOST_TAGS", 500)
    hub.tags["debian"] = [tag(f"v{number}") for number in range(150)]
    answer = hub._answer
    hub._answer = lambda address: answer(address.replace("page=2", "page=1"))
    read(debian)
    assert len(hub.asked) == 5
    assert len(names(debian)) == 100


def test_reading_that_takes_too_long_ends(hub, debian, monkeypatch):
    monkeypatch.setattr(catalogue, "_TURN_SECONDS", -1)
    hub.tags["debian"] = [tag(f"v{number}") for number in range(250)]
    read(debian)
    assert debian.tags_problem == Problem.UNREACHABLE
    assert len(names(debian)) == 100


def test_a_page_that_drips_is_given_up(hub, debian, monkeypatch):
    monkeypatch.setattr(hub_api, "_PAGE_SECONDS", -1)
    hub.tags["debian"] = [tag("12")]
    read(debian)
    assert debian.tags_problem == Problem.UNREACHABLE


def test_an_image_that_is_not_known_is_not_asked_for(hub):
    catalogue.read_tags("nobody")
    assert hub.asked == []


def test_one_job_however_often_it_is_asked_for(hub, debian):
    assert jobs.ask_for_tags("debian")
    assert not jobs.ask_for_tags("debian")
    waiting = ProcrastinateJob.objects.filter(task_name="dockerhub.read_tags")
    assert waiting.get().args == {"name": "debian"}
    hub.tags["debian"] = [tag("12")]
    jobs.read_tags("debian")
    assert names(debian) == {"12"}


def test_when_tags_are_due(debian):
    now = timezone.now()
    minutes = datetime.timedelta(minutes=1)
    state = catalogue.Catalogue()
    assert catalogue.tags_due(now, debian, state)
    debian.tags_tried_at = now - 0.5 * minutes
    assert not catalogue.tags_due(now, debian, state)
    debian.tags_tried_at = debian.tags_known_at = now - 59 * minutes
    assert not catalogue.tags_due(now, debian, state)
    debian.tags_tried_at = debian.tags_known_at = now - 60 * minutes
    assert catalogue.tags_due(now, debian, state)
    state.retry_at = now + minutes
    assert not catalogue.tags_due(now, debian, state)
