"""Tags in order: versions as versions, everything else in natural order."""

import functools
import random
import re

import pytest
from hypothesis import example, given, target
from hypothesis import strategies as st
from packaging.version import Version

from console.repositories.tag_order import LONGEST_KEY, sort_key

TAGS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)
# Parts that the order knows, put together in any way.
PARTS = st.lists(
    st.sampled_from(["v", "1", "0", "10", "2026-01-31", ".", "-", "_", "rc1", "alpha", "a1", "dev", ".dev2", "post"]),
    min_size=1,
    max_size=30,
).map(lambda parts: "".join(parts)[:128].lstrip(".-") or "0")  # fmt: skip

IN_ORDER = [
    # What is shown wrongly by an order of texts.
    ["v1.2.0", "v1.10.0"],
    ["build-9", "build-10", "build-100"],
    ["1.2.0", "1.2.10", "1.10.0"],
    ["9", "10", "99999999999999999999", "100000000000000000000"],
    # Semantic Versioning 2.0.0, section 11.
    [
        "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
        "1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1",
    ],
    ["v1.9.0", "v1.10.0-rc2", "v1.10.0-rc10", "v1.10.0", "v1.10.1"],
    # PEP 440, "Summary of permitted suffixes and relative ordering".
    [
        "1.0.dev1", "1.0a1.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2",
        "1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0.post456.dev34",
        "1.0.post456", "1.0.15", "1.1.dev1",
    ],
    ["1.0rc1", "1", "1.0", "1.0.0", "v1.0", "1.0.1"],
    ["5.0.0.M1", "5.0.0.M10", "5.0.0.RC1", "5.0.0.RELEASE", "5.0.1.Beta1", "5.0.1.Final"],
    ["1.0-SNAPSHOT", "1.0", "1.0.2", "1.0.2a", "1.0.2k", "1.0.3"],
    ["release-1.9.0", "release-1.10.0-rc1", "release-1.10.0"],
    ["app-v1.9.0", "app-1.10.0", "app-v1.10.1"],
    ["3.9", "3.11-slim", "3.11", "3.11.1-slim", "3.11.1", "3.12-rc", "3.12"],
    ["alpine3.9", "alpine3.18", "alpine3.18.1"],
    # Helm writes "_" for "+"; so does Java.
    ["1.0.0-rc.1", "1.0.0-rc.1_b.2", "1.0.0", "1.0.0_build.9", "1.0.0_build.10", "1.0.1"],
    ["jdk-11.0.2_9", "jdk-11.0.2_10", "jdk-11.0.12_1"],
    ["2026-01-09", "2026-01-31-rc1", "2026-01-31", "2026-02-01", "2026-10-01"],
    ["20260109", "20260131-1", "20260131", "20260201"],
    ["1.0.0", "2.0.0", "edge", "main", "Stable", "stable-1", "v", "latest"],
]  # fmt: skip


def text_of_order(tags):
    return sorted(tags, key=sort_key)


@pytest.mark.parametrize("expected", IN_ORDER, ids=lambda expected: expected[0])
def test_order(expected):
    shuffled = random.Random(1).sample(expected, len(expected))
    assert text_of_order(shuffled) == expected


@given(st.one_of(TAGS, PARTS))
@example("1." * 64)
@example("1-" + "1." * 63)
@example("1-" + "1a." * 42)
@example("1-" + "a." * 63)
@example("1-" + "1a" * 63)
@example("1a" * 64)
@example("a1" * 64)
@example("1_" * 64)
@example("v1-" * 42)
@example("1.dev" * 25)
@example("9" * 128)
def test_keys_fit_their_column_and_sort_bytewise(tag):
    key = sort_key(tag)
    assert re.fullmatch(r"[!-~]+", key)
    assert key.endswith(f"${tag}")
    target(len(key))
    assert len(key) <= LONGEST_KEY


@given(st.lists(st.one_of(TAGS, PARTS), max_size=20, unique=True))
def test_an_order_of_all_tags(tags):
    keys = [sort_key(tag) for tag in tags]
    assert len(set(keys)) == len(tags), "no two tags share a place"


@given(st.integers(0, 10**60), st.integers(0, 10**60), st.sampled_from(["", "v", "build-", "r", "1.", "x_", "1.0.0-"]))
def test_numbers_of_any_length(one, other, before):
    assert (sort_key(f"{before}{one}") < sort_key(f"{before}{other}")) == (one < other)


def structure(tag):
    return sort_key(tag).removesuffix(tag)


@given(st.from_regex(r"[0-9][0-9.]{0,9}(-[a-z0-9.]{1,9})?", fullmatch=True), st.sampled_from(["v", "V"]))
def test_a_v_counts_for_nothing(version, v):
    assert structure(f"{v}{version}") == structure(version)
    assert structure(f"app-{v}{version}") == structure(f"app-{version}")


numbers = st.integers(0, 120)
releases = st.lists(numbers, min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
pre_releases = st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from(["a", "b", "rc"]), numbers))
posts = st.one_of(st.just(""), numbers.map(".post{}".format))
developments = st.one_of(st.just(""), numbers.map(".dev{}".format))
PEP_440 = st.builds("{}{}{}{}".format, releases, pre_releases, posts, developments)


@given(PEP_440, PEP_440)
def test_as_pep_440_has_it(one, other):
    if Version(one) < Version(other):
        assert sort_key(one) < sort_key(other)


# Identifiers of letters and hyphens, or numbers. Where both are mixed ours is the natural order, and theirs is ASCII's.
identifiers = st.one_of(numbers.map(str), st.from_regex(r"[a-z][a-z-]{0,4}", fullmatch=True))
semver = st.tuples(
    st.tuples(numbers, numbers, numbers),
    st.lists(identifiers, max_size=4),
    st.lists(st.from_regex(r"[0-9x-z-]{1,4}", fullmatch=True), max_size=2),
)


def precedence(one, other):
    """Semantic Versioning 2.0.0, section 11: less than, equal to or greater than 0."""
    if one[0] != other[0]:
        return -1 if one[0] < other[0] else 1
    if not one[1] or not other[1]:
        return bool(other[1]) - bool(one[1])
    for left, right in zip(one[1], other[1], strict=False):
        if left != right:
            if left.isdigit() and right.isdigit():
                return int(left) - int(right)
            if left.isdigit() or right.isdigit():
                return -1 if left.isdigit() else 1
            return -1 if left < right else 1
    return len(one[1]) - len(other[1])


def as_tag(version):
    core, pre_release, build = version
    text = ".".join(map(str, core))
    return text + (f"-{'.'.join(pre_release)}" if pre_release else "") + (f"_{'.'.join(build)}" if build else "")


@given(semver, semver, st.booleans())
def test_as_semantic_versioning_has_it(one, other, same_core):
    if same_core:
        other = (one[0], *other[1:])
    rank = precedence(one, other)
    if rank:
        assert (sort_key(as_tag(one)) < sort_key(as_tag(other))) == (rank < 0)


@given(st.lists(semver, max_size=12))
def test_a_list_of_versions(versions):
    keyed = sorted(versions, key=lambda version: sort_key(as_tag(version)))
    assert all(precedence(one, other) <= 0 for one, other in zip(keyed, keyed[1:], strict=False))
    assert [version[0] for version in keyed] == [
        version[0] for version in sorted(versions, key=functools.cmp_to_key(precedence))
    ]
