"""What pages cost does not grow with what there is, and is nothing to the registry."""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access.grants import Access
from console.images.activity import last_days, storage_shares
from console.repositories import quotas
from console.repositories.models import Copy, DailyActivity, Document, Image, ImageDeletion, Manifest, Tag
from console.repositories.totals import refresh_totals
from console.repositories.versions import image_version, list_version
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.http_servers import Server, error_reply
from tests.support.pushed_images import digest_of
from tests.support.responses import text_of
from tests.support.token_endpoint import grants

pytestmark = pytest.mark.django_db

CHILD = "sha256:" + "c" * 64


class Crowd:
    """Rows of every kind, ``number`` of each, in and beside the image ``team/app``."""

    def __init__(self, team):
        self.team = team
        self.app = ImageFactory(namespace=team, name="app", description="*What* it is for.")
        self.made = 0
        self.grow(1)

    def grow(self, number):
        numbers = range(self.made, self.made + number)
        self.made += number
        self.images(numbers)
        self.tags(numbers)
        today = timezone.now().date()
        DailyActivity.objects.bulk_create(
            DailyActivity(image=image, day=today - datetime.timedelta(days=one % 40), pushes=1, pulls=one)
            for one, image in zip(numbers, Image.objects.filter(name__startswith="other").order_by("-pk"), strict=False)
        )
        refresh_totals(self.app.pk)

    def images(self, numbers):
        NamespaceFactory.create_batch(len(numbers), owner=self.team.owner)
        Image.objects.bulk_create(
            Image(namespace=self.team, name=f"other{one}", size=one, tag_count=one) for one in numbers
        )
        going = Image.objects.bulk_create(
            Image(namespace=self.team, name=f"going{one}", state="deleting") for one in numbers
        )
        ImageDeletion.objects.bulk_create(ImageDeletion(image=image, requested_by="ann") for image in going)

    def manifests(self, numbers, kind, media_type, **fields):
        return Manifest.objects.bulk_create(
            Manifest(
                image=self.app,
                digest=digest_of(f"{kind} {one}".encode()),
                media_type=media_type,
                kind=kind,
                size=1000 + one,
                **{name: value(one) for name, value in fields.items()},
            )
            for one in numbers
        )

    def tags(self, numbers):
        """Plain images, indexes of many platforms with attestations, signatures of all of them, lists of SBOMs."""
        plain = self.manifests(numbers, "image", "application/vnd.oci.image.manifest.v1+json")
        indexes = self.manifests(
            numbers,
            "index",
            "application/vnd.oci.image.index.v1+json",
            platforms=lambda one: ["linux/amd64", "linux/arm64"],
            children=lambda one: [
                *({"digest": manifest.digest, "platform": f"linux/{at}"} for at, manifest in enumerate(plain[:8])),
                {"digest": CHILD, "platform": "", "about": plain[0].digest},
            ],
        )
        artifacts = self.manifests(numbers, "artifact", "application/vnd.oci.image.manifest.v1+json")
        now = timezone.now()
        every = [
            *((manifest, f"v{one}", "") for one, manifest in zip(numbers, plain, strict=True)),
            *((manifest, f"multi{one}", "") for one, manifest in zip(numbers, indexes, strict=True)),
            *(
                (manifest, f"{subject.digest.replace(':', '-')}.sig", subject.digest)
                for manifest, subject in zip(artifacts, indexes, strict=True)
            ),
            *((artifacts[0], f"{one.digest.replace(':', '-')}.sbom", one.digest) for one in plain),
        ]
        Tag.objects.bulk_create(
            Tag(image=self.app, manifest=manifest, name=name, subject=subject, pushed_at=now, pull_count=at)
            for at, (manifest, name, subject) in enumerate(every)
        )
        Document.objects.bulk_create(
            Document(digest=one.digest, media_type=one.media_type, content=b"{}", config={})
            for one in [*plain, *indexes]
        )
        Copy.objects.bulk_create(
            Copy(image=self.app, tag=f"copy{one}", source="team/x", digest=CHILD, requested_by="ann") for one in numbers
        )
        Tag.objects.filter(name=f"v{numbers[-1]}").update(state="deleting")


PAGES = [
    "/images/?size=100", "/images/?size=100&page=2", "/images/?page=9999&size=10", "/images/?q=oth&size=100",
    "/images/?q=o", "/images/?q=team/app", "/images/?namespace=team&type=private&sort=-namespace&size=100",
    "/images/-/version/", "/images/-/create/", "/images/-/guide/", "/images/-/storage/team/",
    "/namespaces/?size=100", "/namespaces/?size=100&sort=-storage", "/namespaces/-/create/",
    "/images/team/app/-/tags/?size=100", "/images/team/app/-/tags/?sort=name",
    "/images/team/app/-/tags/?sort=-size&size=100",
    "/images/team/app/-/tags/?sort=-pulls&last=1", "/images/team/app/-/tags/?q=multi&size=100",
    "/images/team/app/-/version/",
    "/images/team/app/", "/images/team/app/-/settings/", "/images/team/app/-/compare/?from=v0&to=multi0",
    "/images/team/app/-/commands/", "/images/team/app/-/tags/v0/",
    "/images/team/app/-/tags/multi0/", "/images/team/app/-/delete/", "/images/team/app/-/row/",
    "/images/team/app/-/delete-tags/?tag=v0&tag=multi0", "/images/team/app/-/tags/v0/copy/",
]  # fmt: skip
MOST_QUERIES = 16


class TestQueries:
    def test_their_number_does_not_grow(self, client, team):
        crowd = Crowd(team)

        def count(path):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200, path
            return len(queries)

        before = {path: count(path) for path in PAGES}
        crowd.grow(10)
        some = {path: count(path) for path in PAGES}
        crowd.grow(150)
        many = {path: count(path) for path in PAGES}
        # A page that has nothing on it yet may ask for less; from then on it asks for no more.
        assert all(before[path] <= some[path] for path in PAGES)
        # Far from a list's beginning the rows' keys are read first, and near it one query may be enough for all.
        far = "/images/?page=9999&size=10"
        assert many.pop(far) <= some.pop(far) + 1
        assert {path: number for path, number in many.items() if number > some[path]} == {}
        assert {path: number for path, number in many.items() if number > MOST_QUERIES} == {}

    def test_a_token_for_many_images_asks_as_much_as_one_for_one(self, team):
        def count(names):
            with CaptureQueriesContext(connection) as queries:
                opened = grants(
                    team.owner, [Access("repository", f"team/{name}", frozenset({"push", "pull"})) for name in names]
                )
            assert len(opened) == len(names)
            return len(queries)

        Crowd(team).grow(20)
        assert count(["app"]) == count([f"other{number}" for number in range(20)])
        assert count(["new"]) == count([f"new{number}" for number in range(20)]) == 1

    def test_the_quota_is_counted_once_and_only_when_asked_for(self, team, django_assert_num_queries):
        account = team.owner
        ImageFactory(namespace=team)
        with django_assert_num_queries(0):
            quota = quotas.quota(account)
            assert quota.tags_allowed == 1000
        with django_assert_num_queries(2):
            for _ in range(2):
                assert (quota.namespaces_used, quota.images_used) == (1, 1)
                assert quotas.refuse_image(account, quota) == quotas.refuse_namespace(account, quota) == ""


class TestTheRegistryIsNotAsked:
    @pytest.fixture(params=["closed", "listening"])
    def asked(self, request, settings):
        """What is asked of the registry's address, where nobody answers or somebody writes it down."""
        server = Server(lambda request: error_reply(500, "UNKNOWN"))
        url = server.url if request.param == "listening" else "http://127.0.0.1:9"
        settings.REGISTRY_URL = settings.CONSOLE_REGISTRY_URL = url
        yield server.requests
        server.close()

    def test_by_any_page(self, client, team, asked):
        Crowd(team).grow(3)
        for path in PAGES:
            assert client.get(path).status_code == 200
        assert asked == []

    def test_the_tags_page_is_one_answer_with_everything(self, client, team, asked):
        Crowd(team)
        text = text_of(client.get("/images/team/app/-/tags/"))
        for shown in ("v0", "multi0", "linux/amd64", "linux/arm64", "signature", "SBOM"):
            assert shown in text, shown
        assert asked == []


class TestVersions:
    def test_the_list(self, team):
        empty = ActivatedAccountFactory()
        assert list_version(empty) == list_version(empty)
        before = list_version(team.owner)
        image = ImageFactory(namespace=team)
        made = list_version(team.owner)
        refresh_totals(image.pk)
        assert before != made != list_version(team.owner)
        known = list_version(team.owner)
        refresh_totals(ImageFactory().pk)  # somebody else's
        assert list_version(team.owner) == known
        type(team).objects.filter(pk=team.pk).update(changed_at=timezone.now())  # as when an image is gone
        assert list_version(team.owner) != known

    def test_an_image(self, team):
        image = ImageFactory(namespace=team)
        before = image_version(image)
        refresh_totals(image.pk)
        image.refresh_from_db()
        assert image_version(image) != before


class TestLastDays:
    def test_thirty_days_up_to_today(self):
        today = timezone.now().date()
        image = ImageFactory()
        for ago, pushes, pulls in ((0, 1, 2), (29, 3, 4), (30, 100, 100)):
            day = today - datetime.timedelta(days=ago)
            DailyActivity.objects.create(image=image, day=day, pushes=pushes, pulls=pulls)
        DailyActivity.objects.create(image=ImageFactory(), day=today, pushes=10, pulls=20)
        days = last_days(DailyActivity.objects.all())
        assert [day.date for day in days] == [today - datetime.timedelta(days=ago) for ago in range(29, -1, -1)]
        assert (days[-1].pushes, days[-1].pulls) == (11, 22)
        assert (days[0].pushes, days[0].pulls) == (3, 4)
        assert sum(day.pushes for day in days) == 14

    def test_nothing(self):
        assert {(day.pushes, day.pulls) for day in last_days(DailyActivity.objects.none())} == {(0, 0)}
        assert len(last_days(DailyActivity.objects.none())) == 30


class TestStorageShares:
    def shares(self, *sizes):
        team = NamespaceFactory()
        for number, size in enumerate(sizes):
            ImageFactory(namespace=team, name=f"image{number:02}", size=size)
        ImageFactory(size=10**12)  # somebody else's
        return storage_shares(Image.objects.filter(namespace=team))

    def test_nothing(self):
        assert self.shares() == []
        assert self.shares(0, 0) == []

    def test_largest_first(self):
        found = self.shares(10, 40, 0, 20)
        assert [(share.image.name, share.size, share.percent) for share in found] == [
            ("image01", 40, 100), ("image03", 20, 50), ("image00", 10, 25),
        ]  # fmt: skip

    def test_exactly_ten_need_no_rest(self):
        assert [share.others for share in self.shares(*range(1, 11))] == [0] * 10

    def test_the_others_as_one(self):
        found = self.shares(*range(1, 15))
        assert [share.size for share in found[:10]] == list(range(14, 4, -1))
        assert (found[10].image, found[10].size, found[10].others) == (None, 10, 4)
        assert sum(share.size for share in found) == sum(range(1, 15))

    def test_others_that_are_more_than_the_largest_fit_into_the_picture(self):
        found = self.shares(*[5] * 40)
        assert found[10].size == 150
        assert found[10].percent == 100

    def test_its_queries_do_not_grow(self, django_assert_num_queries):
        self.shares(*range(1, 15))
        with django_assert_num_queries(3):
            assert len(storage_shares(Image.objects.all())) == 11
