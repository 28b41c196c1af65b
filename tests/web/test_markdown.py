"""Whatever somebody writes as a description, nothing but text, marks and links comes of it."""

from html.parser import HTMLParser
from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from console.web.markdown import first_line, render_markdown

TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
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
        assert set(given) <= ({"href", "title", "rel"} if tag == "a" else set()), (tag, given)
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


def test_the_most_that_may_be_written():
    """A description may have 1,000 characters: none of them makes work that does not end."""
    for piece in ("[", "*", "`", "> ", "- ", "<", "![", "[a](", "|", "&", "~~", "\\", "[x]: "):
        checker = Checker()
        checker.feed(render_markdown((piece * 1000)[:1000]))
        checker.close()
