"""What failed or is under way stands above an image's tags: problems first, and two of them at most."""

import pytest

from console.imports.models import Transfer
from console.repositories import failures
from console.repositories.models import Copy
from tests.support.factories import ImageFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db
TAGS = "/images/team/app/-/tags/"


@pytest.fixture
def app(team):
    return ImageFactory(namespace=team, name="app")


def copying(app, tag, **fields):
    Copy.objects.create(image=app, tag=tag, source="team/other", digest="sha256:0", requested_by="x", **fields)


def importing(app, tag, **fields):
    source = {"source": "https://example.com", "repository": "other", "reference": "v1", "requested_by": "x"}
    Transfer.objects.create(image=app, tag=tag, **source, **fields)


def test_nothing_is_folded_that_is_in_sight_anyway(client, app):
    copying(app, "a")
    importing(app, "b")
    text = text_of(client.get(TAGS))
    assert "“a” is being copied" in text and "“b” is being copied" in text
    assert "folded-notices" not in text


def test_problems_come_first_and_the_rest_is_folded(client, app):
    copying(app, "a")
    importing(app, "b")
    copying(app, "c", state="failed", problem="Gone.")
    importing(app, "d", problem="It does not answer.")
    failures.give_up(failures.Kind.INDEX, app.repository, "e", sentence="It is no manifest.")
    shown, folded = text_of(client.get(TAGS)).split("folded-notices")
    assert "“e” cannot be shown." in shown
    assert "to “d” is interrupted:" in shown
    assert "3 more notices" in folded
    places = [folded.index(words) for words in ("to “c” failed:", "“b” is being copied", "“a” is being copied")]
    assert places == sorted(places)
