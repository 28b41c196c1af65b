"""Strategies: text, JSON and names that are nearly right."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.fuzz import seeds

# What has broken programs: NUL, halves of characters, line ends of all kinds, right-to-left, too long, too many digits.
PIECES = [
    "\0", "\ud800", "\udfff", "\n", "\r\n", "\x1c", "\x85", "\u2028", "\u202e", "\ufeff", "\u0130", "\uff0e",
    "\u0661", "é", "𝒳", "%00", "%", "\\", "'", '"', "<b>", "{{", "${x}", "../", "-1", "0", "9" * 20, "9" * 5000,
    "1e9", "NaN", "null", "true", "x" * 300, " ", "", ",", ":", "/", "@", "*", "-", "_", ".", "[", "]",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=4).map("".join)
# As it can come in a request: halves of characters do not come out of UTF-8.
WHOLE_TEXTS = TEXTS.map(lambda text: text.encode("utf-8", "ignore").decode())


def in_header(text: str) -> str:
    """As it goes over the wire: gunicorn takes no control characters, and shows bytes as Latin-1."""
    kept = "".join(character for character in text if character >= " " and character != "\x7f")
    return kept.encode(errors="ignore").decode("latin-1")


NUMBERS = st.sampled_from([-1, 0, 1, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, 1 << 63, 10**30]) | st.integers()
LEAVES = st.none() | st.booleans() | NUMBERS | st.floats() | TEXTS
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)


def around(alphabet: str, *examples: str) -> st.SearchStrategy[str]:
    """Texts of these characters, and the examples with something put in, taken out, or added to them."""

    def bent(parts: tuple[str, int, int, str]) -> str:
        text, start, length, piece = parts
        start %= len(text) + 1
        return text[:start] + piece + text[start + length :]

    pieces = st.sampled_from([*PIECES, *alphabet]) | st.text(alphabet=alphabet, max_size=3)
    return (
        st.text(alphabet=alphabet, max_size=40)
        | st.sampled_from(examples)
        | st.tuples(st.sampled_from(examples), st.integers(0, 200), st.integers(0, 3), pieces).map(bent)
    )


NAMES = around(
    "ab0._-/",
    *("team", "team/app", "a.b/c__d/e---f", "v1.0", "x" * 30, "x" * 31, "a" * 128, "a" * 129, "ab" * 100, "library"),
    *("admin/app", "team/" + "y" * 200, "team/" + "y" * 201, "z" * 255, "z" * 256, seeds.DIGEST, seeds.LONG_DIGEST),
)
DIGESTS = around("0af:", seeds.DIGEST, seeds.LONG_DIGEST, "blake3:" + "0" * 64, "sha256:" + "A" * 64)


def nearly(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with these keys, some missing, some of another kind, some beside them."""
    return st.builds(
        lambda right, wrong: {**right, **wrong},
        st.fixed_dictionaries({}, optional=keys),
        st.dictionaries(st.sampled_from(sorted(keys)) | TEXTS, ANYTHING, max_size=1) | st.just({}),
    )
