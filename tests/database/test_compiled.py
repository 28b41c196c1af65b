"""Queries that are written once and asked with other values."""

import threading

import pytest
from django.db import connection
from django.db.models import Count, F
from django.db.models.functions import Upper

from console.accounts.models import Account
from console.database.compiled import Compiled
from console.namespaces.models import Namespace
from console.repositories.models import Document, Image
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory

pytestmark = pytest.mark.django_db


def by_name(owner, name):
    return Image.objects.filter(owner=Account(pk=owner), name=name).select_related("namespace__owner")


class TestCompiled:
    def test_finds_what_the_query_itself_finds(self):
        image = ImageFactory(name="app", description="one")
        ImageFactory(name="app")
        ImageFactory(name="other", namespace=image.namespace)
        query = Compiled(by_name)
        for _ in range(2):
            (found,) = query(image.namespace.owner_id, "app")
            assert found == image
            assert (found.description, found.namespace, found.namespace.owner) == (
                "one",
                image.namespace,
                image.namespace.owner,
            )
        assert query(image.namespace.owner_id, "nothing") == []

    def test_related_rows_are_not_asked_for_again(self, django_assert_num_queries):
        image = ImageFactory()
        query = Compiled(by_name)
        query(image.namespace.owner_id, image.name)
        with django_assert_num_queries(1):
            assert query(image.namespace.owner_id, image.name)[0].namespace.owner.name == image.namespace.owner.name

    def test_the_sql_is_made_once_for_each_shape(self):
        made = []

        def build(owner, sort):
            made.append(sort)
            return Image.objects.filter(owner=owner).order_by(sort).values_list("name")

        namespace = NamespaceFactory()
        for name in ("one", "three", "two"):
            ImageFactory(namespace=namespace, name=name)
        query = Compiled(build)
        assert query(namespace.owner_id, shape=("name",)) == [("one",), ("three",), ("two",)]
        assert query(namespace.owner_id, shape=("-name",)) == [("two",), ("three",), ("one",)]
        assert query(0, shape=("-name",)) == []
        assert made == ["name", "-name"]

    def test_a_missing_relation_is_none(self):
        account = ActivatedAccountFactory()
        image = ImageFactory(namespace__owner=account)

        @Compiled
        def images(pk):
            return Image.objects.filter(pk=pk).select_related("deletion")

        (found,) = images(image.pk)
        with pytest.raises(Image.deletion.RelatedObjectDoesNotExist):
            _ = found.deletion

    def test_what_is_computed_and_converted(self):
        image = ImageFactory(name="app")
        Document.objects.create(digest="sha256:1", media_type="x", content=b"{}", config={"labels": {"a": 1}})

        @Compiled
        def loud(pk):
            return Image.objects.filter(pk=pk).annotate(loud=Upper(F("name")))

        @Compiled
        def documents(digest):
            return Document.objects.filter(digest=digest)

        @Compiled
        def counts(owner):
            return Namespace.objects.filter(owner=owner).values("owner").annotate(n=Count("pk")).values_list("n")

        assert loud(image.pk)[0].loud == "APP"
        assert documents("sha256:1")[0].config == {"labels": {"a": 1}}
        assert counts(image.namespace.owner_id) == [(1,)]

    def test_a_value_that_comes_nowhere_is_a_mistake(self):
        with pytest.raises(ValueError, match="does not use 1 of its values"):
            Compiled(lambda name: Image.objects.filter(name__contains=name))("app")
        with pytest.raises(ValueError, match="does not use 1 of its values"):
            Compiled(lambda pk, other: Image.objects.filter(pk=pk))(1, 2)

    def test_nothing_but_keys_and_texts(self):
        with pytest.raises(TypeError, match="NoneType"):
            Compiled(lambda pk: Image.objects.filter(pk=pk))(None)

    def test_texts_are_no_sql(self):
        ImageFactory(name="app")
        query = Compiled(lambda name: Image.objects.filter(name=name))
        assert query("app' OR 'a'='a") == query("%s") == query("app'; --") == []
        assert len(query("app")) == 1

    @pytest.mark.django_db(transaction=True)
    def test_another_thread_asks_over_its_own_connection(self):
        image = ImageFactory()
        query, found = Compiled(by_name), []
        query(image.namespace.owner_id, image.name)

        def ask():
            found.extend(query(image.namespace.owner_id, image.name))
            connection.close()

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        assert found == [image]
