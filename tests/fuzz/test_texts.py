"""Descriptions, and the keys of pages."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import wild
from tests.fuzz.budget import examples
from tests.fuzz.checks import check_cursor, check_markdown
from tests.web.test_markdown import PIECES

MARKS = [
    *PIECES, "[x](JaVaScRiPt:alert(1))", "[x](javascript&colon;x)", "[x](java&Tab;script:x)", "[x](&#x01;javascript:x)",
    "<javascript:alert(1)>", "<data:text/html,x>", "[x]: javascript:x\n", "[x]: data:x 'y'\n", "<http://x\" onclick=x>",
    "![x](javascript:x)", "[x](ftp://x)", "[x](file:///x)", "[x](blob:x)", "[x](https://x '\" onload=x')", "\t", "{",
    "[x](\\javascript:x)", "&NewLine;", "&lt;", "<a href=javascript:x>", "[*x", "](https://x)", "| ", "|-|\n",
]  # fmt: skip
LONG = ["[", "*", "`", "> ", "- ", "<", "![", "[a](", "|", "&", "~~", "\\", "[x]: ", "1. ", "_a", "|-"]
MOMENTS = st.sampled_from(["2026-01-02T03:04:05+00:00", "0001-01-01T00:00:00+14:00", 5])
KEYS = st.tuples(wild.TEXTS | wild.NUMBERS | MOMENTS, wild.NUMBERS) | st.lists(wild.LEAVES | MOMENTS, max_size=3)
MADE_UP_KEYS = KEYS.map(lambda key: base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("="))


@given(st.lists(st.sampled_from(MARKS) | wild.WHOLE_TEXTS, max_size=12).map(lambda parts: "".join(parts)[:1000]))
@examples(400)
def test_markdown(cases, text):
    cases("Markdown")
    check_markdown(text)


@given(st.sampled_from(LONG))
@examples(16)
def test_the_longest(cases, piece):
    """A thousand characters of one kind make neither work nor text without end."""
    cases("Markdown")
    check_markdown((piece * 1000)[:1000])
    check_markdown((piece + "\n") * (1000 // (len(piece) + 1)))


@given(MADE_UP_KEYS | wild.WHOLE_TEXTS)
@examples(400)
def test_page_keys(cases, text):
    cases("page key")
    check_cursor(text)
