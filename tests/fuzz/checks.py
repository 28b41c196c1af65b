"""What must hold of each parser, whatever it is given; without a database.

Each check fails with an assertion, or with what the parser should not raise.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils import timezone

from console.access.grants import Access, Caller, Repository, TokenLimits, dockerhub_grants, registry_grants
from console.access.names import RESERVED_NAMESPACES, split_repository
from console.access.roles import Role
from console.access.scopes import MOST_SCOPES, TooManyScopes, format_scope, parse_scope, parse_scopes
from console.imports import references
from console.namespaces.models import Namespace
from console.official_images.converters import OfficialImageConverter
from console.registry.index import parse, views
from console.repositories.converters import DigestConverter, NamespaceConverter, RepositoryConverter, TagConverter
from console.repositories.models import Image
from console.token_server import token_request
from console.web.keyset import _read_cursor
from console.web.markdown import first_line, render_markdown
from registry_client import (
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    OCI_INDEX,
    OCI_MANIFEST,
    InvalidName,
    MalformedManifest,
    Manifest,
    check_digest,
    check_reference,
    check_repository,
    check_tag,
    is_digest,
)
from tests.fuzz import grammar

LARGEST = (1 << 63) - 1


def texts_in(value: Any) -> Iterator[str]:
    """Every text in what is to be stored."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from texts_in(key)
            yield from texts_in(entry)
    elif isinstance(value, list | tuple | set):
        for entry in value:
            yield from texts_in(entry)


def check_storable(*values: Any) -> None:
    """PostgreSQL takes neither NUL nor halves of characters, in ``jsonb`` no more than in ``text``."""
    for text in texts_in(values):
        assert "\0" not in text, repr(text)
        text.encode()


# --- scopes and Basic -----------------------------------------------------------------------------------------------

OWNER = Caller(1, "100000000001", "owner", "", 1, True, True, False)
CALLERS = {
    "anonymous": None,
    "not activated": replace(OWNER, activated=False),
    "stranger": replace(OWNER, account=2),
    "owner": OWNER,
    "administrator": replace(OWNER, account=3, is_superuser=True),
    "pushing token": replace(OWNER, token=TokenLimits(can_push=True, all_namespaces=True)),
    "deleting token": replace(OWNER, token=TokenLimits(can_push=True, all_namespaces=True, can_delete=True)),
    "token": replace(OWNER, is_superuser=True, token=TokenLimits(can_push=False, all_namespaces=True)),
}
# What each may do on a repository of the owner's that is there and private, and whether the catalogue is open.
ALLOWED = {
    "owner": {"pull", "push", "delete"},
    "deleting token": {"pull", "push", "delete"},
    "pushing token": {"pull", "push"},
    "token": {"pull"},
}


def check_scopes(values: list[str]) -> None:
    """Against the reference; never more than was asked; what is accepted survives being written and read."""
    asked: dict[tuple[str, str], set[str]] = {}
    for text in (text for value in values for text in value.split(" ")):
        found, expected = parse_scope(text), grammar.read_scope(text)
        assert (found and (found.type, found.name, found.actions)) == expected, text
        if expected is not None:
            asked.setdefault(expected[:2], set()).update(expected[2])
    try:
        result = parse_scopes(values)
    except TooManyScopes:
        assert len(asked) > MOST_SCOPES
        return
    assert {(one.type, one.name): set(one.actions) for one in result} == asked
    assert len(result) == len(asked) <= MOST_SCOPES
    assert parse_scopes([" ".join(map(format_scope, result))]) == result
    check_grants(result, asked)


def granted_of(asked: set[str], allowed: set[str]) -> set[str]:
    """What is allowed of what is asked, without push where a deletion is asked for and not allowed."""
    return asked & allowed - ({"push"} if "delete" in asked - allowed else set())


def check_grants(result: list[Access], asked: dict[tuple[str, str], set[str]]) -> None:
    """Whoever asks is given what was asked and is allowed, and nothing else."""
    for who, caller in CALLERS.items():
        role = Role.OWNER if caller is not None and caller.account == 1 else None
        repository = Repository(owner=1, in_transfer=False, role=role, exists=True, active=True)
        known = {access.name: repository for access in result}
        expected = {
            key: granted_of(actions, ALLOWED.get(who, set())) if key[0] == "repository" else set()
            for key, actions in asked.items()
        }
        if "*" in asked.get(("registry", "catalog"), ()) and who not in {"anonymous", "not activated"}:
            # All of it, or what the caller may read, which the gate lists.
            expected["registry", "catalog"] = {"*"} if who == "administrator" else {"list"}
        granted = {(one.type, one.name): set(one.actions) for one in registry_grants(caller, result, known)}
        assert granted == {key: actions for key, actions in expected.items() if actions}, who
        for grant in dockerhub_grants(caller, result):
            assert who not in {"anonymous", "not activated"}
            assert (grant.type, grant.actions, grant.name.count("/")) == ("repository", {"pull"}, 1)
            assert grant.name.startswith("library/")
            assert "pull" in asked[grant.type, grant.name]


def check_basic(header: str) -> None:
    """Either the reference's user name and password, or the one refusal."""
    found: tuple[str, str] | None
    try:
        found = token_request.basic_credentials(header)
    except token_request.Refused:
        found = None
    expected = grammar.read_basic(header)
    if found is not None and expected is None:
        # Python takes more padding than there should be, in some releases: that changes nothing of what is decoded.
        plain = header.rstrip().rstrip("=")
        expected = grammar.read_basic(plain + "=" * (-len(plain.partition(" ")[2].lstrip()) % 4))
    assert found == expected, header


# --- events ---------------------------------------------------------------------------------------------------------


def check_events(events: Iterable[Any]) -> None:
    """Each event is understood or counted as unusable; what it comes to fits into its columns."""
    taken = views.ParsedEvents()
    number = 0
    for event in events:
        views._read(event, taken)
        number += 1
    assert sum(taken.unusable.values()) <= number
    assert set(taken.unusable) <= set(views.Reason.values)
    assert max(len(taken.notices), len(taken.occurrences), len(taken.pushes)) <= number
    soon = timezone.now() + datetime.timedelta(days=2)
    for notice in taken.notices:
        _check_place(notice.repository, notice.tag)
        assert len(notice.pushed_by) <= 64
        assert notice.pushed_at is None or (notice.pushed_at.tzinfo and notice.pushed_at < soon)
        check_storable(notice.pushed_by)
    for repository, digest in taken.pushes:
        _check_place(repository, "")
        assert grammar.is_digest(digest)
    for one in taken.occurrences:
        _check_place(one.repository, one.tag)
        assert 1 <= len(one.event) <= 64
        assert one.digest == "" or grammar.is_digest(one.digest)
        assert one.tag or one.digest
        assert soon - one.at < datetime.timedelta(days=40)
        check_storable(one.event)


def _check_place(repository: str, tag: str) -> None:
    namespace, _, image = repository.partition("/")
    assert grammar.is_namespace(namespace) and grammar.is_image(image), repository
    # What was pushed or deleted by its digest alone has a hint, too.
    assert tag == "" or grammar.is_tag(tag) or grammar.is_digest(tag), tag


# --- manifests ------------------------------------------------------------------------------------------------------

MEDIA_TYPES = [DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, "application/x-unknown", ""]
_ASKED = (
    "is_index", "config", "layers", "children", "subject", "artifact_type", "annotations", "references", "total_size",
)  # fmt: skip


def check_manifest(media_type: str, content: bytes) -> parse.Reading:
    """What is asked of it is of its type or malformed; what is understood of it can be stored."""
    manifest = Manifest("team/app", "sha256:" + "0" * 64, media_type, content)
    for name in _ASKED:
        try:
            value = getattr(manifest, name)
        except MalformedManifest:
            continue
        if name == "total_size":
            assert type(value) is int and 0 <= value <= LARGEST
        elif name == "references":
            assert all(grammar.is_digest(digest) for digest in value)
            assert len(set(value)) == len(value)
        elif name == "layers":
            assert all(0 <= layer.size <= LARGEST and grammar.is_digest(layer.digest) for layer in value)
        elif name == "artifact_type":
            check_storable(value)
    found = parse.read_manifest(manifest)
    check_reading(found)
    if parse.wants_config(found):
        assert found.config_descriptor is not None and found.config_descriptor.size <= 4 << 20
    return found


def check_reading(found: parse.Reading) -> None:
    """It fits into its columns."""
    assert found.kind in {"image", "index", "artifact", "other"}
    assert type(found.size) is int and 0 <= found.size <= LARGEST
    assert len(found.media_type) <= 200 and len(found.artifact_type) <= 200
    assert all(grammar.is_digest(digest) for digest in found.blobs)
    assert found.subject == "" or grammar.is_digest(found.subject)
    assert all(grammar.is_digest(child["digest"]) and len(child["platform"]) <= 100 for child in found.children)
    assert all(0 < len(platform) <= 100 for platform in found.platforms)
    assert len(set(found.platforms)) == len(found.platforms)
    check_storable(found.kind, found.artifact_type, found.platforms, found.children, found.config)
    json.dumps(found.config, allow_nan=False)
    assert found.created_at is None or found.created_at.utcoffset() == datetime.timedelta(0)
    _check_bounds(found.config)


def _check_bounds(shown: Any, depth: int = 0) -> None:
    assert depth < 5
    assert not isinstance(shown, str) or len(shown) <= 4096
    if isinstance(shown, dict | list):
        assert len(shown) <= 500
        for entry in [*shown, *(shown.values() if isinstance(shown, dict) else ())]:
            _check_bounds(entry, depth + 1)


def check_config(content: bytes) -> None:
    """An image's configuration."""
    found = parse.Reading("sha256:" + "0" * 64, OCI_MANIFEST, b"{}")
    parse.add_config(found, content)
    check_reading(found)


# --- names ----------------------------------------------------------------------------------------------------------

_CONVERTERS = {
    kind: re.compile(converter.regex)
    for kind, converter in {
        "namespace": NamespaceConverter,
        "repository": RepositoryConverter,
        "tag": TagConverter,
        "digest": DigestConverter,
        "official": OfficialImageConverter,
    }.items()
}


def _accepts(check: Callable[[str], Any], text: str) -> bool:
    try:
        assert check(text) == text
    except InvalidName:
        return False
    return True


def _valid(model: type[Namespace] | type[Image], name: str) -> bool:
    """Whether the model's own rules take the name, less the space around it that every form and service strips."""
    try:
        model._meta.get_field("name").run_validators(name)
    except ValidationError:
        return False
    return name == name.strip() and name != ""


def check_name(text: str) -> None:
    """Validators, policy, converters and the registry's client judge a name alike, and as Distribution does."""
    addressed = {kind for kind, pattern in _CONVERTERS.items() if pattern.fullmatch(text)}
    namespace, slash, image = text.partition("/")
    whole = bool(slash) and grammar.is_namespace(namespace) and grammar.is_image(image)

    assert _accepts(check_repository, text) == grammar.is_repository(text)
    assert _accepts(check_tag, text) == ("tag" in addressed) == grammar.is_tag(text)
    assert _accepts(check_digest, text) == is_digest(text) == grammar.is_digest(text)
    assert _accepts(check_reference, text) == (grammar.is_tag(text) or grammar.is_digest(text))
    assert not grammar.is_digest(text) or "digest" in addressed

    free = text not in RESERVED_NAMESPACES
    assert (_valid(Namespace, text) and free) == grammar.is_namespace(text)
    assert ("namespace" in addressed and 2 <= len(text) <= 30 and free) == grammar.is_namespace(text)
    assert _valid(Image, text) == grammar.is_image(text)
    assert ("official" in addressed) == grammar.is_component(text)
    assert (split_repository(text) == (namespace, image)) == whole
    assert not whole or ("repository" in addressed and grammar.is_repository(text))
    # An address may be of a name that is too long: nothing has it. Of one that breaks the grammar there is none.
    assert "repository" not in addressed or all(grammar.is_component(part) for part in text.split("/"))


def check_reference_typed(text: str) -> None:
    """What people type after ``docker pull``: refused with a ``ValueError``, or parts that a client may be given."""
    try:
        found = references.parse(text)
    except ValueError:
        return
    assert grammar.is_repository(found.repository), found
    assert grammar.is_tag(found.reference) or grammar.is_digest(found.reference)
    assert found.tag == "" or grammar.is_tag(found.tag)
    assert found.scheme in {"http", "https"} and found.host == found.host.lower() and len(found.host) <= 253
    assert found.port is None or 1 <= found.port <= 65535
    parts = urlsplit(found.url)
    assert (parts.path, parts.query, parts.fragment, parts.username) == ("", "", "", None)
    assert parts.port == found.port
    assert parts.hostname == found.host.strip("[]")


# --- what pages take ------------------------------------------------------------------------------------------------


class Checker(HTMLParser):
    """Fails at any tag, attribute or address that a description may not have."""

    TAGS = {
        "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
        "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
    }  # fmt: skip
    ATTRIBUTES = {"a": {"href", "title", "rel"}, "pre": {"tabindex"}, "table": {"tabindex"}}  # noqa: RUF012

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.TAGS, tag
        given = dict(attrs)
        assert len(given) == len(attrs)
        assert set(given) <= self.ATTRIBUTES.get(tag, set()), (tag, given)
        if tag == "a":
            assert given["rel"] == "nofollow noopener noreferrer"
            # A browser leaves out what is invisible before it looks at the scheme.
            href = re.sub(r"[\x00-\x20]", "", given.get("href") or "")
            assert urlsplit(href).scheme in {"", "http", "https", "mailto"}, given

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = unknown_decl = handle_pi = handle_comment  # type: ignore[assignment]


def check_markdown(text: str) -> None:
    """Nothing but marks, text and links comes of a description; its output is in proportion."""
    html = render_markdown(text)
    # Empty cells of tables, and links whose address is written once, are most of what is more.
    assert len(html.encode()) <= 20 * len(text) + 600_000
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert "\n" not in first_line(text)


def check_cursor(text: str) -> None:
    """The place in a list that an address names: none, or one that the database can compare with."""
    for kind in (str, int, datetime.datetime):
        found = _read_cursor(text, kind)
        if found is None:
            continue
        value, key = found
        assert type(value) is kind and type(key) is int and abs(key) < 1 << 62
        if isinstance(value, str):
            check_storable(value)
        elif isinstance(value, int):
            assert abs(value) < 1 << 62
        else:
            assert value.utcoffset() == datetime.timedelta(0)
