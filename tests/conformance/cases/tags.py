"""Lists of tags: order, pages, and parameters that are none."""

from __future__ import annotations

from registry_client.names import Digest
from tests.conformance import uploads
from tests.conformance.answers import Answer, require, with_query
from tests.conformance.content import Content, random_blob
from tests.conformance.manifests import push_all
from tests.conformance.run import Run
from tests.conformance.sections import LISTING_TAGS, POST_THEN_PUT

# In neither of the orders that the specification allows.
_TAGS = ("v1.10", "alpha", "v1.9", "Zeta", "_under", "beta", "0.1", "Alpha", "v1.9-rc.1", "10")
_KEYS = (str, lambda tag: (tag.lower(), tag))
_ORDERS = tuple(sorted(_TAGS, key=key) for key in _KEYS)


def tags_url(repository: str, **parameters: object) -> str:
    """The path of a repository's tags."""
    return with_query(f"/v2/{repository}/tags/list", **{name: str(value) for name, value in parameters.items()})


def _tags(answer: Answer, repository: str) -> list[str]:
    """The tags of a list, which is in the form of the specification."""
    answer.must_be(200)
    document = answer.document
    require(isinstance(document, dict), f"{answer} that is no JSON object")
    require(document.get("name") == repository, f"{answer} with another name")
    tags = document.get("tags")
    require(isinstance(tags, list), f"{answer} with tags that are no list")
    return tags


def empty(run: Run) -> None:
    """A repository without tags, and one that does not exist."""
    target, repository = run.target, run.new_repository()
    with run.check("a repository that does not exist", LISTING_TAGS):
        answer = target.get(tags_url(repository)).must_be(200, 404)
        if answer.status == 404:
            answer.must_have_code("NAME_UNKNOWN")
    content = Content()
    content.image()
    push_all(run, repository, content)
    with run.check("a repository without tags", LISTING_TAGS):
        answer = target.get(tags_url(repository)).must_be(200, 404)
        if answer.status == 404:
            answer.must_have_code("NAME_UNKNOWN")
        else:
            require(_tags(answer, repository) == [], f"{answer} with tags")


def lists(run: Run) -> None:
    """``n`` and ``last``."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image(layers=1)
    for tag in _TAGS:
        content.tags[tag] = image
    push_all(run, repository, content)

    def listed(**parameters: object) -> list[str]:
        return _tags(target.get(tags_url(repository, **parameters)), repository)

    ordered = _ORDERS[0]
    with run.check("all tags", LISTING_TAGS):
        require(sorted(listed()) == sorted(_TAGS), "200 with other tags")
    with run.check("in lexical order", LISTING_TAGS):
        found = listed()
        require(found in _ORDERS, "200 in no lexical order")
        ordered = found
    with run.check("Content-Type", LISTING_TAGS):
        answer = target.get(tags_url(repository)).must_be(200)
        require(answer.media_type.startswith("application/json"), f"{answer} with the type {answer.media_type}")
    for number in (1, 3, len(_TAGS), len(_TAGS) + 5):
        with run.check(f"n={number}", LISTING_TAGS):
            answer = target.get(tags_url(repository, n=number))
            found = _tags(answer, repository)
            wanted = ordered[:number]
            shorter = answer.next_page() and found == ordered[: len(found)] and found
            require(found == wanted or shorter, f"200 with {len(found)} tags, not {len(wanted)} in order")
    with run.check("n=0", LISTING_TAGS):
        answer = target.get(tags_url(repository, n=0))
        require(_tags(answer, repository) == [], "200 with tags")
        require(not answer.headers.get("Link"), "200 with a Link")
    with run.check("last", LISTING_TAGS):
        require(listed(last=ordered[4]) == ordered[5:], "200 with other tags")
    with run.check("n and last", LISTING_TAGS):
        require(listed(n=2, last=ordered[4]) == ordered[5:7], "200 with other tags")
    with run.check("last is the last tag", LISTING_TAGS):
        require(listed(last=ordered[-1]) == [], "200 with tags")
    with run.check("last is a tag that does not exist", LISTING_TAGS):
        found = listed(last="alphabet")
        expected = [
            [tag for tag in order if key(tag) > key("alphabet")] for order, key in zip(_ORDERS, _KEYS, strict=True)
        ]
        require(found in expected, "200 with other tags")
    with run.check("pages by Link", LISTING_TAGS):
        found, url = [], tags_url(repository, n=3)
        while url and len(found) <= len(_TAGS):
            answer = target.get(url)
            page = _tags(answer, repository)
            require(len(page) <= 3, f"200 with {len(page)} tags on a page of 3")
            found += page
            url = answer.next_page()
        require(found in _ORDERS, "the pages are not the list")
    with run.check("pages by last", LISTING_TAGS):
        found, page = [], listed(n=4)
        while page and len(found) <= len(_TAGS):
            require(len(page) <= 4, f"200 with {len(page)} tags on a page of 4")
            found += page
            page = listed(n=4, last=page[-1])
        require(found in _ORDERS, "the pages are not the list")
    for value in ("-1", "many", "1.5", "9" * 30):
        with run.check(f"n={value}", LISTING_TAGS):
            # Not in the specification; no server error in any case.
            answer = target.get(tags_url(repository, n=value))
            require(answer.status < 500, str(answer))


def longest(run: Run) -> None:
    """Tags of one and of 128 characters, and one that resembles a digest."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image(layers=1)
    for tag in ("t" * 128, "1", Digest.of(b"x").replace(":", "-")):
        content.tags[tag] = image
    push_all(run, repository, content)
    with run.check("listed", LISTING_TAGS):
        found = _tags(target.get(tags_url(repository)), repository)
        require(set(found) == set(content.tags), "200 with other tags")


def without_manifests(run: Run) -> None:
    """A repository with blobs alone: 200 with no tags, or 404."""
    target, repository = run.target, run.new_repository()
    with run.check("push a blob", POST_THEN_PUT):
        uploads.post_then_put(target, repository, random_blob(10))
    with run.check("tags", LISTING_TAGS):
        answer = target.get(tags_url(repository)).must_be(200, 404)
        if answer.status == 404:
            answer.must_have_code("NAME_UNKNOWN")
        else:
            require(_tags(answer, repository) == [], f"{answer} with tags")


CASES = {"empty": empty, "lists": lists, "longest": longest, "without-manifests": without_manifests}
