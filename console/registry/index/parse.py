"""Parse a manifest: kind, platforms, children, subject.

Manifests are user input: invalid parts are skipped, and parsing never raises.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.dateparse import parse_datetime

from console.repositories.media_types import BUILD_CACHE, HELM_CHART
from console.repositories.models import Manifest
from registry_client import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_MANIFEST,
    Child,
    Descriptor,
    MalformedManifest,
)
from registry_client import Manifest as RegistryManifest
from registry_client.json_documents import parse

CONFIG_LIMIT = 4 << 20
# The largest bigint.
LARGEST_SIZE = (1 << 63) - 1
_IMAGE_CONFIGS = (DOCKER_CONFIG, OCI_CONFIG)
# BuildKit attaches provenance and SBOMs as manifests for an unknown platform, with these annotations.
_REFERENCE_TYPE = "vnd.docker.reference.type"
_REFERENCE_DIGEST = "vnd.docker.reference.digest"
_NO_PLATFORM = {"unknown/unknown", "unknown", ""}
# OCI distribution specification, "Referrers Tag Schema"; cosign adds a suffix for the type.
_ABOUT_TAG = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})(?:\.[a-z0-9]+)?")
_LONGEST_TEXT = 4096
_MOST_ENTRIES = 500
# Limit of the configuration that pages show, in characters as JSON; longer lists are cut.
MOST_SHOWN = 256 << 10
MOST_PLATFORMS = 100


@dataclass
class Reading:
    """A parsed manifest.

    ``own_size``: bytes of the blobs that an index itself names, according to their descriptors.
    """

    digest: str
    media_type: str
    content: bytes
    kind: str = Manifest.Kind.OTHER
    size: int = 0
    own_size: int = 0
    platforms: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    children: list[dict[str, str]] = field(default_factory=list)
    artifact_type: str = ""
    subject: str = ""
    created_at: datetime.datetime | None = None
    config: dict[str, Any] = field(default_factory=dict)
    config_descriptor: Descriptor | None = None

    @property
    def weight(self) -> int:
        """Approximate number of bytes to store this."""
        lists = sum(map(len, self.blobs)) + sum(len(child["digest"]) + 100 for child in self.children)
        return len(self.content) + lists + len(json.dumps(self.config))


def subject_of_tag(tag: str) -> str:
    """The subject's digest in a tag's name (``sha256-<hex>``, ``sha256-<hex>.sig``); empty for other names."""
    found = _ABOUT_TAG.fullmatch(tag)
    if found is None or len(found[2]) != {"sha256": 64, "sha512": 128}[found[1]]:
        return ""
    return f"{found[1]}:{found[2]}"


def read_manifest(manifest: RegistryManifest) -> Reading:
    """Parse the manifest itself; its config and children are read by the caller."""
    # A copy, so that its cached properties are freed with it: they take much more memory than the text.
    manifest = replace(manifest)
    reading = Reading(manifest.digest, manifest.media_type[:200], manifest.content)
    try:
        if manifest.is_index:
            reading.children = _children(manifest.children)
            reading.platforms = platforms_of(reading.children)
            reading.kind = Manifest.Kind.INDEX
        else:
            # The size first: if it is invalid, nothing else is used.
            size, blobs = manifest.total_size, list(manifest.references)
            reading.size, reading.blobs = size, blobs
            reading.config_descriptor = manifest.config
            reading.kind = _kind(manifest)
    except MalformedManifest:
        # The digests are stored anyway: deletions and garbage checks need them.
        digests = [entry.digest for entry in manifest.entries]
        if _is_index(manifest):
            reading.children = [{"digest": digest, "platform": ""} for digest in digests]
        else:
            reading.blobs = digests
    with suppress(MalformedManifest):
        reading.artifact_type = _artifact_type(manifest)[:200]
    reading.subject = manifest.subject_digest
    return reading


def _is_index(manifest: RegistryManifest) -> bool:
    try:
        return manifest.is_index
    except MalformedManifest:
        return False


def separate_blobs(reading: Reading, blobs: Mapping[str, Descriptor]) -> None:
    """Move entries of an index that are blobs from ``children`` to ``blobs``.

    An index with only blobs is an artifact, such as BuildKit's cache.

    :param blobs: the entries that are blobs, by digest.
    """
    if not blobs:
        return
    reading.children = [child for child in reading.children if child["digest"] not in blobs]
    reading.blobs = list(blobs)
    reading.own_size = min(sum(blob.size for blob in blobs.values()), LARGEST_SIZE)
    reading.platforms = platforms_of(reading.children)
    if reading.kind == Manifest.Kind.INDEX and not reading.children:
        reading.kind = Manifest.Kind.ARTIFACT
        if not reading.artifact_type and any(blob.media_type == BUILD_CACHE for blob in blobs.values()):
            reading.artifact_type = BUILD_CACHE


def _kind(manifest: RegistryManifest) -> str:
    if manifest.media_type not in (DOCKER_MANIFEST, OCI_MANIFEST):
        return Manifest.Kind.OTHER
    config = manifest.config
    return Manifest.Kind.IMAGE if config and config.media_type in _IMAGE_CONFIGS else Manifest.Kind.ARTIFACT


def _artifact_type(manifest: RegistryManifest) -> str:
    """The artifact type: the stated one, else (OCI image specification) the media type of the config."""
    stated = manifest.artifact_type
    if stated:
        return stated
    config = manifest.config
    return config.media_type if config and config.media_type not in _IMAGE_CONFIGS else ""


def _children(named: Iterable[Child]) -> list[dict[str, str]]:
    """The children of an index, each digest once; the platform may come from a later entry of the same digest."""
    children: dict[str, dict[str, str]] = {}
    for child in named:
        entry = _child(child)
        first = children.setdefault(child.digest, entry)
        if not first["platform"] and "about" not in first:
            first["platform"] = entry["platform"]
    return list(children.values())


def _child(child: Child) -> dict[str, str]:
    about = child.annotations.get(_REFERENCE_DIGEST, "")[:140] if _REFERENCE_TYPE in child.annotations else ""
    platform = str(child.platform) if child.platform else ""
    entry = {"digest": child.digest, "platform": "" if platform in _NO_PLATFORM else platform[:100]}
    if about or platform == "unknown/unknown":
        entry["about"] = about
    return entry


def platforms_of(children: Iterable[dict[str, str]]) -> list[str]:
    """The platforms of an index without duplicates, in its order; at most ``MOST_PLATFORMS``."""
    names = dict.fromkeys(child["platform"] for child in children if child["platform"] and "about" not in child)
    return list(names)[:MOST_PLATFORMS]


def wants_config(reading: Reading) -> bool:
    """Whether the config is that of an image or a Helm chart, and not too large."""
    found = reading.config_descriptor
    return found is not None and found.media_type in (*_IMAGE_CONFIGS, HELM_CHART) and found.size <= CONFIG_LIMIT


def add_config(reading: Reading, content: bytes) -> None:
    """Add what pages show of a configuration. Invalid JSON and missing fields are ignored."""
    try:
        document = parse(content)
    except ValueError:
        return
    if not isinstance(document, dict):
        return
    if reading.config_descriptor is not None and reading.config_descriptor.media_type == HELM_CHART:
        chart = shown_chart(document)
        reading.config = _shortened({"chart": chart}) if chart else {}
        return
    platform = "/".join(
        part for part in (_text(document.get(key)) for key in ("os", "architecture", "variant")) if part
    )
    if platform not in _NO_PLATFORM and not reading.platforms:
        reading.platforms = [platform[:100]]
    reading.created_at = _moment(_text(document.get("created")))
    reading.config = _shortened(shown_config(document))


def shown_config(document: dict[str, Any]) -> dict[str, Any]:
    """Select the part of a configuration that pages show; of environment variables only the names."""
    runtime = document.get("config")
    runtime = runtime if isinstance(runtime, dict) else {}
    shown = {
        "created": _text(document.get("created")),
        "author": _text(document.get("author")),
        "user": _text(runtime.get("User")),
        "working_dir": _text(runtime.get("WorkingDir")),
        "entrypoint": _texts(runtime.get("Entrypoint")),
        "command": _texts(runtime.get("Cmd")),
        "environment": [entry.partition("=")[0] for entry in _texts(runtime.get("Env"))],
        "ports": _texts(runtime.get("ExposedPorts")),
        "volumes": _texts(runtime.get("Volumes")),
        "stop_signal": _text(runtime.get("StopSignal")),
        "labels": {key: value for key, value in _pairs(runtime.get("Labels")) if key},
        "history": [_step(step) for step in _list(document.get("history")) if isinstance(step, dict)],
    }
    return {key: value for key, value in shown.items() if value}


def _shortened(shown: dict[str, Any]) -> dict[str, Any]:
    """Cut the longest lists in half until all has at most ``MOST_SHOWN`` characters as JSON."""
    while len(json.dumps(shown)) > MOST_SHOWN:
        parent = shown.get("chart", shown)
        longest = max(parent, key=lambda name: len(json.dumps(parent[name])))
        value = parent[longest]
        half = dict(list(value.items())[: len(value) // 2]) if isinstance(value, dict) else value[: len(value) // 2]
        parent[longest] = half
    return shown


def shown_chart(document: dict[str, Any]) -> dict[str, Any]:
    """Select what pages show of a Helm chart's configuration, its ``Chart.yaml`` (Helm, "The Chart.yaml File")."""
    shown = {
        "name": _text(document.get("name")),
        "version": _text(document.get("version")),
        "app_version": _text(document.get("appVersion")),
        "description": _text(document.get("description")),
        "type": _text(document.get("type")),
        "kube_version": _text(document.get("kubeVersion")),
        "home": _text(document.get("home")),
        "keywords": _texts(document.get("keywords")),
        "sources": _texts(document.get("sources")),
        "maintainers": _named(document.get("maintainers"), "name", "email"),
        "dependencies": _named(document.get("dependencies"), "name", "version", "repository"),
        "deprecated": document.get("deprecated") is True,
    }
    return {key: value for key, value in shown.items() if value}


def _named(value: Any, *keys: str) -> list[dict[str, str]]:
    """The entries of a list that have the first of ``keys``, each with the texts of all ``keys``."""
    entries = [{key: _text(entry.get(key)) for key in keys} for entry in _list(value) if isinstance(entry, dict)]
    return [entry for entry in entries if entry[keys[0]]]


def _step(step: dict[str, Any]) -> dict[str, Any]:
    return {
        "created": _text(step.get("created")),
        "created_by": _text(step.get("created_by")),
        "comment": _text(step.get("comment")),
        "empty": step.get("empty_layer") is True,
    }


def _text(value: Any) -> str:
    """A string that the database can store: without NUL and lone surrogates, which JSON allows."""
    if not isinstance(value, str):
        return ""
    return value[:_LONGEST_TEXT].replace("\x00", "").encode("utf-8", "replace").decode()


def _list(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value)
    return value[:_MOST_ENTRIES] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [_text(value)]
    return [text for text in (_text(entry) for entry in _list(value)) if text]


def _pairs(value: Any) -> list[tuple[str, str]]:
    pairs = list(value.items())[:_MOST_ENTRIES] if isinstance(value, dict) else []
    return [(_text(key), _text(entry)) for key, entry in pairs]


def _moment(text: str) -> datetime.datetime | None:
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    if found is None:
        return None
    found = found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found
    # Reproducible builds use a very early date; some tools year 0 or 1.
    try:
        return found.astimezone(datetime.UTC) if found.year > 1 else None
    except OverflowError:
        return None
