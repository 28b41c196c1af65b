"""What an image's page says of a copy from another registry agrees with its state: colour, symbol, bar, words."""

import re

import pytest

from console.imports import jobs
from console.imports.models import Transfer
from tests.support.factories import ImageFactory

pytestmark = pytest.mark.django_db

PROBLEM = "Can’t reach registry.example.com."


@pytest.fixture
def notice(client, team):
    """Makes a transfer in a state; what the page shows of it."""
    image = ImageFactory(namespace=team, name="app")

    def show(*, in_seconds=None, **fields):
        transfer = Transfer.objects.create(
            image=image, tag="v1", repository="library/debian", reference="12", requested_by="x", **fields
        )
        if in_seconds is not None:
            jobs.start(transfer, in_seconds=in_seconds)
        html = client.get("/images/team/app/-/tags/").content.decode()
        return re.search(r'<div class="notice [^>]*transfer".*?<div class="row push">', html, re.DOTALL)[0]

    return show


def words(html):
    return " ".join(re.sub(r"<[^>]+>", "", html).split())


HALF = {"bytes_total": 200, "bytes_done": 100}


def test_copying(notice):
    shown = notice(**HALF)
    assert "warn" not in shown and "bad" not in shown and "paused" not in shown
    assert "is being copied" in shown and 'value="50"' in shown


def test_starting_has_no_bar(notice):
    shown = notice()
    assert "<progress" not in shown and "Starting" in shown


def test_blocked_is_no_progress(notice):
    """It says why, and when the next try is; the bar stands still."""
    shown = notice(problem=PROBLEM, in_seconds=30, **HALF)
    assert 'class="notice warn' in shown and 'class="paused"' in shown
    assert "is being copied" not in words(shown)
    assert re.search(rf"{PROBLEM} Retrying automatically, next try in (29|30) s\.", words(shown))
    assert "Paused · 100 B of 200 B" in words(shown).replace("\N{NO-BREAK SPACE}", " ")


def test_blocked_and_tried_at_this_moment(notice):
    assert "Retrying automatically, trying now." in words(notice(problem=PROBLEM, in_seconds=0, **HALF))


def test_blocked_without_a_known_time(notice):
    assert words(notice(problem=PROBLEM, **HALF)).count("Retrying automatically.") == 1


@pytest.mark.parametrize(("state", "kind"), [("failed", "notice bad"), ("cancelled", "notice  inset")])
def test_over(notice, state, kind):
    shown = notice(state=state, problem=PROBLEM, **HALF)
    assert kind in shown and "<progress" not in shown and "Retrying" not in shown


def test_what_has_only_begun_is_not_shown_as_a_success(client, team):
    """Green says that something has succeeded."""
    form = {"namespace": "team", "name": "app", "tag": "v1", "reference": "registry.example.com/some/thing:1"}
    page = client.post("/images/-/import/", form, follow=True).content.decode()
    assert "has started" in page
    assert "notice good" not in page.partition("</main>")[0]
