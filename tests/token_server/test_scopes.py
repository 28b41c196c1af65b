"""The scope grammar, as the token specification writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.access.grants import Access
from console.access.scopes import MOST_SCOPES, TooManyScopes, format_scope, parse_scope, parse_scopes


@pytest.mark.parametrize(
    ("text", "kind", "name", "actions"),
    [
        ("repository:team/app:pull", "repository", "team/app", {"pull"}),
        ("repository:team/app:pull,push", "repository", "team/app", {"pull", "push"}),
        ("repository:team/deep/er/app:push,pull,pull", "repository", "team/deep/er/app", {"pull", "push"}),
        ("repository:localhost:5000/team/app:pull", "repository", "localhost:5000/team/app", {"pull"}),
        (
            "repository:Registry.Example.com:443/team/app:pull",
            "repository",
            "Registry.Example.com:443/team/app",
            {"pull"},
        ),
        ("repository:a__b/c-----d/e.f:pull", "repository", "a__b/c-----d/e.f", {"pull"}),
        ("repository(plugin):team/app:pull", "repository(plugin)", "team/app", {"pull"}),
        ("registry:catalog:*", "registry", "catalog", {"*"}),
    ],
)
def test_it_works(text, kind, name, actions):
    assert parse_scope(text) == Access(kind, name, frozenset(actions))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "::",
        "repository",
        "repository:team/app",
        "repository:team/app:",
        "repository:team/app:pull,",
        "repository:team/app:PULL",
        "repository:team/app:pull push",
        "repository:team//app:pull",
        "repository:/team/app:pull",
        "repository:team/app/:pull",
        "repository:team/../app:pull",
        "repository:..:pull",
        "repository:-team/app:pull",
        "repository:team/app-:pull",
        "repository:team/a___b:pull",
        "repository:team/Äpp:pull",
        "repository:team/аpp:pull",  # a Cyrillic letter
        "repository:team/app\x00:pull",
        "repository:team/app\n:pull",
        "repository:localhost:port/team/app:pull",
        "repository(plugin:team/app:pull",
        "Repository:team/app:pull",
        "repository:team/app:pull\n",
        "repository:" + "a" * 256 + ":pull",
        "repository:" + "a-" * 100_000 + ":pull",
        "repository:team/app:" + "pull," * 100_000 + "pull",
    ],
)
def test_malformed_is_no_scope(text):
    assert parse_scope(text) is None


def test_one_bad_scope_does_not_void_the_others():
    found = parse_scopes(["repository:a//b:pull repository:team/app:pull", "nonsense", "registry:catalog:*"])
    assert [format_scope(access) for access in found] == ["repository:team/app:pull", "registry:catalog:*"]


def test_repeated_scopes_are_merged_in_the_order_of_the_first():
    found = parse_scopes(["repository:team/b:pull", "repository:team/a:pull", "repository:team/b:push"])
    assert [format_scope(access) for access in found] == ["repository:team/b:pull,push", "repository:team/a:pull"]


def test_as_many_as_an_answer_can_carry():
    texts = [f"repository:team/app{number}:pull" for number in range(MOST_SCOPES)]
    assert len(parse_scopes([" ".join(texts)])) == MOST_SCOPES
    assert len(parse_scopes(texts * 3)) == MOST_SCOPES
    with pytest.raises(TooManyScopes):
        parse_scopes([*texts, "repository:team/one-more:pull"])


@given(st.lists(st.text(alphabet=st.sampled_from("ab0:/,*.-_() \x00é"), max_size=40), max_size=5))
def test_what_is_accepted_survives_being_written_and_read(values):
    for access in parse_scopes(values):
        assert parse_scope(format_scope(access)) == access
