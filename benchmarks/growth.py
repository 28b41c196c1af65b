"""Horizontal scaling: a second console and registry, and an estimate for a million pulls an hour.

Two consoles and two registries behind HAProxy, with one PostgreSQL and one storage folder. The reference is one of each
without a proxy. Everything shares this machine's CPUs, so the CPU time of each part for one operation is measured, too:
the estimate is based on it.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import http.client
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.conf import settings
from django.test import Client

from benchmarks import events, installed, tools
from benchmarks.installed import NAMESPACE, PASSWORD, USERNAME
from console.accounts.models import Account
from console.accounts.services import change_registry_password
from console.installation.environment import BASE_DIR
from console.local import gunicorn, health, ports, sockets
from console.local import registry as bundled
from registry_client import DOCKER_MANIFEST
from tests.support.stack import Stack

PULLS_AN_HOUR = 1_000_000
_NEW_PASSWORD = "another-Passphrase-quite-long-3"
_PARTS = ("edge", "console", "postgres", "registry", "worker", "proxy")

_HAPROXY = """
global
    nbthread 2
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""
# A pull requests the manifest by its tag, then each blob.
_WRK = """
local paths = {%s}
local number = 0
function request()
  number = number + 1
  return wrk.format("GET", paths[number %% #paths + 1])
end
"""


@dataclass(frozen=True)
class Figure:
    """Operations per second, and CPU seconds of each part for one operation."""

    rate: float
    cpu: dict[str, float]


class Grown:
    """The product with a second console and registry, and a proxy before one and before two of each."""

    def __init__(self, stack: Stack, folder: Path, stop: ExitStack) -> None:
        self.stack = stack
        self.second = {"registry": ports.free()}
        self.first = {"console": stack.console_port, "registry": stack.registry_port}
        self.proxied = {(name, number): ports.free() for name in self.first for number in (1, 2)}
        # Its sockets are in a folder of its own.
        environment = dataclasses.replace(settings.ENVIRONMENT, data_dir=folder)
        sockets.make_folder(environment)
        self.sockets = sockets.console(environment)
        variables = {**stack.environment, "DJANGO_SETTINGS_MODULE": "console.settings"}
        self.console = stop.enter_context(_process(gunicorn.command(environment), variables))
        configuration = bundled.configuration(settings.ENVIRONMENT, settings.KEYS)
        configuration["http"]["addr"] = f"127.0.0.1:{self.second['registry']}"
        # Only one of the two purges unfinished uploads.
        configuration["storage"]["maintenance"] = {"uploadpurging": {"enabled": False}}
        path = bundled.write_config(folder / "second.yml", configuration)
        program = [str(bundled.find_or_install(tools.CACHE)), "serve", str(path)]
        self.registry = stop.enter_context(_process(program, bundled.clean_environment(os.environ)))
        proxy = folder / "haproxy.cfg"
        proxy.write_text(self._proxy())
        self.proxy = stop.enter_context(_process(["haproxy", "-db", "-f", str(proxy)], dict(os.environ)))
        for path in self.sockets:
            tools.wait(self.console, lambda path=path: health.socket_answers(path, "/healthz", {200}), "the console")  # type: ignore[misc]
        for process, port, path_, code in (
            (self.registry, self.second["registry"], "v2/", 401),
            (self.proxy, self.proxied["console", 2], "healthz", 200),
            (self.proxy, self.proxied["registry", 2], "v2/", 401),
        ):
            _ready(process, f"http://127.0.0.1:{port}/{path_}", code)

    def _proxy(self) -> str:
        text = _HAPROXY
        for (name, number), port in self.proxied.items():
            text += f"listen {name}{number}\n    bind 127.0.0.1:{port}\n    balance roundrobin\n"
            servers = [f"127.0.0.1:{self.first[name]}"]
            if number == 2:
                servers += [f"unix@{path}" for path in self.sockets] if name == "console" else []
                servers += [f"127.0.0.1:{self.second[name]}"] if name in self.second else []
            for at, server in enumerate(servers):
                # The first console's port leads to two processes, and so gets as many requests as two.
                weight = 2 if name == "console" and not at else 1
                text += f"    server s{at} {server} weight {weight}\n"
        return text

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each part so far."""
        found = {name: installed.cpu_of(processes) for name, processes in installed.parts(self.stack).items()}
        found["console"] += installed.cpu_of(installed.family(self.console.pid))
        found["registry"] += installed.cpu_of(installed.family(self.registry.pid))
        found["proxy"] = installed.cpu_of([psutil.Process(self.proxy.pid)])
        return found


@contextmanager
def _process(command: Sequence[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=variables, cwd=BASE_DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _ready(process: subprocess.Popen[bytes], address: str, code: int) -> None:
    tools.wait(process, lambda: tools.answers(address, {code}), address)


def check(grown: Grown, image: installed.Small) -> list[list[str]]:
    """Check that two consoles and registries behave like one; returns the checks and their results.

    :raises RuntimeError: when it does not work.
    """
    repository = image.repository
    headers = events.headers_for([repository])
    a = installed.Pusher(grown.first["registry"], headers)
    b = installed.Pusher(grown.second["registry"], headers)
    rows = []
    a.manifest(image)
    b.request("GET", f"/v2/{repository}/manifests/{image.tag}", Accept=DOCKER_MANIFEST)
    rows.append(["pushed through one registry, pulled through the other", "works"])
    content = os.urandom(4096)
    location = a.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
    octets = {"Content-Type": "application/octet-stream"}
    location = a.request("PATCH", location[location.index("/v2/") :], content[:2048], **octets).headers["Location"]
    location = b.request("PATCH", location[location.index("/v2/") :], content[2048:], **octets).headers["Location"]
    a.request("PUT", f"{location[location.index('/v2/') :]}&digest={installed.digest(content)}")
    rows.append(["an upload begun at one, gone on with at the other, ended at the first", "works"])
    text = ask_token(grown.second["console"], repository, PASSWORD)
    if text is None:
        raise RuntimeError("the second console issues no token")
    installed.Pusher(grown.first["registry"], {"Authorization": f"Bearer {text}"}).request(
        "GET", f"/v2/{repository}/manifests/{image.tag}", Accept=DOCKER_MANIFEST
    )
    rows.append(["a token of the second console at the first registry", "works"])
    account = Account.objects.get(name="Bench")
    for console in grown.first, grown.second:
        ask_token(console["console"], repository, PASSWORD)
    change_registry_password(account, _NEW_PASSWORD)
    for console in grown.second, grown.first:
        if ask_token(console["console"], repository, PASSWORD) is not None:
            raise RuntimeError("a console takes a password that was changed")
        if ask_token(console["console"], repository, _NEW_PASSWORD) is None:
            raise RuntimeError("a console does not take the new password")
    rows.append(["a changed registry password, at both consoles at once", "old refused, new taken"])
    return rows


def basic(password: str) -> str:
    """The header of the account's user name and this password."""
    return "Basic " + base64.b64encode(f"{USERNAME}:{password}".encode()).decode()


def token_path(repository: str) -> str:
    """The path of a token request to pull from ``repository``."""
    return f"/token/?service={settings.REGISTRY_SERVICE}&scope=repository:{repository}:pull"


def ask_token(port: int, repository: str, password: str) -> str | None:
    """A token of the console at ``port``; ``None`` when it refuses."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", token_path(repository), headers={"Authorization": basic(password)})
        answer = connection.getresponse()
        content = answer.read()
        return str(json.loads(content)["token"]) if answer.status == 200 else None
    finally:
        connection.close()


def load(grown: Grown, port: int, paths: Sequence[str], headers: dict[str, str], seconds: float, each: int) -> Figure:
    """Request ``paths`` in turn; an operation is ``each`` of them.

    :raises RuntimeError: when some requests fail.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "get.lua"
        script.write_text(_WRK % ", ".join(json.dumps(path) for path in paths))
        options = ["-t2", f"-c{installed.CLIENTS}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        before = grown.cpu()
        out = subprocess.run(
            ["wrk", *options, *sent, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True
        ).stdout
        after = grown.cpu()
    if "Non-2xx" in out:
        raise RuntimeError(out)
    lines = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line.strip()}
    number = next(int(line.split()[0]) for line in out.splitlines() if " requests in " in line) / each
    cpu = {name: max(0.0, after[name] - before.get(name, 0.0)) / max(1.0, number) for name in _PARTS}
    return Figure(float(lines["Requests/sec:"]) / each, cpu)


def reckon(token: Figure, pull: Figure, event: float, pulls_an_hour: int = PULLS_AN_HOUR) -> list[list[object]]:
    """Estimate the CPU cores of each part for so many pulls an hour, from CPU seconds for each.

    A pull is one token, one manifest with its blobs, and one event.

    :param event: number of database commits for one pull, besides the token, which only reads.
    """
    rate = pulls_an_hour / 3600
    rows: list[list[object]] = [["pulls a second", rate]]
    for name in _PARTS:
        rows.append([f"cores: {name}", rate * (token.cpu[name] + pull.cpu[name])])
    rows.append(["commits of PostgreSQL a second", rate * event])
    return rows


def run(seconds: float) -> None:
    """Measure, check, estimate, print."""
    with ExitStack() as stop:
        stack = stop.enter_context(installed.running())
        folder = Path(stop.enter_context(tempfile.TemporaryDirectory(prefix="my-images-growth-")))
        account = installed.owner()
        grown = Grown(stack, folder, stop)
        repository = f"{NAMESPACE}/app0"
        headers = events.headers_for([repository])
        image = next(installed.small_images(stack.registry_port, headers, [repository], "g"))
        checks = check(grown, image)
        tools.table("Two of each are one", ["what", "result"], checks)
        browser = Client()
        browser.force_login(account)
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"}
        blob = json.loads(image.content)["layers"][0]["digest"]
        pull = [f"/v2/{repository}/manifests/{image.tag}", f"/v2/{repository}/blobs/{blob}"]
        accept = {**headers, "Accept": DOCKER_MANIFEST}
        kinds = {
            "tokens": ("console", [token_path(repository)], {"Authorization": basic(_NEW_PASSWORD)}),
            "list pages": ("console", ["/images/"], cookie),
            "pulls": ("registry", pull, accept),
        }
        figures: dict[str, Figure] = {}
        rows: list[list[object]] = []
        for kind, (part, paths, sent) in kinds.items():
            tools.say(f"{kind} ...")
            places = {
                "one, no proxy (reference)": grown.first[part],
                "one, proxy": grown.proxied[part, 1],
                "two, proxy": grown.proxied[part, 2],
            }
            for place, port in places.items():
                figure = load(grown, port, paths, sent, seconds, len(paths))
                figures.setdefault(kind, figure)
                ratio = figure.rate / (figures[kind].rate or float("nan"))
                rows.append([f"{kind}: {place}", figure.rate, ratio, *(figure.cpu[name] * 1000 for name in _PARTS)])
        tools.table(
            "One and two of each",
            ["what", "a second", "ratio", *(f"{name}, CPU ms" for name in _PARTS)],
            rows,
            [
                f"{installed.CLIENTS} connections. A pull: a manifest by its tag and one small blob, told of by an"
                " event that the console takes in (its processor time is in the row, as far as it kept up). The load"
                " generator shares the processors with all of them: CPU is what scales."
            ],
        )
        tools.table(
            f"On paper: {PULLS_AN_HOUR:,} pulls an hour",
            ["what", "needed"],
            reckon(figures["tokens"], figures["pulls"], 1.0),
            [
                "From the processor time of the reference rows: one token, one manifest, one blob and one event a pull;"
                " more blobs add the registry's part only, and an object store that redirects takes them off it.",
                "Single points: PostgreSQL (a commit for each event), the storage that the registries share, and the"
                " one registry for the console's own calls. A registry tells its events one after another: see"
                " benchmarks.events for what one connection takes.",
            ],
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load, each time")
    given = parser.parse_args(arguments)
    try:
        run(given.seconds)
    finally:
        installed.clean_up()


if __name__ == "__main__":
    main()
