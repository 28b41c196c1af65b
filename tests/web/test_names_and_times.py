"""How lists write names and times."""

import datetime

import pytest
from django.utils import timezone

from console.web.templatetags.console import ago, breakable, breakable_address, elapsed

NOW = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"), (59, "just now"), (60, "1 minute ago"), (3_599, "59 minutes ago"), (3_600, "1 hour ago"),
        (7_200, "2 hours ago"), (86_399, "23 hours ago"), (86_400, "1 day ago"), (2_592_000, "1 month ago"),
        (31_536_000, "1 year ago"), (94_608_000, "3 years ago"),
    ],
)  # fmt: skip
def test_how_long_ago(seconds, words):
    assert elapsed(NOW - datetime.timedelta(seconds=seconds), NOW) == words


def test_the_exact_time_is_there_on_hover_and_for_screen_readers():
    html = ago(timezone.now() - datetime.timedelta(hours=3))
    exact = html.partition('title="')[2].partition('"')[0]
    assert exact.endswith(" UTC")
    assert f'>3 hours ago<span class="hidden">, {exact}</span></time>' in html
    assert ago(None) == '<span class="muted">Never</span>'


def test_names_break_after_separators():
    assert breakable("web/store-front_v1.2") == "web/<wbr>store-<wbr>front_<wbr>v1.<wbr>2"
    assert breakable("a--b") == "a--<wbr>b"
    assert breakable("<i>") == "&lt;i&gt;"
    assert breakable_address("2001:db8::1") == "2001:<wbr>db8:<wbr>:<wbr>1"
    assert breakable_address("<i>") == "&lt;i&gt;"
