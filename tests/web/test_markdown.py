"""Whatever somebody writes as a description, nothing but text, marks and links comes of it."""

from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.web.markdown import first_line, render_markdown

TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title", "rel"}, "pre": {"tabindex"}, "table": {"tabindex"}}
# Pieces of what has broken other sanitisers, and of Markdown, in any order.
PIECES = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<math><mi//xlink:href='data:x'>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<style>",
    "</style>",
    "<noscript>",
    "<p title='",
    '">',
    "'>",
    "<a href='",
    "[x](javascript:alert(1))",
    "[x](java\nscript:x)",
    "[x](&#106;avascript:x)",
    "[x](data:text/html,x)",
    "[x](vbscript:x)",
    "[x](//evil.example.com)",
    "![x](http://x/y.png)",
    "![x](javascript:x)",
    "<javascript:alert(1)>",
    "<https://example.com>",
    '[x](/y "title" onclick=x)',
    "[x]: javascript:alert(1)",
    "[x][x]",
    "[x]",
    "`",
    "```html\n",
    "\n",
    "\n\n",
    "    ",
    "> ",
    "| a | b |\n|:-:|--:|\n| 1 | 2 |\n",
    "# ",
    "***",
    "~~",
    "\\",
    "&lt;script&gt;",
    "&#x3c;script&#x3e;",
    "\x00",
    "\u2028",
    "\ufeff",
    "\u202e",
    "<a\thref=javascript:x>",
    'style="x"',
    "</td></table>",
    "<iframe srcdoc='x'>",
    "- ",
    "1. ",
]


class Checker(HTMLParser):
    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, tag
        given = dict(attrs)
        assert set(given) <= ATTRIBUTES.get(tag, set()), (tag, given)
        if tag == "a":
            assert given["rel"] == "nofollow noopener noreferrer"
            assert urlsplit(given.get("href", "").strip()).scheme in {"", "http", "https", "mailto"}, given

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = unknown_decl = handle_pi = handle_comment


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=12).map("".join))
def test_whatever_is_written(text):
    checker = Checker()
    checker.feed(render_markdown(text))
    checker.close()
    first_line(text)


LONGEST = 25_000
TABLES = [
    *("|" * columns + "\n" + "|-" * columns + "|\n" + "|a\n" * LONGEST for columns in (2, 50, 300, 3000)),
    "a|b\n-|-\n" * LONGEST,
    "a|b\n-|-\n> x\n" * LONGEST,
    "|-\n" * LONGEST,
]
PIECES_REPEATED = [
    "[",
    "*",
    "`",
    "> ",
    "- ",
    "<",
    "![",
    "[a](",
    "|",
    "&",
    "~~",
    "\\",
    "[x]: ",
    "-\n",
    "a\n\n",
    "<http://a>",
]
LINKS = "[a]: " + "x" * 5000 + "\n\n" + "[a] " * LONGEST


@pytest.mark.parametrize(
    "text", [*(piece * LONGEST for piece in PIECES_REPEATED), *TABLES, LINKS], ids=lambda text: text[:12]
)
def test_the_most_that_may_be_written(text):
    """None of 25,000 characters makes a page that is too long for a browser, or work that does not end."""
    html = render_markdown(text[:LONGEST])
    assert len(html.encode()) < 500_000
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert len(first_line(text[:LONGEST])) <= 2000


def test_a_table_is_bounded_and_a_usual_one_is_not():
    row = "| a | b | c |\n"
    assert render_markdown(row + "|---|---|---|\n" + row * 300).count("<tr>") == 301
    large = render_markdown(row + "|---|---|---|\n" + row * 1500)
    assert "<table" not in large and large.count("| a | b | c |") == 1501
    after = render_markdown(row + "|---|---|---|\n" + row * 1500 + "\n\n" + row + "|---|---|---|\n")
    assert after.count("<table") == 1, "only the large one is left out"


def test_headings_stand_below_the_pages():
    assert "<h3>A</h3>" in render_markdown("# A")
    assert "<h6>A</h6>" in render_markdown("###### A")
