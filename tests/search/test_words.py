"""The words that the database and Python make of tags and descriptions are the same."""

import pytest
from django.db import connection
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from console.namespaces.models import Namespace
from console.repositories.models import Image, ImageWords, Tag
from console.repositories.words import (
    SEPARATORS,
    TAG_WORDS,
    all_begin,
    description_words,
    last_begins,
    matches,
    tag_words,
)
from tests.support.factories import ActivatedAccountFactory, ImageFactory, TagFactory

# What PostgreSQL and Python lower alike.
TEXTS = st.text(st.one_of(st.sampled_from(f"{SEPARATORS}aB1zé名🐳"), st.characters(codec="ascii")), max_size=60).map(
    lambda text: text.replace("\x00", "")
)
TAGS = st.from_regex(r"[abvV12][abvV12._-]{0,12}", fullmatch=True)


def words_of(image):
    """The words that the database has of the image's description."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tsvector_to_array(words) FROM images_imagewords WHERE image_id = %s", [image.pk])
        row = cursor.fetchone()
    return None if row is None else {word for word in row[0] if not word.startswith("/")}


def seen_by(image):
    """Who may see the image, as the database has it with the words."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tsvector_to_array(words) FROM images_imagewords WHERE image_id = %s", [image.pk])
        return {word for word in cursor.fetchone()[0] if word.startswith("/")}


class TestSame(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(TEXTS, min_size=1, max_size=20))
    @example(["", "w" * 300, 'it\'s\\ "quoted"', "A–b…c", "%_\\", "İ", "a\tb\r\nc", "<b>&amp;</b>"])
    def test_descriptions(self, texts):
        with connection.cursor() as cursor:
            cursor.execute("SELECT tsvector_to_array(images_words(text)) FROM unnest(%s::text[]) AS text", [texts])
            made = [set(words) for (words,) in cursor.fetchall()]
        for text, words in zip(texts, made, strict=True):
            if text != "İ":
                assert words == set(description_words(text))

    @settings(max_examples=60, deadline=None)
    @given(TAGS, TAGS)
    @example("v1.10.0-rc1", "1.10")
    @example("3f9a01", "f9a")
    @example("latest", "latest")
    def test_a_tag_is_found_by_what_stands_at_the_beginning_of_a_word_or_number(self, name, text):
        tag = TagFactory(name=name)
        found = Tag.objects.filter(matches(TAG_WORDS, last_begins(tag_words(text))), name__icontains=text)
        if tag_words(text):
            starts = {at for at in range(len(name)) if at == 0 or not name[at - 1].isalnum()}
            starts |= {at for at in range(1, len(name)) if name[at].isdigit() and name[at - 1].isalpha()}
            expected = any(name.lower()[at:].startswith(text.lower().lstrip("._-")) for at in starts)
            assert found.exists() or not (expected and text.lower() in name.lower())
            assert not found.exists() or text.lower() in name.lower()
        Image.objects.filter(pk=tag.image_id).delete()


@pytest.mark.parametrize("text", ["a b", "é", "a'b", "a\\", "", "a:b", "名", "%"])
def test_what_no_tag_has(text):
    assert tag_words(text) == []


def test_a_query_has_no_characters_that_mean_something_there():
    words = description_words("it's \\ a & b | !c <-> 'd':* (e)")
    assert all_begin(words) == "'it':* & 's':* & 'a':* & 'b':* & 'c':* & 'd':* & 'e':*"


@pytest.mark.django_db
class TestWritten:
    def test_with_each_change_of_the_description(self):
        image = ImageFactory(description="Ledger **service**")
        assert words_of(image) == {"ledger", "service"}
        image.description = "Another"
        image.save()
        assert words_of(image) == {"another"}
        Image.objects.filter(pk=image.pk).update(description="")
        assert words_of(image) is None
        Image.objects.filter(pk=image.pk).update(description="--")
        assert words_of(image) == set()

    def test_who_may_see_it(self):
        image = ImageFactory(description="Ledger")
        image.refresh_from_db()
        assert seen_by(image) == {f"/{image.owner_id}"}
        Image.objects.filter(pk=image.pk).update(visibility="public")
        assert seen_by(image) == {f"/{image.owner_id}", "/public"}
        Image.objects.filter(pk=image.pk).update(state="deleting")
        assert seen_by(image) == {f"/{image.owner_id}"}
        new = ActivatedAccountFactory()
        Namespace.objects.filter(pk=image.namespace_id).update(owner=new)
        assert seen_by(image) == {f"/{new.pk}"}

    def test_a_query_for_those_is_not_to_be_typed(self):
        assert description_words("/public /1 '/1'") == ["public", "1", "1"]

    def test_not_with_other_changes(self):
        image = ImageFactory(description="Ledger")
        ImageWords.objects.update(words="untouched")
        image.size = 5
        image.save()
        assert words_of(image) == {"untouched"}

    def test_gone_with_the_image(self):
        image = ImageFactory(description="Ledger")
        image.delete()
        assert not ImageWords.objects.exists()

    def test_the_longest_description(self):
        image = ImageFactory(description=" ".join(f"w{number}" for number in range(4000))[:25_000])
        assert len(words_of(image)) == len(set(description_words(image.description)))
