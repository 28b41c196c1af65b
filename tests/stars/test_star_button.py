"""The star button: a form that works without script, and changes in place with it."""

import re

import pytest
from django.test import Client

from console.official_images.models import OfficialImage
from console.repositories.models import Image
from console.stars.models import Star
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db
STAR = "/favorites/-/star/other/app/"


@pytest.fixture
def image(ann):
    return ImageFactory(namespace=NamespaceFactory(name="other"), name="app", visibility="public")


def button(response):
    found = re.findall(r"<button[^>]* name=\"star\".*?</button>", text_of(response))
    assert len(found) == 1
    return found[0]


class TestPressing:
    def test_without_script(self, client, ann, image):
        for on, stars in (("on", 1), ("on", 1), ("off", 0)):
            response = client.post(STAR, {"star": on, "next": "/public-images/?q=o&page=2"})
            assert (response.status_code, response["Location"]) == (302, "/public-images/?q=o&page=2")
            image.refresh_from_db()
            assert image.star_count == Star.objects.filter(account=ann).count() == stars

    def test_with_script(self, client, image):
        response = client.post(STAR, {"star": "on"}, headers=HTMX)
        assert 'aria-pressed="true"' in button(response)
        assert 'value="off"' in button(response)
        assert '<span class="count">1</span>' in button(response)
        assert "<html" not in text_of(response)
        response = client.post(STAR, {"star": "off"}, headers=HTMX)
        assert 'aria-pressed="false"' in button(response)
        assert 'value="on"' in button(response)
        assert '<span class="count">0</span>' in button(response)

    def test_it_looks_as_before(self, client, image):
        assert "button star" in button(client.post(f"{STAR}?look=head", {"star": "on"}, headers=HTMX))
        assert "look=head" in button(client.post(f"{STAR}?look=head", {"star": "on"}, headers=HTMX))
        assert "count" not in button(client.post(f"{STAR}?look=bare", {"star": "on"}, headers=HTMX))
        assert "look" not in button(client.post(f"{STAR}?look=%22%3E", {"star": "on"}, headers=HTMX))

    def test_an_official_image(self, client, ann):
        official = OfficialImage.objects.create(name="debian", stars=5)
        response = client.post("/favorites/-/official-star/debian/", {"star": "on"}, headers=HTMX)
        assert '<span class="count">1</span>' in button(response)
        official.refresh_from_db()
        assert (official.star_count, official.stars) == (1, 5)
        assert client.post("/favorites/-/official-star/nothing/", {"star": "on"}).status_code == 404
        assert client.post("/favorites/-/official-star/%00/", {"star": "on"}).status_code == 404

    def test_anything_else_than_on_takes_it(self, client, ann, image):
        client.post(STAR, {"star": "on"})
        client.post(STAR, {"star": "x"})
        assert not Star.objects.exists()

    @pytest.mark.parametrize(
        "address", ["", "https://example.com/", "//example.com", "/\\example.com", "javascript:alert(1)", "\x00", "x"]
    )
    def test_it_leads_nowhere_else(self, client, image, address):
        response = client.post(STAR, {"star": "on", "next": address})
        assert (response.status_code, response["Location"]) == (302, "/favorites/")


class TestWhoMayNot:
    def test_what_is_not_to_be_seen_is_not_found(self, client, image):
        for change in ({"visibility": "private"}, {"visibility": "public", "state": "deleting"}):
            Image.objects.update(**change)
            for on in ("on", "off"):
                assert client.post(STAR, {"star": on}).status_code == 404
        assert client.post("/favorites/-/star/no/thing/", {"star": "on"}).status_code == 404

    def test_what_is_no_longer_listed(self, client, ann):
        """The page was open for longer: one sentence, and the page anew."""
        OfficialImage.objects.create(name="gone", listed=False)
        response = client.post("/favorites/-/official-star/gone/", {"star": "on"}, headers=HTMX)
        assert response["HX-Refresh"] == "true"
        assert "You no longer have access to this image" in text_of(client.get("/favorites/"))
        response = client.post("/favorites/-/official-star/gone/", {"star": "on", "next": "/favorites/"}, follow=True)
        assert "You no longer have access to this image" in text_of(response)

    def test_somebody_not_signed_in(self, image):
        response = Client().post(STAR, {"star": "on"})
        assert response["Location"].startswith("/sign-in/")
        assert not Star.objects.exists()

    def test_somebody_not_activated(self, image):
        client = Client()
        client.force_login(AccountFactory())
        assert client.post(STAR, {"star": "on"})["Location"] == "/images/"
        assert not Star.objects.exists()

    def test_another_site(self, image):
        client = Client(enforce_csrf_checks=True)
        client.force_login(ActivatedAccountFactory())
        assert client.post(STAR, {"star": "on"}).status_code == 403
        assert not Star.objects.exists()

    def test_a_link(self, client, image):
        assert client.get(STAR).status_code == 405


class TestWhereItStands:
    def test_on_pages_of_ones_own_images(self, client, team):
        ImageFactory(namespace=team, name="app")
        for path, look in (
            ("/images/", "bare"),
            ("/images/team/app/", "head"),
            ("/images/team/app/-/settings/", "head"),
        ):
            response = client.get(path)
            assert f'formaction="/favorites/-/star/team/app/?look={look}"' in button(response)
            assert text_of(response).count('<form id="stars"') == 1

    def test_not_while_the_image_is_being_deleted(self, client, team):
        ImageFactory(namespace=team, name="app", state="deleting")
        for path in ("/images/team/app/", "/images/team/app/-/settings/"):
            assert 'name="star"' not in text_of(client.get(path))

    def test_the_form_leads_back(self, client, image):
        page = text_of(client.get("/public-images/?q=app&sort=-stars"))
        assert '<input type="hidden" name="next" value="/public-images/?q=app&amp;sort=-stars">' in page

    def test_what_making_an_image_private_means_for_it(self, client, team):
        ImageFactory(namespace=team, name="app", visibility="public")
        assert "their stars are lost" in text_of(client.get("/images/team/app/-/visibility/"))

    def test_on_pages_of_official_images(self, client, ann):
        OfficialImage.objects.create(name="debian")
        for path, look in (("/docker-hub/", "bare"), ("/docker-hub/debian/", "head")):
            assert f'formaction="/favorites/-/official-star/debian/?look={look}"' in button(client.get(path)), path
        client.force_login(AccountFactory())
        for path in ("/docker-hub/", "/docker-hub/debian/"):
            assert 'name="star"' not in text_of(client.get(path))
