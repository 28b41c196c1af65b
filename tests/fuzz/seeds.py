"""What the fuzzing begins with: inputs of each kind, and words that are worth putting somewhere."""

from __future__ import annotations

import base64
import json

DIGEST = "sha256:" + "0a" * 32
LONG_DIGEST = "sha512:" + "0a" * 64
# What has broken parsers: no character, half of one, too many digits, too deep, twice the same, no number.
WILD_JSON = [
    b"", b"null", b"[]", b"0", b'"x"', b"{", b"\xff\xfe", b'{"a":NaN}', b"[" * 5000, b'{"a":' * 5000, b"-Infinity",
    b"1" * 5000, b'{"a":1e999}', b'{"a":"\\u0000"}', b'{"a":"\\ud800"}', b"\xef\xbb\xbf{}", "{}".encode("utf-16"),
]  # fmt: skip

SCOPES = [
    b"repository:team/app:pull,push",
    b"repository:team/app:pull repository:team/other:push,delete\nregistry:catalog:*",
    b"repository(plugin):team/app:pull",
    b"repository:localhost:5000/a__b/c---d:pull",
    b"repository:library/alpine:pull",
    b"a:Registry.Example.com/b:c",
    b" \n : :: ,",
]
SCOPE_WORDS = ["repository:", "registry:catalog:*", ":pull", ",push", "(plugin)", "library/", "__", ":5000/", "/", " "]

BASIC = [
    b"Basic " + base64.b64encode(b"owner:a password"),
    b"basic " + base64.b64encode("owner:Bätterie:x".encode()),
    b"Basic", b"Basic ", b"Bearer x", b"Basic =", b"Basic " + base64.b64encode(b"\xff:\x00"), b"",
]  # fmt: skip

_EVENT = {
    "id": "1", "timestamp": "2026-11-01T03:04:05.678Z", "action": "push",
    "target": {"repository": "team/app", "tag": "v1", "digest": DIGEST, "mediaType": "x"},
    "actor": {"name": "somebody"}, "request": {"method": "GET"},
}  # fmt: skip
EVENTS = [
    json.dumps({"events": [_EVENT]}).encode(),
    json.dumps({"events": [{**_EVENT, "action": action} for action in ("pull", "delete", "mount")]}).encode(),
    json.dumps({"events": [{**_EVENT, "timestamp": "0001-01-01T00:00:00+14:00", "actor": None}]}).encode(),
    b'{"events":[{"action":"pull","id":"\\ud800","target":{"repository":"team/app","tag":"\\u0000"}}]}',
    b'{"events":[null,1,[],{}]}',
    *WILD_JSON,
]
EVENT_WORDS = [
    '"events":[', '"action":"push"', '"action":"pull"', '"target":{', '"repository":"team/app"', '"tag":"v1"',
    f'"digest":"{DIGEST}"', '"id":"', '"timestamp":"', "2026-11-01T00:00:00+23:59", '"actor":{"name":"', "\\u0000",
    "\\ud800", "null", '"request":{"method":"HEAD"}',
]  # fmt: skip

_DESCRIPTOR = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 7}
_IMAGE = {"schemaVersion": 2, "config": _DESCRIPTOR, "layers": [_DESCRIPTOR, {**_DESCRIPTOR, "digest": LONG_DIGEST}]}
_CHILD = {**_DESCRIPTOR, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}
_ABOUT = {
    **_DESCRIPTOR,
    "platform": {"os": "unknown", "architecture": "unknown"},
    "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": DIGEST},
}
MANIFEST_BODIES = [
    json.dumps(_IMAGE).encode(),
    json.dumps({"manifests": [_CHILD, _ABOUT, _CHILD]}).encode(),
    json.dumps({**_IMAGE, "subject": _DESCRIPTOR, "artifactType": "application/x", "annotations": {"a": "b"}}).encode(),
    json.dumps({**_IMAGE, "layers": [{**_DESCRIPTOR, "size": (1 << 63) - 1}] * 2}).encode(),
    json.dumps({**_IMAGE, "layers": [{**_DESCRIPTOR, "size": -1}], "artifactType": "\0"}).encode(),
    b'{"config":{"size":1},"config":null,"layers":[]}',
    *WILD_JSON,
]
MANIFESTS = [bytes([number % 6]) + body for number, body in enumerate(MANIFEST_BODIES)]
MANIFEST_WORDS = [
    '"config":', '"layers":[', '"manifests":[', f'"digest":"{DIGEST}"', '"size":', "9223372036854775807",
    '"mediaType":"', '"platform":{', '"os":"', '"architecture":"', '"variant":"', '"annotations":{', '"subject":{',
    '"artifactType":"', "vnd.docker.reference.digest", "\\u0000", "\\ud800", "null", "1e999",
]  # fmt: skip

_RUNTIME = {
    "User": "1", "Env": ["A=1", "B"], "Entrypoint": ["/x"], "Cmd": "sh", "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/v": {}}, "WorkingDir": "/", "StopSignal": "TERM", "Labels": {"a": "b", "": "c"},
}  # fmt: skip
CONFIGURATIONS = [
    json.dumps(
        {
            "os": "linux", "architecture": "amd64", "created": "2026-01-02T03:04:05Z", "author": "x",
            "config": _RUNTIME,
            "history": [{"created": "0001-01-01T00:00:00Z", "created_by": "RUN x", "empty_layer": True}, None],
        }
    ).encode(),
    b'{"os":"\\u0000","architecture":"\\ud800","created":"9999-12-31T23:59:59-14:00","config":{"Labels":{"\\u0000":""}}}',
    b'{"created":"2026-13-45T00:00:00Z","config":[],"history":{"a":1}}',
    *WILD_JSON,
]  # fmt: skip
CONFIGURATION_WORDS = [
    '"os":"', '"architecture":"', '"created":"', '"config":{', '"Env":[', '"Labels":{', '"Cmd":', '"history":[',
    '"empty_layer":true', "\\u0000", "\\udfff", "0001-01-01T00:00:00+14:00", "null",
]  # fmt: skip

NAMES = [
    b"team", b"team/app", b"a.b_c__d-e---f/1/2", b"v1.0", b"_A-b.C", DIGEST.encode(), LONG_DIGEST.encode(), b"library",
    b"x" * 31, b"y" * 129, b"team/" + b"z" * 201, b"team/app\n", b"a\x00b", b"..", b"-/-", "tеam".encode(), b"\xff",
    b"https://Registry.example.com:5000/team/app:1@" + DIGEST.encode(), b"http://[::1]:80/a/b", b"localhost/a:0",
    b"docker.io/library/alpine", b"registry.example.com:65536/a",
]  # fmt: skip
NAME_WORDS = [
    "/",
    "__",
    "---",
    ".",
    ":",
    "@",
    DIGEST,
    "https://",
    "http://[",
    "]",
    "library",
    "docker.io",
    "\n",
    ":443/",
]

MARKDOWN = [
    b"# Title\n\nText with *marks*, **more**, `code`, ~~none~~ and [a link](https://example.com 'title').\n\n- a\n",
    b"| a | b |\n|:-:|--:|\n| 1 | 2 |\n",
    b"[x](javascript:alert(1)) <javascript:x> [x](&#106;avascript:x) [y](data:text/html,x)\n\n[x]: vbscript:x\n",
    b"<script>alert(1)</script><img src=x onerror=alert(1)><!-- x --><a href=javascript:x>",
    b"```html\n<p>\n```\n\n    code\n\n> > > quote\n\n1. a\n   1) b\n***\n",
    b"![x](https://example.com/x.png)\\\n&lt;b&gt; &#x3c;\xe2\x80\xa8\xef\xbb\xbf",
]
MARKDOWN_WORDS = [
    "javascript:", "data:", "vbscript:", "](", "[x]", "<a href=", "<script>", "&#106;", "&colon;", "&Tab;", "![",
    "|-|-|\n", "```", "~~", "> ", "- ", "\n\n", "<!--", "<http:", "mailto:", "&NewLine;", "//",
]  # fmt: skip

CURSORS = [
    b'["app", 5]', b"[7, 5]", b'["2026-01-02T03:04:05+00:00", 5]', b'["0001-01-01T00:00:00+14:00", 5]',
    b'["\\u0000", 5]', b'["\\ud800", 5]', b"[1e999, 5]", b"[4611686018427387904, 1]", b"[true, 5]",
    b"[[], {}]", b"[NaN, 1]", b'["20260102", 1]',
    *WILD_JSON,
]  # fmt: skip
