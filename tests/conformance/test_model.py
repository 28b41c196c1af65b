"""Each check can be passed, and fails where a registry does not conform: against a registry in memory."""

from __future__ import annotations

import json

import pytest
import requests

from tests.conformance.cases import CASES
from tests.conformance.model import ConformingRegistry, Refused
from tests.conformance.run import Outcome
from tests.conformance.target import Target

BY_NAME = {case.name: case for case in CASES}


def outcome(registry, check):
    name, _slash, _rest = check.partition("/")
    results = BY_NAME[name].run(Target("http://registry.test", transport=registry))
    return next(result.outcome for result in results if result.check == check)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_registry_that_conforms_passes(case):
    results = case.run(Target("http://registry.test", transport=ConformingRegistry()))
    assert results
    assert [str(result) for result in results if result.outcome is not Outcome.PASSED] == []


class Unsorted(ConformingRegistry):
    def _tags_get(self, request):
        status, headers, body = super()._tags_get(request)
        document = json.loads(body)
        return status, headers, json.dumps({**document, "tags": document["tags"][::-1]}).encode()


class NoLimit(ConformingRegistry):
    def _tags_get(self, request):
        request.query = {}
        return super()._tags_get(request)


class AnyOrder(ConformingRegistry):
    def _append(self, request):
        request.headers = {}
        return super()._append(request)


class LosesProgress(ConformingRegistry):
    def _progress(self, request, body):
        return {**super()._progress(request, body), "Range": "0-0"}


class NoReferrers(ConformingRegistry):
    def _referrers_get(self, request):
        raise Refused(404, "UNSUPPORTED")


class NoFilter(ConformingRegistry):
    def _referrers_get(self, request):
        request.query = {}
        return super()._referrers_get(request)


class NoSubject(ConformingRegistry):
    def _manifests_put(self, request):
        status, headers, body = super()._manifests_put(request)
        return status, {name: value for name, value in headers.items() if name != "OCI-Subject"}, body


class Reformats(ConformingRegistry):
    def _manifests_get(self, request):
        status, headers, body = super()._manifests_get(request)
        return status, headers, json.dumps(json.loads(body)).encode()


class TrustsDigests(ConformingRegistry):
    def _store(self, request, digest, body):
        self._repositories[request.name].blobs[digest] = body
        return 201, {"Location": f"/v2/{request.name}/blobs/{digest}"}, b""


class NoTagDeletion(ConformingRegistry):
    def _manifests_delete(self, request):
        if ":" not in request.rest:
            raise Refused(405, "UNSUPPORTED")
        return super()._manifests_delete(request)


class DeletesTheManifest(ConformingRegistry):
    def _manifests_delete(self, request):
        request.rest = self._found(self._repositories[request.name], request.rest)
        return super()._manifests_delete(request)


class NoRanges(ConformingRegistry):
    def _blobs_get(self, request):
        request.headers = {}
        return super()._blobs_get(request)


class NoMounts(ConformingRegistry):
    def _blobs_uploads_post(self, request):
        request.query.pop("mount", None)
        return super()._blobs_uploads_post(request)


class Shared(ConformingRegistry):
    """Every repository has the blobs of all."""

    def _blobs_get(self, request):
        request.name = next(
            (name for name, one in self._repositories.items() if request.rest in one.blobs), request.name
        )
        return super()._blobs_get(request)


class ServerErrors(ConformingRegistry):
    def _manifests_get(self, request):
        try:
            return super()._manifests_get(request)
        except Refused:
            return 500, {}, b""


class OddErrors(ConformingRegistry):
    def _blobs_get(self, request):
        try:
            return super()._blobs_get(request)
        except Refused:
            return 404, {}, b'{"error": "missing"}'


@pytest.mark.parametrize(
    ("defect", "check", "found"),
    [
        (Unsorted, "tags-lists/in lexical order", Outcome.FAILED),
        (NoLimit, "tags-lists/n=3", Outcome.FAILED),
        (NoLimit, "tags-lists/pages by Link", Outcome.FAILED),
        (NoLimit, "tags-lists/n and last", Outcome.FAILED),
        (AnyOrder, "sha256-out-of-order/gap after the first chunk", Outcome.FAILED),
        (AnyOrder, "sha512-out-of-order/closing PUT with a chunk ahead", Outcome.FAILED),
        (AnyOrder, "upload-ranges/shorter than the chunk", Outcome.FAILED),
        (LosesProgress, "upload-status/after chunk 1", Outcome.FAILED),
        (LosesProgress, "sha256-three-chunks/push", Outcome.FAILED),
        (NoReferrers, "referrers-empty/of an unknown digest", Outcome.FAILED),
        (NoReferrers, "referrers-fallback-tag/listed once", Outcome.FAILED),
        (NoReferrers, "artifacts-with-subject/referrers", Outcome.FAILED),
        (NoFilter, "referrers-filters/one type", Outcome.FAILED),
        (NoSubject, "subject-missing/push artifact by digest: OCI-Subject", Outcome.FAILED),
        (NoSubject, "subject-missing/push artifact by digest", Outcome.PASSED),
        (Reformats, "odd-whitespace/get image by digest", Outcome.FAILED),
        (TrustsDigests, "sha256-wrong-digest/stream", Outcome.FAILED),
        (TrustsDigests, "sha256-wrong-digest/not stored", Outcome.FAILED),
        (NoTagDeletion, "delete-tags/delete one", Outcome.UNSUPPORTED),
        (NoTagDeletion, "image/delete the tag image", Outcome.UNSUPPORTED),
        (DeletesTheManifest, "delete-tags/the manifest stays", Outcome.FAILED),
        (NoRanges, "sha256-ranges/bytes=500-1499", Outcome.UNSUPPORTED),
        (NoMounts, "sha256-mount/mount", Outcome.UNSUPPORTED),
        (NoMounts, "sha256-mount/get", Outcome.PASSED),
        (Shared, "isolation/blob", Outcome.FAILED),
        (ServerErrors, "invalid-names/digest, short: GET manifest", Outcome.FAILED),
        (ServerErrors, "missing/manifest by tag: GET", Outcome.FAILED),
        (OddErrors, "invalid-names/digest, short: GET blob", Outcome.FAILED),
        (OddErrors, "missing/blob: GET", Outcome.FAILED),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else value,
)
def test_a_defect_is_found(defect, check, found):
    assert outcome(defect(), check) is found


class Guarded(ConformingRegistry):
    """Takes a scope as the token for it."""

    def __init__(self):
        super().__init__()
        self.bodies = []

    def send(self, request, *options, **more):
        name = request.url.partition("/v2/")[2].partition("/blobs/")[0]
        action = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(request.method, "push")
        scope = f"repository:{name}:{action}"
        if request.headers.get("Authorization") == f"Bearer {scope}":
            self.bodies.append(request.body)
            return super().send(request, *options, **more)
        assert not request.body
        response = requests.Response()
        response.status_code, response.url, response._content = 401, request.url, b""
        response.headers["WWW-Authenticate"] = f'Bearer realm="http://realm.test/",service="registry",scope="{scope}"'
        return response


class Scopes:
    def __init__(self):
        self.asked = []

    def token(self, challenge):
        self.asked.append(challenge["scope"])
        return challenge["scope"]


def test_tokens_are_asked_for_once_and_bodies_are_not_sent_without():
    registry, tokens = Guarded(), Scopes()
    target = Target("http://registry.test", tokens, transport=registry)
    results = BY_NAME["sha256-post-then-put"].run(target)
    assert {result.outcome for result in results} == {Outcome.PASSED}
    (name,) = {scope.split(":")[1] for scope in tokens.asked}
    assert sorted(tokens.asked) == [f"repository:{name}:{action}" for action in ("delete", "pull", "push")]
    assert any(registry.bodies)
