"""Fragments come to what the templates themselves come to; addresses and compression to what Django's do."""

import gzip

import pytest
from django.template.loader import get_template
from django.urls import clear_script_prefix, reverse, set_script_prefix
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st

from console.web import fragments
from console.web.fast_urls import address_of
from console.web.paging import NOWHERE, PAGE_SIZES

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TEXTS = st.one_of(WORDS, st.sampled_from(["%s", "%", "\ue0000\ue001", "{{ name }}", "<b>&'\""]))


def dictionaries(texts="", flags="", lists=None, **more):
    return st.fixed_dictionaries(
        dict.fromkeys(texts.split(), TEXTS) | {name: st.booleans() for name in flags.split()} | (lists or {}) | more
    )


SIZES = st.lists(dictionaries("size address", "here"), max_size=len(PAGE_SIZES))
TEMPLATES = {
    "components/_copy.html": dictionaries("text label of", "shown"),
    "components/_sort.html": dictionaries("name query label", "numeric ascending descending"),
    "components/_pager.html": dictionaries(
        "total first previous following last",
        sizes=SIZES,
        pages=st.lists(dictionaries("number address", "here"), max_size=4),
    ),
    "components/_sidebar.html": dictionaries(
        "csrf_token search_text",
        "searches",
        section=st.sampled_from([{"images": True}, {"docker_hub": True}, {"": True}]),
        account=st.none() | dictionaries("name account_id", "is_staff"),
    ),
    "search/_hit.html": dictionaries("address name title kind text said when", "in_description image namespace tag"),
    "favorites/_star.html": dictionaries("address id repository stars", "starred head bare"),
    "images/_image_row.html": dictionaries(
        "key repository name summary namespace of_namespace type address page change_type delete tags tags_unit size"
        " pulls pulls_unit pushed created star",
        "public",
    ),
    "images/_tag_row.html": dictionaries(
        "name page problem digest short_digest artifact_type kind platforms count children_more children_page size"
        " pushed pushed_by pushed_as last_pull pulls command copy delete",
        "missing deleting image_deleting artifact",
        children=st.lists(dictionaries("platform digest page label size attached"), max_size=3),
        attached=dictionaries("count first", all=st.lists(dictionaries("kind digest page size"), max_size=2)),
    ),
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_same_as_the_template_itself(template):
    @given(TEMPLATES[template])
    def check(values):
        assert fragments.render(template, values) == get_template(template).render(values)

    check()


def test_a_safe_text_is_not_escaped_and_any_other_is():
    html = fragments.render("components/_copy.html", {"text": SafeString("<i>"), "label": "<b>"})
    assert 'data-copy="<i>"' in html
    assert '<span class="hidden">&lt;b&gt;</span>' in html


def test_under_each_path_that_the_site_lies_under():
    values = {"section": {}}
    there = fragments.render("components/_sidebar.html", values)
    set_script_prefix("/elsewhere/")
    try:
        assert 'href="/elsewhere/images/"' in fragments.render("components/_sidebar.html", values)
    finally:
        clear_script_prefix()
    assert fragments.render("components/_sidebar.html", values) == there
    assert 'href="/images/"' in there


def test_very_many_texts_are_left_to_the_template():
    values = {"pages": [{"number": str(one), "address": "?", "here": False} for one in range(500)], "sizes": []}
    assert fragments.render("components/_pager.html", values) == get_template("components/_pager.html").render(values)


def test_only_what_has_a_shape():
    with pytest.raises(TypeError):
        fragments.render("components/_copy.html", {"text": object()})


@pytest.mark.parametrize(
    ("view", "names"),
    [
        ("image", ["team/app"]), ("image", ["images/images/tags"]), ("tag", ["a-name/to", "v1.0_x"]),
        ("manifest", ["team/app", f"sha256:{'a' * 64}"]), ("star-official", ["debian"]), ("image-delete", ["a0/b-c.d"]),
    ],
)  # fmt: skip
def test_addresses(view, names):
    assert address_of(view, *names) == reverse(view, args=names)


def test_places_in_a_list_are_left_out():
    assert set(NOWHERE) == {"page", "after", "before", "last"}


@pytest.mark.django_db
def test_pages_are_compressed_for_those_who_take_it(client):
    plain = client.get("/sign-in/")
    assert not plain.has_header("Content-Encoding")
    packed = client.get("/sign-in/", headers={"accept-encoding": "br, gzip"})
    assert packed["Content-Encoding"] == "gzip"
    assert int(packed["Content-Length"]) == len(packed.content) < len(plain.content)
    assert b"Sign in" in gzip.decompress(packed.content)
    assert "Accept-Encoding" in packed["Vary"] and "Accept-Encoding" in plain["Vary"]
    lengths = {len(client.get("/sign-in/", headers={"accept-encoding": "gzip"}).content) for _ in range(30)}
    assert len(lengths) > 5, "nobody learns from the length what is in it"
    assert not client.get("/healthz", headers={"accept-encoding": "gzip"}).has_header("Content-Encoding")
