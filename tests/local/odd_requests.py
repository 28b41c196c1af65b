"""Tables of requests by which somebody might try to write a manifest past the gate.

In each, ``{r}`` stands for a repository, ``{t}`` for a tag or a digest, ``{d}`` for the digest of a blob.
"""

from __future__ import annotations

# Targets of a PUT or DELETE. Every program on the way might read them in another way.
TARGETS = [
    # Plainly.
    "/v2/{r}/manifests/{t}", "/v2/{r}/manifests/{t}?x=/blobs/uploads/1", "/v2/{r}/manifests/{t}?digest={d}",
    "/v2/{r}/manifests/{t}#/blobs/uploads/1", "/v2/{r}/manifests/{t}?x=%0d%0aHost:%20x",
    # Slashes.
    "//v2/{r}/manifests/{t}", "///v2/{r}/manifests/{t}", "/v2//{r}//manifests//{t}", "/v2/{r}/manifests//{t}",
    "/v2/{r}/manifests/{t}/", "/v2/{r}/manifests/{t}//", "/v2/{r}//manifests/{t}", "/v2\\{r}\\manifests\\{t}",
    "/v2/{r}/manifests\\{t}", "/v2/{r}/blobs\\..\\manifests/{t}",
    # Dots.
    "/v2/./{r}/manifests/{t}", "/v2/{r}/./manifests/./{t}", "/v2/{r}/manifests/{t}/.", "/v2/{r}/manifests/{t}/..",
    "/v2/{r}/manifests/x/../{t}", "/v2/{r}/blobs/../manifests/{t}", "/v2/{r}/blobs/{d}/../../manifests/{t}",
    "/v2/{r}/blobs/uploads/../../manifests/{t}", "/v2/{r}/blobs/uploads/1/../../../manifests/{t}",
    "/v2/{r}/tags/list/../../manifests/{t}", "/v2/_catalog/../{r}/manifests/{t}", "/v2/../v2/{r}/manifests/{t}",
    "/../v2/{r}/manifests/{t}", "/x/../v2/{r}/manifests/{t}", "/static/../v2/{r}/manifests/{t}",
    "/token/../v2/{r}/manifests/{t}", "/healthz/..;/v2/{r}/manifests/{t}", "/v2/{r}/..;/manifests/{t}",
    "/v2/dockerhub/../{r}/manifests/{t}", "/v2/dockerhub/{r}/manifests/{t}", "/v2/dockerhub//{r}/manifests/{t}",
    "/v2/dockerhub/..%2f{r}/manifests/{t}", "/v2/dockerhub/%2e%2e/{r}/manifests/{t}",
    # Escapes.
    "/v2/{r}%2fmanifests%2f{t}", "/v2/{r}/manifests%2f{t}", "/v2/{r}%2Fmanifests/{t}", "/v2%2f{r}/manifests/{t}",
    "/%76%32/{r}/manifests/{t}", "/v2/{r}/%6danifests/{t}", "/v2/{r}/manifest%73/{t}", "/v2/{r}/%2e/manifests/{t}",
    "/v2/{r}/blobs/%2e%2e/manifests/{t}", "/v2/{r}/blobs%2f%2e%2e%2fmanifests/{t}",
    "/v2/{r}/blobs/%2E%2E/manifests/{t}",
    "/v2/{r}/blobs/uploads/%2e%2e%2f%2e%2e%2fmanifests%2f{t}", "/v2/{r}%252fmanifests%252f{t}",
    "/v2/{r}/%256danifests/{t}", "/v2/{r}/blobs/%252e%252e/manifests/{t}", "/v2/{r}/%u006danifests/{t}",
    "/v2/{r}/manifests/{t}%00", "/v2/{r}%00/manifests/{t}", "/v2/{r}/manifests/{t}%0a", "/v2/{r}%0a/manifests/{t}",
    "/v2/%0a{r}/manifests/{t}", "/v2/{r}/manifests%0a/{t}", "/v2/{r}/manifests/%0a{t}", "/v2/{r}/manifests/{t}%20",
    "/v2/{r}/manifests/{t}%2f", "/v2/{r}/manifests/{t}%3fx=1", "/v2/{r}/manifests/{t}%23x", "/v2/{r}/manifests/{t}%",
    "/v2/{r}/manifests/{t}%zz", "/v2/{r}/manifests/{t};x=1", "/v2/{r};x=1/manifests/{t}", "/v2/{r}/manifests;x=1/{t}",
    "/v2/{r}%c0%afmanifests%c0%af{t}", "/v2/{r}/\xffmanifests/{t}", "/v2/{r}/%ef%bd%8danifests/{t}",
    "/v2/{r}/%C5%BFmanifests/{t}", "/v2/{r}/\tmanifests/{t}",
    # Names that look like another part of the interface.
    "/V2/{r}/manifests/{t}", "/v2/{r}/Manifests/{t}", "/v2/{r}/MANIFESTS/{t}", "/v2/{r}/manifests/blobs/uploads/{t}",
    "/v2/{r}/blobs/uploads/manifests/{t}", "/v2/{r}/manifests/{t}/blobs/uploads/", "/v2/{r}/tags/list/manifests/{t}",
    "/v2/{r}/referrers/manifests/{t}", "/v2/{r}/manifests/{t}/tags/list", "/v2/manifests/{r}/manifests/{t}",
    # With a scheme and a host.
    "http://localhost/v2/{r}/manifests/{t}", "http://elsewhere/v2/{r}/manifests/{t}",
    "http://elsewhere//v2/{r}/manifests/{t}", "https://localhost/v2/{r}/manifests/{t}",
    "HTTP://u:p@localhost:1/v2/{r}/manifests/{t}", "http:/v2/{r}/manifests/{t}", "http:v2/{r}/manifests/{t}",
    "unix:///v2/{r}/manifests/{t}", "http:///v2/{r}/manifests/{t}", "http://localhost\\v2/{r}/manifests/{t}",
    "v2/{r}/manifests/{t}", "*/v2/{r}/manifests/{t}", "?/v2/{r}/manifests/{t}", "",
]  # fmt: skip

# Methods of a write to a plain target: what only looks like one, and what somebody might take for one.
METHODS = ["put", "Put", "PUT\t", "PUT ", " PUT", "POST", "PATCH", "GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "COPY",
           "MOVE", "PROPFIND", "PUT,GET", "PUT\x00", "delete", "PURGE"]  # fmt: skip

# Headers that some server or framework takes for another method, address, host or identity.
CLAIMS = [
    "X-HTTP-Method-Override: PUT", "X-HTTP-Method: PUT", "X-Method-Override: PUT", "X-Original-URL: {m}",
    "X-Rewrite-URL: {m}", "X-Original-URI: {m}", "X-Forwarded-Uri: {m}", "X-Forwarded-Path: {m}",
    "X-Forwarded-Prefix: {m}", "X-Script-Name: {m}", "Script-Name: {m}", "SCRIPT_NAME: {m}", "PATH_INFO: {m}",
    "X-Accel-Redirect: {m}", "X-Sendfile: {m}", "X-Reproxy-URL: http://localhost{m}", "Location: {m}",
    "Destination: {m}", "Forwarded: for=127.0.0.1;proto=https;host=registry.sock", "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: registry.sock", "X-Forwarded-Server: registry.sock", "X-Forwarded-Proto: https",
    "X-Real-IP: 127.0.0.1", "X-Client-IP: 127.0.0.1", "X-Forwarded-User: :console", "Remote-User: :console",
    "REMOTE_USER: :console", "X-Remote-User: :console", "Via: 1.1 edge", "Max-Forwards: 0",
    "Connection: X-Forwarded-For, X-Forwarded-Proto, Host, Authorization", "Connection: close, Content-Length",
    "Connection: Transfer-Encoding", "Keep-Alive: timeout=99", "Proxy-Connection: keep-alive", "TE: trailers, chunked",
    "Trailer: Host, Authorization, Content-Length",
]  # fmt: skip

HOSTS = ["registry.sock", "console-0.sock", "127.0.0.1:1", "localhost{m}", "localhost?x={m}", "x@localhost",
         "evil.example",
         "localhost, evil", "[::1]", "", "localhost\x00", "unix//registry.sock"]  # fmt: skip

# What stands between the head of a request and another one that is hidden in its body: ``{n}`` is the length of that,
# ``{x}`` the same in hexadecimal digits, ``{h}`` the hidden request itself. Where the end of the first one is, must be
# the same for all programs on the way (RFC 9112, 6 and 11.2).
FRAMES = [
    # Both lengths.
    "Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{h}",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{h}",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{x}\r\n{h}\r\n0\r\n\r\n",
    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n{x}\r\n{h}\r\n0\r\n\r\n",
    # Codings that one program knows and another does not.
    *(
        f"{line}\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{{h}}"
        for line in (
            "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\x0bchunked",
            "Transfer-Encoding:\tchunked", "Transfer-Encoding: chunked\t", "Transfer-Encoding: \x00chunked",
            "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked",
            "Transfer-Encoding: CHUNKED",
            "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: 'chunked'",
            "Transfer-Encoding: identity", "Transfer-Encoding:", "Transfer_Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
            " Transfer-Encoding: chunked", "X: y\r\n Transfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked",
            "X: y\rTransfer-Encoding: chunked", "Transfer-Encoding\n: chunked", "Transfer-Encoding:\r\n chunked",
            "Transfer-Encoding: chunk\xf6d", "\x00Transfer-Encoding: chunked",
        )
    ),
    # Lengths.
    *(
        f"{line}\r\n\r\n{{h}}"
        for line in (
            "Content-Length: 0", "Content-Length: +0", "Content-Length: -1", "Content-Length: 0x0",
            "Content-Length: 0,0",
            "Content-Length: 0, {n}", "Content-Length: 0\r\nContent-Length: {n}", "Content-Length: {n}",
            "Content-Length: {n}\r\nContent-Length: 0", "Content-Length: {n}\r\nContent-Length: {n}",
            "Content-Length: 0{n}", "Content-Length: {n}.0", "Content-Length: 1e2", "Content-Length: {n}_0",
            "Content-Length : 0", "Content_Length: {n}", "Content-Length: \x0b0", "Content-Length:",
            "Content-Length: {n};",
            "Content-Length: 99999999999999999999", "Content-Length: 18446744073709551616", "Content-Length:\r\n {n}",
            "X: y\nContent-Length: {n}", "Content-Length: {n}\x00", "X-No-Length: 1",
        )
    ),
    # Chunks.
    *(
        f"Transfer-Encoding: chunked\r\n\r\n{words}"
        for words in (
            "0\r\n\r\n{h}", "0\n\n{h}", "0\r\r{h}", "0;x\r\n\r\n{h}", "0;\n\r\n\r\n{h}", "0;a=\"\r\n\r\n{h}",
            "00000000000000000\r\n\r\n{h}",
            "-1\r\n\r\n{h}", "+0\r\n\r\n{h}", "0x0\r\n\r\n{h}", " 0\r\n\r\n{h}", "0 \r\n\r\n{h}", "\r\n0\r\n\r\n{h}",
            "g\r\n\r\n{h}",
            "1\r\nZ\r\n0\r\n\r\n{h}", "1\r\nZZ\r\n0\r\n\r\n{h}", "1\r\nZ0\r\n\r\n{h}", "1;\nZ\r\n0\r\n\r\n{h}",
            "1 \r\nZ\r\n0\r\n\r\n{h}",
            "1\nZ\n0\n\n{h}", "10000000000000000\r\n\r\n{h}", "ffffffffffffffff\r\n{h}", "100000000\r\n{h}",
            "{x}\r\n{h}\r\n0\r\n\r\n",
            "{x}\r\n{h}", "{x}\r\n{h}0\r\n\r\n", "0\r\nContent-Length: {n}\r\n\r\n{h}",
            "0\r\nTransfer-Encoding: chunked\r\n\r\n{h}",
            "0\r\nX y\r\n\r\n{h}", "0\r\n: x\r\n\r\n{h}", "0\r\n\n{h}", "0\r\n{h}", "1_0\r\n{h}", "0;{h}", "",
        )
    ),
    # Other protocols on the same connection.
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n{h}",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n{h}",
    "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n{h}",
    "Expect: 100-continue\r\nContent-Length: {n}\r\n\r\n{h}", "Expect: x\r\nContent-Length: {n}\r\n\r\n{h}",
    "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n{h}",
    # Header fields that hide the body's length from the next program.
    "Connection: Content-Length\r\nContent-Length: {n}\r\n\r\n{h}",
    "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n{x}\r\n{h}\r\n0\r\n\r\n",
    "Content-Encoding: gzip\r\nContent-Length: {n}\r\n\r\n{h}",
    "Host: elsewhere\r\nContent-Length: {n}\r\n\r\n{h}", "Range: bytes=0-0\r\nContent-Length: {n}\r\n\r\n{h}",
    "NoColon\r\nContent-Length: {n}\r\n\r\n{h}", ": x\r\nContent-Length: {n}\r\n\r\n{h}",
]  # fmt: skip

# First lines of what is around the hidden request: to the registry, the cache, the gate, and pages.
AROUND = ["POST /v2/{r}/blobs/uploads/ HTTP/1.1", "PATCH /v2/{r}/blobs/uploads/1 HTTP/1.1", "GET /v2/ HTTP/1.1",
          "GET /v2/{r}/manifests/v1 HTTP/1.1", "PUT /v2/{r}/manifests/{t} HTTP/1.1", "GET /v2/_catalog HTTP/1.1",
          "POST /token/ HTTP/1.1", "GET /healthz HTTP/1.1", "GET /v2/dockerhub/library/x/tags/list HTTP/1.1",
          "HEAD /v2/ HTTP/1.1", "POST /v2/{r}/blobs/uploads/ HTTP/1.0"]  # fmt: skip

# First lines with another version, or none.
VERSIONS = ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/1.1 ", " HTTP/1.1", "http/1.1", "HTTP/1.1\t", "",
            "HTTP/1.1\r\nHost: localhost\r\n\r\nPUT {m} HTTP/1.1", "HTTP/1", "HTTP/1.1.1", "HTTP/11"]  # fmt: skip

# Header fields of HTTP/2 in place of, or beside, the usual ones (RFC 9113, 8.2 and 8.3): programs that translate to
# HTTP/1.1 must not let them become other lines.
FIELDS = [
    {},
    {":path": "/v2/ HTTP/1.1\r\nHost: localhost\r\n\r\nPUT {m}"},
    {":path": "/v2/{r}/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\nPUT {m}"},
    {":path": "/v2/\nPUT {m}"},
    {":path": "/v2/{r}/blobs/uploads/1#{m}"},
    {":method": "PUT {m} HTTP/1.1\r\nX: "},
    {":method": "PUT {m}"},
    {":method": "GET", "x-http-method-override": "PUT"},
    {":scheme": "http://localhost{m}?"},
    {":scheme": "unix"},
    {":authority": "localhost{m}?"},
    {":authority": "registry.sock"},
    {":authority": "localhost\r\nX: y"},
    {"host": "registry.sock"},
    {"transfer-encoding": "chunked"},
    {"content-length": "0"},
    {"content-length": "1"},
    {"content-length": "99999"},
    {"connection": "content-length"},
    {"upgrade": "h2c"},
    {"x": "y\r\nTransfer-Encoding: chunked"},
    {"x": "y\r\n\r\nPUT {m} HTTP/1.1\r\nHost: localhost\r\n\r\n"},
    {"x: y\r\nz": "y"},
    {"Transfer-Encoding": "chunked"},
    {"x\x00": "y"},
    {":protocol": "websocket"},
    {":method": "CONNECT", ":protocol": "websocket"},
    {":path": "*"},
    {":path": ""},
]  # fmt: skip
