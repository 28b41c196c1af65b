"""The edge's configuration: what Caddy listens on, and which request goes where (Caddy, "JSON Config Structure").

Every request from outside comes through here. Bytes of images are streamed to and from the registry; requests for the
console are buffered, so that gunicorn's threads never wait for a client (protection against Slowloris).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from console.installation import site as sites
from console.installation.environment import Environment
from console.installation.site import Site
from console.local import authority, edge_errors, edge_log, edge_proxied, edge_registry, edge_static, sockets
from console.web import protocol_errors

# Bytes. Of a request's head; of its first line (a hundred scopes with the longest names are 29,000); of a manifest,
# which the application limits to 4 MiB itself, in its own words; of a form, likewise to 2 MiB; and of a response that
# is taken from gunicorn at once, however slowly the client reads it.
LONGEST_HEAD, LONGEST_LINE = 64 * 1024, 32 * 1024
LONGEST_FORM = LONGEST_MANIFEST = 4 * 1024 * 1024 + 64 * 1024
BUFFERED_RESPONSE = 2 * 1024 * 1024
# Seconds. For a head; for a body and its answer, with the longest body twice as long; for a client that stops reading
# what the console answers, and the registry, where it may be busy with its disk; of a connection without a request.
HEAD_SECONDS = 10.0
BODY_SECONDS, SLOWEST_BODY = 60.0, 32 * 1024  # and bytes per second
CONSOLE_STALL_SECONDS, REGISTRY_STALL_SECONDS = 30.0, 300.0
IDLE_SECONDS = 120.0
# How long a request waits for a service that is being restarted; and how long one that is under way goes on after the
# configuration was loaded again. A stop does not wait for that (``edge.STOP_SECONDS``).
RESTART_SECONDS, RELOAD_SECONDS = 10.0, 3600.0
# Shorter than gunicorn.KEEP_ALIVE_SECONDS.
_KEEP_IDLE_SECONDS = 30.0

# Headers about the client that are not passed on: those behind the edge believe some of them, and others the next
# version might. X-Forwarded-For, -Proto and -Host are set by Caddy, from a trusted proxy's where one is in front.
_CLAIMS = (
    "Forwarded", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Protocol", "X-Forwarded-Server",
    "X-Forwarded-Ssl", "X-Real-Ip",
)  # fmt: skip


@dataclass(frozen=True)
class Address:
    """Where a service listens.

    :ivar dial: in Caddy's notation, ``unix/`` with a path, or host and port.
    """

    dial: str
    tls: bool = False

    @classmethod
    def at(cls, path: Path) -> Address:
        """A Unix socket."""
        return cls(f"unix/{path}")

    @classmethod
    def of(cls, url: str) -> Address:
        """The address in a URL."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return cls(f"{host}:{parts.port or (443 if tls else 80)}", tls)


def configuration(environment: Environment, hosts: Sequence[str], *, dockerhub: bool) -> dict[str, Any]:
    """The whole configuration.

    :param hosts: addresses of the console's port.
    :param dockerhub: whether the cache of Docker Hub's images runs.
    """
    console = _console(environment)
    registry = _registry(environment)
    if dockerhub and environment.dockerhub_folder:
        registry.insert(0, _folder(environment))
    servers = {"console": _server(environment, [_listen(host, environment.console_port) for host in hosts], console)}
    if environment.registry_port_is_open:
        servers["registry"] = _server(environment, [_listen("127.0.0.1", environment.registry_port)], registry)
    if dockerhub:
        port = environment.dockerhub_port
        servers["dockerhub"] = _server(environment, [_listen("127.0.0.1", port)], _dockerhub(environment))
    whole: dict[str, Any] = {
        "admin": {"listen": f"unix/{sockets.edge(environment)}|0600", "config": {"persist": False}},
        "logging": edge_log.logs(environment.data_dir / "log", environment.access_log_mb),
        "storage": {"module": "file_system", "root": str(environment.data_dir / "edge")},
        "apps": {"http": {"grace_period": _duration(RELOAD_SECONDS), "servers": servers}},
    }
    if environment.site is not None:
        _add_site(whole, environment, environment.site, console, registry, dockerhub=dockerhub)
    return whole


def _duration(seconds: float) -> int:
    """Seconds as Go has them, in nanoseconds."""
    return round(seconds * 1_000_000_000)


def _listen(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _server(environment: Environment, listen: Sequence[str], routes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A server with the limits of all of them (RFC 9110, 15.5 for what is said beyond)."""
    server: dict[str, Any] = {
        "listen": list(listen),
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "max_header_bytes": LONGEST_HEAD,
        "read_header_timeout": _duration(HEAD_SECONDS),
        # Off: these would replace those of the routes. A read that ends too late would cancel an upload's request while
        # the registry verifies it.
        "read_idle_timeout": -1,
        "write_idle_timeout": -1,
        "idle_timeout": _duration(IDLE_SECONDS),
        "routes": [_TOO_LONG, _NO_PATH, *routes],
        "errors": {"routes": edge_errors.ROUTES},
    }
    if environment.access_log_mb:
        server["logs"] = {}
    if environment.trusted_proxies:
        server["trusted_proxies"] = {"source": "static", "ranges": list(environment.trusted_proxies)}
        server["trusted_proxies_strict"] = 1
    return server


_TOO_LONG = {
    "match": [{"expression": f"size({{http.request.orig_uri}}) > {LONGEST_LINE}"}],
    "handle": [{"handler": "error", "status_code": "414"}],
    "terminal": True,
}


# A target such as "http:v2/": the services would refuse it in words of their own, or close the connection.
_NO_PATH = {
    "match": [{"expression": "!{http.request.orig_uri.path}.startsWith('/')"}],
    "handle": [{"handler": "error", "status_code": "400"}],
    "terminal": True,
}


def _proxy(addresses: Sequence[Address], **more: Any) -> dict[str, Any]:
    """A handler that passes requests on, and waits for a service that is being restarted.

    Only a request that no service has seen, or one that changes nothing, is sent a second time (Caddy, "try_duration").
    """
    transport: dict[str, Any] = {
        "protocol": "http",
        # Otherwise Caddy would ask for compressed responses, and decompress them.
        "compression": False,
        # The services are on this machine, unless the operator has another registry.
        "network_proxy": {"from": "none"},
        "keep_alive": {"idle_timeout": _duration(_KEEP_IDLE_SECONDS), "max_idle_conns_per_host": 128},
        "versions": ["1.1"],
    }
    if any(address.tls for address in addresses):
        transport["tls"] = {}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": address.dial} for address in addresses],
        "load_balancing": {
            "selection_policy": {"policy": "least_conn"},
            "try_duration": _duration(RESTART_SECONDS),
            "try_interval": _duration(0.05),
        },
        "transport": transport,
        "headers": {"request": {"delete": list(_CLAIMS)}, "response": {"delete": ["Server"]}},
        **more,
    }


# gunicorn's own answers to what it refuses, which name it. All of Django's have this header.
_FROM_GUNICORN = {
    "match": {"status_code": [400, 414, 417, 431, 500, 501], "headers": {"Content-Security-Policy": None}},
    "routes": [{"handle": [{"handler": "error", "status_code": "{http.reverse_proxy.status_code}"}]}],
}


def _to_console(environment: Environment, longest: int) -> list[dict[str, Any]]:
    """The handlers of a request for the console.

    :param longest: bytes of its body that are buffered before gunicorn sees the request. A longer one is refused here:
        gunicorn would answer and close the connection while the edge still sends, and the answer might be lost.
    """
    proxy = _proxy(
        [Address.at(path) for path in sockets.console(environment)],
        # One byte more than is let through: what is longer never counts as read to its end.
        request_buffers=longest + 1,
        response_buffers=BUFFERED_RESPONSE,
        handle_response=[_FROM_GUNICORN],
    )
    if environment.console_url.startswith("https:"):
        # For a hint in the log when a proxy's headers are not believed (``console.web.proxies``).
        said = {"X-Claimed-Proto": ["{http.request.header.X-Forwarded-Proto}"]}
        proxy["headers"]["request"]["set"] = said
    # Without a body, the time to read it would be the time to answer.
    named: list[dict[str, Any]] = [{"header": {name: []}} for name in ("Content-Length", "Transfer-Encoding")]
    bodies = [{"method": ["POST", "PUT", "PATCH", "DELETE"]}, *named]
    limit = {"handler": "timeouts", "read_timeout": _duration(BODY_SECONDS), "read_min_rate": SLOWEST_BODY}
    # The registry would send a notification that is refused again and again.
    sized = [{"not": [{"path": [protocol_errors.NOTIFICATIONS]}]}]
    size = {"handler": "request_body", "max_size": longest}
    return [
        {"handler": "subroute", "routes": [{"match": bodies, "handle": [limit]}, {"match": sized, "handle": [size]}]},
        _stall(CONSOLE_STALL_SECONDS),
        proxy,
    ]


def _ask_console(
    environment: Environment, uri: str, headers: Mapping[str, str], then: Mapping[str, Any]
) -> dict[str, Any]:
    """A handler that sends the console a GET first: with 204 the request goes on, otherwise its client gets the answer.

    :param uri: of the GET, with Caddy's placeholders for parts of the request.
    :param headers: its further headers, likewise.
    :param then: a handler of the request that goes on; it may use the headers of the answer.
    """
    proxy = _proxy(
        [Address.at(path) for path in sockets.console(environment)],
        rewrite={"method": "GET", "uri": uri},
        handle_response=[
            {"match": {"status_code": [204]}, "routes": [{"handle": [then]}]},
            _FROM_GUNICORN,
        ],
    )
    request = proxy["headers"]["request"]
    request["set"] = {name: [value] for name, value in headers.items()}
    request["delete"].append("Expect")
    return proxy


def _stall(seconds: float) -> dict[str, Any]:
    """A handler with a write timeout: the connection is closed if the client reads nothing for ``seconds``."""
    return {"handler": "timeouts", "write_timeout": _duration(seconds), "max_write_chunk": 1024 * 1024}


def _console(environment: Environment) -> list[dict[str, Any]]:
    """The routes of static files, pages, the token endpoint and the registry's notifications."""
    static = edge_static.route(environment.data_dir / "static")
    return [static, {"handle": _to_console(environment, LONGEST_FORM), "terminal": True}]


def _registry(environment: Environment) -> list[dict[str, Any]]:
    """The routes of the registry."""
    proxy = _proxy([Address.at(sockets.registry(environment))])
    if not environment.registry_is_ours:
        proxy = _proxy([Address.of(environment.registry_url)])
        # A proxy in front of it may have several hosts. The client's is in X-Forwarded-Host, which the registry's
        # addresses of uploads follow.
        proxy["headers"]["request"]["set"] = {"Host": [urlsplit(environment.registry_url).netloc.rpartition("@")[2]]}
    gate = _to_console(environment, LONGEST_MANIFEST)
    return edge_registry.routes([_stall(REGISTRY_STALL_SECONDS), proxy], gate, partial(_ask_console, environment))


def _folder(environment: Environment) -> dict[str, Any]:
    """The route of the cache where it is a folder of the registry: it knows its images without the folder."""
    prefix = f"/v2/{environment.dockerhub_folder}/"
    rewrite = {"handler": "rewrite", "path_regexp": [{"find": f"^{prefix}", "replace": "/v2/"}]}
    routes = [{"handle": [rewrite]}, *_dockerhub(environment)]
    return {
        "match": [{"path": [f"{prefix}*"]}],
        "handle": [{"handler": "subroute", "routes": routes}],
        "terminal": True,
    }


def _dockerhub(environment: Environment) -> list[dict[str, Any]]:
    """The routes of the cache of Docker Hub's images."""
    proxy = _proxy([Address.at(sockets.dockerhub(environment))])
    return [{"handle": [_stall(REGISTRY_STALL_SECONDS), proxy], "terminal": True}]


def _add_site(
    whole: dict[str, Any],
    environment: Environment,
    site: Site,
    console: list[dict[str, Any]],
    registry: list[dict[str, Any]],
    *,
    dockerhub: bool,
) -> None:
    """Everything at one address with TLS; plain HTTP is redirected to it."""
    policy = "max-age=31536000"
    routes = [
        # Also for what the registry answers. Deferred, because Django's answers have it as well.
        {
            "handle": [
                {"handler": "headers", "response": {"deferred": True, "set": {"Strict-Transport-Security": [policy]}}}
            ]
        },
        *_site_routes(environment, site, console, registry, dockerhub=dockerhub),
    ]
    redirect = {
        "handler": "static_response",
        "status_code": "308",
        "headers": {"Location": [f"{site.address}{{http.request.uri}}"], "Connection": ["close"]},
    }
    app = whole["apps"]["http"]
    if site.tls == sites.PROXY:
        listen = _listen(edge_proxied.host(environment), site.http_port)
        routes[1:1] = edge_proxied.routes(environment, redirect)
        app["servers"]["site"] = _server(environment, [listen], routes)
        return
    server = _server(environment, [f":{site.port}"], routes)
    server |= {
        "protocols": ["h1", "h2"],
        # Clients that connect to an IP address name no host.
        "tls_connection_policies": [{"default_sni": site.host, "fallback_sni": site.host}],
    }
    app["servers"]["site"] = server
    app["https_port"] = site.port
    if site.http_port:
        app["http_port"] = site.http_port
        app["servers"]["redirect"] = _server(
            environment, [f":{site.http_port}"], [{"handle": [redirect], "terminal": True}]
        )
    whole["apps"] |= _certificates(environment, site, sorted(names(environment, site)))


def names(environment: Environment, site: Site) -> set[str]:
    """The host names that the site's certificate is for."""
    return {site.host, *_own_names(environment, site)}


def _own_names(environment: Environment, site: Site) -> dict[str, str]:
    """Further host names of the site, with what they are for: the registry's and the cache's, where they have one."""
    names = {"dockerhub": environment.dockerhub_address}
    if environment.registry_has_gate:
        names["registry"] = environment.registry_address
    found = {}
    for what, address in names.items():
        parts = urlsplit(f"https://{address}")
        if parts.hostname and parts.hostname != site.host and (parts.port or sites.HTTPS_PORT) == site.port:
            found[parts.hostname] = what
    return found


def _site_routes(
    environment: Environment,
    site: Site,
    console: list[dict[str, Any]],
    registry: list[dict[str, Any]],
    *,
    dockerhub: bool,
) -> list[dict[str, Any]]:
    def under(match: Mapping[str, Any], routes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {"match": [match], "handle": [{"handler": "subroute", "routes": list(routes)}], "terminal": True}

    found = []
    for name, what in _own_names(environment, site).items():
        if what == "registry":
            found.append(under({"host": [name]}, registry))
        elif dockerhub:
            found.append(under({"host": [name]}, _dockerhub(environment)))
    return [*found, under({"path": ["/v2", "/v2/*"]}, registry), *console]


def _certificates(environment: Environment, site: Site, names: Sequence[str]) -> dict[str, Any]:
    """Where the certificate is from; it is renewed without a pause."""
    if site.tls == sites.FILES:
        files = {"certificate": str(site.certificate), "key": str(site.key)}
        return {"tls": {"certificates": {"load_files": [files]}, "disable_ocsp_stapling": True}}
    issuer: dict[str, Any] = {"module": "internal"}
    if site.tls == sites.ACME:
        issuer = {"module": "acme", "ca": site.acme_directory}
        if site.acme_email:
            issuer["email"] = site.acme_email
        challenges: dict[str, Any] = {"tls-alpn": {"disabled": site.port != sites.HTTPS_PORT}}
        challenges["http"] = {"disabled": site.http_port != sites.HTTP_PORT}
        issuer["challenges"] = challenges
    tls = {
        "certificates": {"automate": list(names)},
        "automation": {"policies": [{"subjects": list(names), "issuers": [issuer]}]},
        "disable_ocsp_stapling": True,
    }
    # Who trusts the authority decides that: it is not added to the machine's.
    found: dict[str, Any] = {"name": f"My Images at {site.host}", "install_trust": False}
    if environment.authority_certificate is not None:
        key = authority.key_file(environment)
        found["root"] = {"certificate": str(environment.authority_certificate), "private_key": str(key)}
    return {"tls": tls, "pki": {"certificate_authorities": {"local": found}}}
