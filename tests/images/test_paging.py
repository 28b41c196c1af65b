"""Lists in pages: every row once, wherever one goes."""

import base64
import datetime
import json
from unittest import mock

import pytest
from django.core.paginator import Paginator
from django.db import connection, models
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from console.images.tags import TAG_SORTS, all_tags, tag_page
from console.repositories.models import Image, Manifest, Tag
from console.repositories.search import SORTS
from console.web import paging
from console.web.paging import WidePaginator, paged
from console.web.sorting import sorting
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory, TagFactory

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
MOMENTS = [BEGIN + datetime.timedelta(days=number, microseconds=number) for number in range(3)]
# What could be in a cursor, and what a database may stumble over.
ODD_VALUES = [
    "\ud800", "\x00", "x" * 100_000, 1 << 62, (1 << 62) - 1, -(1 << 63), 1 << 63, True, 1.0, float("nan"), float("inf"),
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00:01.5",
    "2026-W01-1", "2026-01-01", [], {}, None,
]  # fmt: skip
# How many rows are skipped without reading keys first: none, so that it is done for all of them; or as it is.
NEAR = st.sampled_from([0, paging._NEAR])


def cursor(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class TestWidePaginator(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.teams = [NamespaceFactory(name=name) for name in ("acme", "acme-dev")]
        Image.objects.bulk_create(
            Image(
                namespace=cls.teams[number % 2],
                name=f"app{number * 7 % 23}-{number // 23}",
                visibility="public" if number % 3 else "private",
                tag_count=number % 4,
                size=number % 5,
                last_push_at=MOMENTS[number % 3] if number % 6 else None,
            )
            for number in range(47)
        )

    @settings(max_examples=40, deadline=None)
    @given(st.sampled_from(sorted(SORTS)), st.booleans(), st.integers(0, 47), st.integers(1, 50), st.booleans(), NEAR)
    def test_the_same_as_the_ordinary_one(self, column, descending, rows, size, told, near):
        _name, order = sorting(QueryDict(f"sort={'-' if descending else ''}{column}"), SORTS, "name")
        keys = list(Image.objects.order_by("pk").values_list("pk", flat=True)[:rows])
        images = Image.objects.filter(pk__in=keys).select_related("namespace").order_by(*order)
        plain, wide = Paginator(images, size), WidePaginator(images, size, rows if told else None)
        with mock.patch.object(paging, "_NEAR", near):
            assert (wide.count, wide.num_pages) == (plain.count, plain.num_pages)
            for number in plain.page_range:
                page = wide.page(number)
                assert list(page) == list(plain.page(number))
                assert (page.number, page.paginator) == (number, wide)
                assert all("namespace" in image._state.fields_cache for image in page)

    def test_images_that_nothing_was_pushed_to_are_the_oldest(self):
        for sort, position in (("pushed", 0), ("-pushed", -1)):
            _name, order = sorting(QueryDict(f"sort={sort}"), SORTS, "name")
            assert list(Image.objects.order_by(*order))[position].last_push_at is None

    def test_two_queries_or_one(self):
        images = Image.objects.select_related("namespace").order_by("pk")
        for query, total, queries in (
            ("", None, 2),
            ("page=2", 47, 2),
            ("page=2", None, 3),
            ("page=99&size=10", None, 3),
        ):
            with mock.patch.object(paging, "_NEAR", 20), self.assertNumQueries(queries):
                assert list(paged(images, QueryDict(query), wide=True, total=total))

    def test_a_row_that_goes_meanwhile(self):
        images = Image.objects.order_by("pk")
        paginator = WidePaginator(images, 20)
        assert paginator.count == 47
        images.last().delete()
        for number in (1, 2, 3):
            assert paginator.page(number).object_list

    def test_any_page_of_any_sort_is_read_in_order_from_an_index(self):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            # Of few rows, which this is, any order is cheap: what is asked is whether there is an index that has it.
            cursor.execute("SET LOCAL enable_sort = off")
        for column in SORTS:
            for sort in (column, f"-{column}"):
                _name, order = sorting(QueryDict(f"sort={sort}"), SORTS, "name")
                keys = Image.objects.filter(owner=self.teams[0].owner_id).order_by(*order).values_list("pk", flat=True)
                for rows in (keys[:20], keys.reverse()[:20]):
                    plan = rows.explain()
                    assert "Index Only Scan" in plan, (sort, plan)
                    assert "Sort" not in plan, (sort, plan)


class TestKeyset(TestCase):
    """Tags of one image in pages of ten; values are few, so that many are equal."""

    @classmethod
    def setUpTestData(cls):
        cls.image = ImageFactory(namespace=NamespaceFactory(name="keyset"), name="app")
        cls.manifests = [
            ManifestFactory(image=cls.image, size=size, pull_count=size, last_pull_at=last)
            for size, last in ((0, None), (1, MOMENTS[0]), (7, MOMENTS[2]))
        ]

    def add(self, kinds):
        """Tags as drawn: the manifest, the time of the push, pulls, the last of them."""
        Tag.objects.bulk_create(
            Tag(
                image=self.image,
                manifest=self.manifests[manifest],
                name=f"{kinds[0]}{Tag.objects.count()}-{number}",
                pushed_at=MOMENTS[pushed],
                pull_count=pulls,
                last_pull_at=MOMENTS[last] if last < 3 else None,
            )
            for number, (manifest, pushed, pulls, last) in enumerate(kinds[1])
        )

    drawn = st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([0, 1, 6]), st.integers(0, 3))
    changes = st.tuples(st.lists(drawn, max_size=3), st.lists(st.integers(0, 99), max_size=3))

    def walk(self, query, way, change):
        """The keys of all rows on the way; ``change(page)`` is called after each of its pages."""
        seen = []
        for number in range(100):
            page, _sort = tag_page(self.image, QueryDict(query), "")
            keys = [tag.pk for tag in page.rows]
            seen.append(keys)
            change(number)
            query = getattr(page, way).removeprefix("?")
            if not query:
                return seen
        raise AssertionError("no end")

    @settings(max_examples=50, deadline=None)
    @given(
        st.sampled_from(sorted(TAG_SORTS)), st.booleans(), st.booleans(),
        st.lists(drawn, min_size=11, max_size=40), st.lists(changes, max_size=4),
    )  # fmt: skip
    def test_every_row_once(self, column, descending, backwards, tags, changes):
        self.add(("a", tags))
        sort = f"{'-' if descending else ''}{column}"
        before = set(Tag.objects.values_list("pk", flat=True))
        gone = set()

        def change(number):
            if number < len(changes):
                added, removed = changes[number]
                self.add((f"b{number}", added))
                keys = sorted(Tag.objects.values_list("pk", flat=True))
                gone.update(keys[one] for one in removed if one < len(keys))
                Tag.objects.filter(pk__in=gone).delete()

        query = f"sort={sort}&size=10" + ("&last=1" if backwards else "")
        pages = self.walk(query, "previous" if backwards else "following", change)
        seen = [key for page in pages for key in page]
        assert len(seen) == len(set(seen))
        assert before - gone <= set(seen)

    @settings(max_examples=50, deadline=None)
    @given(st.sampled_from(sorted(TAG_SORTS)), st.booleans(), st.lists(drawn, min_size=9, max_size=40))
    def test_in_order_there_and_back(self, column, descending, tags):
        self.add(("a", tags))
        sort = f"{'-' if descending else ''}{column}"
        sign = "-" if descending else ""
        ordered = all_tags(self.image).annotate(value=_annotation(column)).order_by(f"{sign}value", f"{sign}pk")
        keys = list(ordered.values_list("pk", flat=True))
        forwards = self.walk(f"sort={sort}&size=10", "following", lambda number: None)
        assert forwards == [keys[start : start + 10] for start in range(0, len(keys), 10)] or forwards == [[]]
        back = self.walk(f"sort={sort}&size=10&last=1", "previous", lambda number: None)
        assert [key for page in reversed(back) for key in page] == keys

    def test_links(self):
        self.add(("a", [(0, 0, 0, 0)] * 25))
        first, _sort = tag_page(self.image, QueryDict("size=10"), "")
        assert (first.first, first.previous, first.total) == ("", "", self.image.tag_count)
        second, _sort = tag_page(self.image, QueryDict(first.following.removeprefix("?")), "")
        assert all((second.first, second.previous, second.following, second.last))
        last, _sort = tag_page(self.image, QueryDict(second.last.removeprefix("?")), "")
        assert (last.following, last.last, len(last.rows)) == ("", "", 10)
        again, _sort = tag_page(self.image, QueryDict(last.first.removeprefix("?")), "")
        assert again.rows == first.rows

    @settings(max_examples=30, deadline=None)
    @given(st.sampled_from(sorted(TAG_SORTS)), st.sampled_from(["after", "before"]), st.text(max_size=30))
    def test_garbage_is_shown_as_some_page(self, column, name, text):
        self.add(("a", [(0, 0, 0, 0), (1, 1, 1, 1)]))
        self.ask(column, name, text)

    values = st.one_of(
        st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(), st.text(max_size=5),
        st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
        st.sampled_from([*ODD_VALUES]), st.lists(st.integers(), max_size=2),
    )  # fmt: skip

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(["after", "before"]), st.one_of(values, st.tuples(values, st.one_of(st.integers(), values))))
    def test_cursors_that_nobody_made_here(self, name, value):
        self.add(("a", [(0, 0, 0, 0), (1, 1, 1, 1)]))
        for column in TAG_SORTS:
            self.ask(column, name, cursor(value))

    def test_odd_cursors(self):
        self.add(("a", [(0, 0, 0, 0), (1, 1, 1, 1)]))
        for column in TAG_SORTS:
            for value in ODD_VALUES:
                self.ask(column, "after", cursor([value, 1]))
                self.ask(column, "before", cursor([value, 1]))

    def ask(self, column, name, text):
        query = QueryDict(mutable=True)
        query.update({"sort": column, name: text})
        page, _sort = tag_page(self.image, query, "")
        assert len(page.rows) <= 2


def _annotation(column):
    value = TAG_SORTS[column][0]
    return models.F(value) if isinstance(value, str) else value


@pytest.mark.django_db
def test_searched_tags_in_pages():
    image = ImageFactory()
    manifest = Manifest.objects.get(pk=ManifestFactory(image=image).pk)
    for number in range(25):
        TagFactory(image=image, manifest=manifest, name=f"{'even' if number % 2 == 0 else 'odd'}{number:02}")
    page, _sort = tag_page(image, QueryDict("sort=name&size=10"), "EVEN")
    assert page.total == 13
    following, _sort = tag_page(image, QueryDict(page.following.removeprefix("?")), "EVEN")
    assert [tag.name for tag in [*page.rows, *following.rows]] == [f"even{number:02}" for number in range(0, 25, 2)]
