"""Reverse proxies side by side as the edge: Caddy, nginx and HAProxy before the same registry and the same gunicorn.

``python -m benchmarks.edges``: tokens, pushes and pulls with skopeo, many concurrent pulls, a large blob, and memory.
The first row of each is the service without a proxy. All of them reach the services by the same Unix sockets. Caddy has
the product's configuration without the gate, the others what is usual for them: streaming for the registry, buffering
for the console. A proxy that is not installed is left out; ``NGINX``, ``HAPROXY`` name their programs.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import http.client
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import psutil
from django.conf import settings
from django.core.management import call_command

from benchmarks import pulls, tokens
from benchmarks.clients import Skopeo
from benchmarks.footprint import pss
from benchmarks.push_pull import Shape
from benchmarks.registries import NAMESPACE, Registry, straight
from benchmarks.seed import FAST
from benchmarks.tools import CACHE, installation, say, stopwatch, table, wait
from benchmarks.wrk import load
from console.installation.environment import BASE_DIR, Environment
from console.local import edge_configuration, gunicorn, health, ports, sockets
from console.local import registry as bundled
from console.local.edge import Edge

ALONE, CADDY, NGINX, HAPROXY = "no proxy", "Caddy", "nginx", "HAProxy"
_MB = 1_000_000
_SHAPES = (Shape(1, 100 * _MB), Shape(10, 10 * _MB), Shape(100, 100_000))
_MANY = Shape(10, 100_000)
_PIECE = 1 << 20
_CONNECTIONS = 16


@dataclasses.dataclass
class Edges:
    """A proxy in front of gunicorn and the registry, or nothing in front of them."""

    name: str
    console_port: int
    registry_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def registry(self) -> Registry:
        """The registry behind it, for the clients."""
        return Registry(self.name, self.registry_port)

    def memory(self) -> float:
        """Megabytes of the proxy's processes (PSS)."""
        if self.process is None:
            return 0.0
        first = psutil.Process(self.process.pid)
        return pss([first, *first.children(recursive=True)])[0]


_NGINX = """
daemon off;
{user}
worker_processes auto;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  large_client_header_buffers 4 32k;
  client_header_timeout 10s;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  upstream console {{ least_conn; {servers} keepalive 64; }}
  upstream registry {{ server unix:{registry}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{console_port};
    client_max_body_size 2m;
    location / {{ proxy_pass http://console; }}
  }}
  server {{
    listen 127.0.0.1:{registry_port};
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_buffering off;
    location / {{ proxy_pass http://registry; }}
  }}
}}
"""
_HAPROXY = """
global
    maxconn 4000
    tune.bufsize 65536
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-request 10s
    option http-keep-alive
    http-reuse always
frontend console
    bind 127.0.0.1:{console_port}
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    default_backend console
backend console
    balance leastconn
    option http-buffer-request
{servers}
frontend registry
    bind 127.0.0.1:{registry_port}
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    default_backend registry
backend registry
    server r unix@{registry}
"""


@contextmanager
def _process(
    command: Sequence[str], variables: dict[str, str] | None = None, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with (log or Path(os.devnull)).open("wb") as output:
        process = subprocess.Popen(
            list(command), cwd=BASE_DIR, env={**os.environ, **(variables or {})}, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _registry(environment: Environment, name: str, socket: Path | None) -> Iterator[None]:
    """The product's registry without authentication, at a port or at a Unix socket, over the same storage."""
    content = bundled.configuration(environment, settings.KEYS)
    del content["notifications"], content["auth"]
    content["storage"]["maintenance"] = {"uploadpurging": {"enabled": False}}
    if socket is not None:
        content = bundled.on_socket(content, socket)
    path = bundled.write_config(environment.data_dir / "registry" / f"{name}.yml", content)
    command = [str(bundled.find_or_install(CACHE)), "serve", str(path)]
    with _process(command, bundled.clean_environment(os.environ)) as process:

        def ready() -> bool:
            if socket is not None:
                return health.socket_answers(socket, "/v2/", {200})
            return health.answers(f"http://127.0.0.1:{environment.registry_port}/v2/", {200})

        wait(process, ready, "the registry")
        yield


@contextmanager
def _gunicorn(environment: Environment, port: int) -> Iterator[None]:
    """gunicorn as in production; at a port it is reached without a proxy."""
    command = gunicorn.command(environment)
    if port:
        first = command.index("--bind")
        command[first:-1] = ["--bind", f"127.0.0.1:{port}"]
    with _process(command) as process:
        paths = sockets.console(environment)

        def ready() -> bool:
            if port:
                return health.answers(f"http://127.0.0.1:{port}/healthz", {200})
            return all(health.socket_answers(path, "/healthz", {200}) for path in paths)

        wait(process, ready, "the console")
        yield


def _commands(
    environment: Environment, folder: Path, values: dict[str, object]
) -> dict[str, tuple[list[str], dict[str, str]]]:
    """The command and the variables of each proxy that is installed."""
    found: dict[str, tuple[list[str], dict[str, str]]] = {}
    own = dataclasses.replace(
        environment, console_port=int(str(values["console_port"])), registry_port=int(str(values["registry_port"]))
    )
    front = Edge(own, straight(edge_configuration.configuration(own, ["127.0.0.1"], dockerhub=False)))
    front.write()
    found[CADDY] = front.command(), front.variables()
    paths = sockets.console(environment)
    if nginx := shutil.which(os.environ.get("NGINX", "nginx")):
        servers = " ".join(f"server unix:{path};" for path in paths)
        file = folder / "nginx.conf"
        # Its processes would be nobody's, who may not use the sockets.
        user = "" if os.geteuid() else "user root;"
        file.write_text(_NGINX.format(folder=folder, servers=servers, user=user, **values))
        found[NGINX] = [nginx, "-p", str(folder), "-c", str(file)], {}
    if haproxy := shutil.which(os.environ.get("HAPROXY", "haproxy"), path=f"{os.environ['PATH']}:/usr/sbin"):
        servers = "\n".join(f"    server c{at} unix@{path}" for at, path in enumerate(paths))
        file = folder / "haproxy.cfg"
        file.write_text(_HAPROXY.format(servers=servers, **values))
        found[HAPROXY] = [haproxy, "-db", "-f", str(file)], {}
    return found


@contextmanager
def contenders(environment: Environment) -> Iterator[list[Edges]]:
    """Run everything during the block: gunicorn and the registry twice, at ports and at sockets, and each proxy."""
    folder = environment.data_dir
    sockets.make_folder(environment)
    with ExitStack() as stack:
        alone = Edges(ALONE, ports.free(), ports.free())
        bare = dataclasses.replace(environment, registry_port=alone.registry_port)
        stack.enter_context(_registry(bare, "port", None))
        stack.enter_context(_registry(environment, "socket", sockets.registry(environment)))
        stack.enter_context(_gunicorn(environment, alone.console_port))
        stack.enter_context(_gunicorn(environment, 0))
        found = [alone]
        for name in (CADDY, NGINX, HAPROXY):
            values = {"console_port": ports.free(), "registry_port": ports.free()}
            given = _commands(environment, folder, {**values, "registry": sockets.registry(environment)})
            if name not in given:
                say(f"{name} is not installed and left out.")
                continue
            command, variables = given[name]
            process = stack.enter_context(_process(command, variables, folder / f"{name}.log"))
            address = f"http://127.0.0.1:{values['console_port']}/healthz"
            wait(process, lambda address=address: health.answers(address, {200}), name)  # type: ignore[misc]
            found.append(Edges(name, values["console_port"], values["registry_port"], process))
        yield found


class Results:
    """Seconds, or operations per second, of each contender and what."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, what: str, name: str, value: float) -> None:
        """One measurement."""
        self.figures[what][name].append(value)

    def timed(self, what: str, name: str, action: Callable[[], object]) -> None:
        """Time an action, after syncing earlier writes to the disk."""
        os.sync()
        with stopwatch() as seconds:
            action()
        self.add(what, name, seconds())

    def print(self) -> None:
        """Print the table: medians, and the ratio of each to the service without a proxy."""
        names = list(next(iter(self.figures.values())))
        rows: list[list[object]] = []
        for what, figures in self.figures.items():
            alone = statistics.median(figures[ALONE])
            for name in names:
                if values := figures[name]:
                    median = statistics.median(values)
                    ratio = f"{median / alone:.2f}" if alone else "-"
                    rows.append([what, name, median, min(values), max(values), ratio])
        table("Proxies", ("What", "proxy", "median", "least", "most", "to no proxy"), rows)


def blob(edges: Edges, size: int, piece: bytes, digest: str) -> tuple[float, float]:
    """Upload a blob in one request, and download it; returns the seconds of both."""
    connection = http.client.HTTPConnection("127.0.0.1", edges.registry_port, timeout=600)
    name = f"{NAMESPACE}/blob-{edges.name.replace(' ', '-').lower()}"
    try:
        connection.request("POST", f"/v2/{name}/blobs/uploads/")
        response = connection.getresponse()
        response.read()
        target = urlsplit(urljoin(f"http://127.0.0.1:{edges.registry_port}/", response.headers["Location"]))
        begun = time.monotonic()
        connection.request(
            "PUT",
            f"{target.path}?{target.query}&digest={digest}",
            (piece for _ in range(size // len(piece))),
            {"Content-Length": str(size), "Content-Type": "application/octet-stream"},
        )
        response = connection.getresponse()
        response.read()
        up = time.monotonic() - begun
        if response.status != http.client.CREATED:
            raise RuntimeError(f"the upload through {edges.name} answers {response.status}")
        begun = time.monotonic()
        connection.request("GET", f"/v2/{name}/blobs/{digest}")
        response = connection.getresponse()
        room, got = bytearray(_PIECE), 0
        while read := response.readinto(room):
            got += read
        down = time.monotonic() - begun
        if got != size:
            raise RuntimeError(f"{got} bytes of {size} came through {edges.name}")
        connection.request("DELETE", f"/v2/{name}/blobs/{digest}")
        connection.getresponse().read()
    finally:
        connection.close()
    return up, down


def measure(found: Sequence[Edges], ask: tokens.Ask, repeat: int, size: int, seconds: int) -> Results:
    """Measure everything, each contender in turn."""
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        skopeo = Skopeo(Path(folder))
        for edges in found:
            results.add("memory at first, MB", edges.name, edges.memory())
        for number in range(repeat):
            for edges in found:
                say(f"{number + 1} of {repeat}: tokens by {edges.name}")
                run = load(f"http://127.0.0.1:{edges.console_port}", [ask.raw], _CONNECTIONS, seconds)
                if run.failed:
                    raise RuntimeError(f"{run.failed} requests failed through {edges.name}")
                results.add("tokens a second", edges.name, run.rate)
                results.add("token p99, ms", edges.name, run.p99)
                results.add("token CPU, ms", edges.name, run.cpu)
            for shape in _SHAPES:
                for edges in found:
                    say(f"{number + 1} of {repeat}: {shape} by {edges.name}")
                    image = f"image-{shape.layers}-{edges.name.replace(' ', '-').lower()}"
                    skopeo.make(shape.layers, shape.size)
                    skopeo.log_in(edges.registry)
                    registry, tag = edges.registry, f"v{number}"
                    results.timed(f"push {shape}, s", edges.name, lambda: skopeo.push(registry, image, tag))  # noqa: B023
                    skopeo.forget()
                    results.timed(f"pull {shape}, s", edges.name, lambda: skopeo.pull(registry, image, tag))  # noqa: B023
                    skopeo.forget()
            for edges in found:
                image = f"many-{edges.name.replace(' ', '-').lower()}"
                if not number:
                    skopeo.make(_MANY.layers, _MANY.size)
                    skopeo.push(edges.registry, image, "v0")
                    skopeo.forget()
                results.add("64 pulls at once, s", edges.name, pulls.at_once(edges.registry, image, "v0", 64)[0])
            piece = os.urandom(_PIECE)
            whole = hashlib.sha256()
            for _ in range(size // len(piece)):
                whole.update(piece)
            for edges in found:
                say(f"{number + 1} of {repeat}: a blob by {edges.name}")
                os.sync()
                up, down = blob(edges, size // len(piece) * len(piece), piece, f"sha256:{whole.hexdigest()}")
                results.add(f"blob of {size / 1e9:g} GB up, s", edges.name, up)
                results.add(f"blob of {size / 1e9:g} GB down, s", edges.name, down)
        for edges in found:
            results.add("memory afterwards, MB", edges.name, edges.memory())
    return results


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edges", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="rounds; the median is shown")
    parser.add_argument("--seconds", type=int, default=5, help="of each run of tokens")
    parser.add_argument("--blob", type=int, default=1000, help="megabytes of the large blob")
    given = parser.parse_args()
    with installation(registry=False, options=FAST):
        call_command("collectstatic", interactive=False, verbosity=0)
        user = tokens.create_users(1)[0]
        ask = tokens.basic(user)
        with contenders(settings.ENVIRONMENT) as found:
            tokens_ready = [ask.raw]
            for edges in found:
                load(f"http://127.0.0.1:{edges.console_port}", tokens_ready, _CONNECTIONS, 1)
            measure(found, ask, given.repeat, given.blob * _MB, given.seconds).print()


if __name__ == "__main__":
    main()
