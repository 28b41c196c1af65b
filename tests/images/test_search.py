"""ReconcileResult images by their names, and the columns that the database keeps for it."""

import string
import threading

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from console.namespaces.models import Namespace
from console.ownership.services import finish_transfers
from console.repositories import search
from console.repositories.models import Image, ImagePieces
from console.repositories.services import create_image
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.responses import text_of
from tests.support.stack import wait_until

# Few letters, so that words and names have something in common.
component = st.from_regex(r"[ab1]{1,6}(?:(?:[._]|__|-{1,2})[ab1]{1,4}){0,2}", fullmatch=True)
image_names = st.lists(
    st.lists(component, min_size=1, max_size=3).map("/".join).filter(lambda name: len(name) >= 2),
    max_size=12,
    unique=True,
)
odd = st.sampled_from(
    ["%", "_", "\\", "'", '"', "/", "A", "İ", "ß", "é", "名", "🐳", "a_", "%%", "--", "$1", "{a}", "NULL"]
)
word = st.one_of(st.text("abAB1/._-", min_size=1, max_size=5), odd, st.text(max_size=8), st.just("ab" * 95))
queries = st.lists(word, max_size=3).map(" ".join).map(lambda text: text.replace("\x00", ""))


def plainly(images, text):
    """What is to be found, said as simply as can be."""
    return {
        image.pk
        for image in images
        if all(one in f"{image.namespace.name}/{image.name}" for one in text.lower().split())
    }


class TestFind(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.namespaces = [NamespaceFactory(name=name) for name in ("ab", "b1-a", "a.1")]

    @settings(max_examples=60, deadline=None)
    @given(image_names, st.lists(queries, min_size=1, max_size=6))
    @example(["aa", "ba/aa"], ["", "A", "aa", "b/a", "ab/ba/aa", "a" * 300, "AB/BA", "%", "_"])
    def test_it_finds_what_a_plain_comparison_finds(self, names, texts):
        for number, name in enumerate(names):
            Image.objects.create(namespace=self.namespaces[number % 3], name=name)
        everything = list(Image.objects.select_related("namespace"))
        for text in texts:
            for many in (0, 3, 1000):  # whether the pieces decide, or the names themselves
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(search, "_MANY", many)
                    images, may_be_many = search.find(Image.objects.all(), text)
                    found = list(images.values_list("pk", flat=True))
                assert len(found) == len(set(found))
                assert may_be_many or len(found) <= many
                assert set(found) == plainly(everything, text)
                assert search.total(ImagePieces.objects.all(), text) in {None, len(found)}


@pytest.mark.django_db
class TestFindInAList:
    def test_two_queries(self, django_assert_num_queries):
        image = ImageFactory(name="web/application")
        for text in ("appl", "web/", "a", "zzz-", "web application"):
            with django_assert_num_queries(1 if text == "zzz-" else 2):
                found = list(search.find(Image.objects.filter(owner=image.namespace.owner), text)[0])
            assert found == ([] if text == "zzz-" else [image])

    def test_nobody_elses(self):
        ImageFactory(name="application")
        account = ActivatedAccountFactory()
        assert not search.find(Image.objects.filter(owner=account), "application")[0]
        assert search.total(ImagePieces.objects.visible_to(account), "application") == 0

    def test_the_total(self, client, ann, team, monkeypatch):
        """However it is learnt, and whatever else is filtered by."""
        for number in range(5):
            ImageFactory(namespace=team, name=f"app{number}", visibility="public" if number else "private")
        ImageFactory(namespace=team, name="other")
        ImageFactory(name="app9")
        for many in (0, 1000):
            monkeypatch.setattr(search, "_MANY", many)
            for query, total in (("app", 5), ("a", 6), ("ap a", 5), ("app&type=public", 4), ("app&namespace=x", None)):
                text = text_of(client.get(f"/images/?q={query}"))
                assert (f"{total} in total" if total else "No images match") in text

    def test_it_filters_and_sorts_further(self):
        team = NamespaceFactory()
        for number in range(5):
            ImageFactory(
                namespace=team, name=f"app{number}", size=number % 2, visibility="public" if number else "private"
            )
        found = (
            search.find(Image.objects.filter(owner=team.owner), "app")[0]
            .filter(visibility="public")
            .order_by("-size", "name")
        )
        assert [image.name for image in found] == ["app1", "app3", "app2", "app4"]


def kept_right():
    """Whether each image's copies of its namespace's facts, and its pieces, are what they are to be."""
    for image in Image.objects.select_related("namespace", "name_pieces"):
        whole = f"{image.namespace.name}/{image.name}"
        assert (image.owner_id, image.full_name) == (image.namespace.owner_id, whole)
        names = image.name_pieces
        assert (names.owner_id, names.full_name) == (image.owner_id, whole)
        pieces = {whole[at : at + width] for width in (1, 2, 3) for at in range(len(whole) - width + 1)}
        assert set(names.pieces) == pieces
        assert len(names.pieces) == len(pieces)
    assert ImagePieces.objects.count() == Image.objects.count()


@pytest.mark.django_db
class TestWhatTheDatabaseKeeps:
    @pytest.fixture
    def image(self):
        ImageFactory(name="other")
        return ImageFactory(name="web/app")

    def test_made_in_any_way(self, image):
        team = image.namespace
        Image.objects.bulk_create(Image(namespace=team, name=f"app{number}") for number in range(3))
        Image.objects.create(namespace=team, name="l" * 200)
        create_image(team.owner, team, "by/a/service")
        kept_right()

    def test_renamed_and_moved(self, image):
        image.name = "renamed"
        image.save()
        kept_right()
        Image.objects.filter(pk=image.pk).update(name="once/more")
        kept_right()
        Image.objects.filter(pk=image.pk).update(namespace=NamespaceFactory())
        kept_right()
        image.refresh_from_db()
        image.description = "new"
        image.save()
        kept_right()

    def test_not_to_be_written_by_hand(self, image):
        Image.objects.update(owner=ActivatedAccountFactory(), full_name="wrong/name")
        kept_right()

    def test_a_namespace_renamed(self, image):
        Namespace.objects.filter(pk=image.namespace_id).update(name="new-name")
        kept_right()

    @pytest.mark.usefixtures("registry_server")
    def test_a_namespace_handed_over(self, image):
        new = ActivatedAccountFactory()
        Namespace.objects.filter(pk=image.namespace_id).update(new_owner=new, available_at=timezone.now())
        assert finish_transfers() == 1
        kept_right()
        assert Image.objects.get(owner=new) == image

    def test_deleted(self, image):
        image.delete()
        kept_right()

    def test_the_same_name_in_two_namespaces(self, image):
        ImageFactory(name=image.name)
        kept_right()

    @pytest.mark.parametrize("name", string.ascii_lowercase[:2])
    def test_sorted_by_namespace(self, name):
        account = ActivatedAccountFactory()
        for namespace in ("acme-dev", "acme", "acme.x", "acm"):
            ImageFactory(namespace=NamespaceFactory(owner=account, name=namespace), name=name * 2)
        rows = Image.objects.order_by(search.SORTS["namespace"]).select_related("namespace")
        assert [row.namespace.name for row in rows] == ["acm", "acme", "acme-dev", "acme.x"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("registry_server")
def test_an_image_made_while_its_namespace_changes_hands():
    """It goes to the new owner, as all the others do: the transfer waits for it."""
    team, new = NamespaceFactory(), ActivatedAccountFactory()
    Namespace.objects.filter(pk=team.pk).update(new_owner=new, available_at=timezone.now())
    ended = threading.Event()

    def transfer():
        try:
            finish_transfers()
        finally:
            connection.close()
            ended.set()

    def waits_or_has_ended():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return ended.is_set() or cursor.fetchone()[0]

    with transaction.atomic():
        image = Image.objects.create(namespace=team, name="late")
        thread = threading.Thread(target=transfer)
        thread.start()
        wait_until(waits_or_has_ended, "the transfer has come as far as it can")
    thread.join()
    image.refresh_from_db()
    assert Namespace.objects.get(pk=team.pk).owner == new
    assert image.owner == new
