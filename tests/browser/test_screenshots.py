"""What ``make screenshots`` needs: its rows can be made, and each page and dialog has a name of its own."""

from collections import Counter

import pytest
from django.test import Client

from tests.browser import gallery, longest, screenshots

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", screenshots.STATES)
def test_each_page_has_a_name_and_an_answer(state, settings):
    if state == "full":
        longest.settings_at_their_longest(settings)
    site = screenshots.STATES[state][0]()
    shown = list(screenshots.subjects(state, site))
    assert [name for name, number in Counter(one.name for one in shown).items() if number > 1] == []
    assert len(shown) > {"empty": 60, "usual": 140, "full": 140}[state]
    for one in shown:
        if one.html or (one.dialog and one.dialog[0] == "POST"):
            continue
        client = Client()
        client.cookies = site.cookies[one.role]
        expected = {404} if "not-found" in one.name and "nothing" not in one.name else {200, 410}
        assert client.get(one.path, headers={"HX-Request": "true"} if one.dialog else {}).status_code in expected, one


def test_the_gallery_keeps_what_was_found_in_other_states(tmp_path):
    (tmp_path / "usual").mkdir()
    (tmp_path / "usual" / "images.390.dark.png").touch()
    gallery.write(tmp_path, "usual", ["usual images at 390 px: </script>"])
    gallery.write(tmp_path, "empty", ["empty images at 390 px: too wide"])
    gallery.write(tmp_path, "empty", [])
    assert (tmp_path / "report.txt").read_text() == "usual images at 390 px: </script>\n"
    page = (tmp_path / "index.html").read_text()
    assert "usual/images.390.dark.png" in page
    assert page.count("</script>") == 2
