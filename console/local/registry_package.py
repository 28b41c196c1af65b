"""Download Debian's package of the registry in the version with the fix for CVE-2026-33540.

A Debian release never changes a package's upstream version, and only later releases have the fixed one. So it is
downloaded with our own apt configuration: the machine's mirror and keyring, with sources, lists and cache in a
temporary folder. The system's configuration and lists are not changed, and no root is needed.

``python -m console.local.registry_package SUITE FOLDER PACKAGE...`` downloads other packages in the same way into an
empty folder and prints their paths: for the tests' clients (``.ci/clients``).
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from console.local import linux

PACKAGE = "docker-registry"
# Debian releases that have the fix, the more stable one first.
SUITES = ("forky", "sid")
# Names of the running release in a machine's apt sources, besides its code name.
_ALIASES = {"stable", "oldstable", "testing", "unstable", "sid"}
# A line of "apt-get update --print-uris".
_INDEX = re.compile(r"^'(?P<mirror>[^'\s]+)/dists/(?P<suite>[^/']+)/InRelease'", re.MULTILINE)
KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
)
# Timeout for the fixed package. On a fast network it takes 6 to 10 s, most of it for the list of all packages (10 MB).
ATTEMPT_SECONDS = 90.0
# Timeout for the distribution's own package: longer, because nothing runs without it.
OWN_SECONDS = 600.0
# Timeout for a mirror that accepts a connection and then sends nothing.
_SILENCE_SECONDS = 15
_POLL_SECONDS = 0.1

# The machine's post-update commands are disabled, because they are for its own lists. Signatures are required.
_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Default-Release "";
APT::Get::AllowUnauthenticated "false";
APT::Sandbox::User "root";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "1";
Acquire::http::Timeout "{seconds}";
Acquire::https::Timeout "{seconds}";
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "{folder}/state";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
"""


def has_apt() -> bool:
    """Whether packages can be downloaded and unpacked here."""
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


class Fetcher:
    """One attempt to download the package.

    :param folder: an empty folder for all downloads; the caller removes it.
    :param stopped: whether to abort; called repeatedly.
    """

    def __init__(self, folder: Path, stopped: Callable[[], bool] = lambda: False) -> None:
        self.folder = folder
        self.stopped = stopped
        self._deadline = time.monotonic() + ATTEMPT_SECONDS

    def from_later_release(self, suite: str) -> Path | None:
        """Download the package of another Debian release from ``mirror``; ``None`` on failure.

        :param suite: a code name out of ``SUITES``.
        """
        return next(iter(self.download(suite, PACKAGE)), None)

    def download(self, suite: str, *packages: str) -> list[Path]:
        """Download packages from another Debian release; returns those that are available."""
        keyring = next((f"[signed-by={path}] " for path in KEYRINGS if path.exists()), "")
        place = self.folder / suite
        for part in ("state/lists/partial", "cache/archives/partial"):
            (place / part).mkdir(parents=True)
        (place / "sources.list").write_text(f"deb {keyring}{self.mirror} {suite} main\n")
        configuration = place / "apt.conf"
        configuration.write_text(_CONFIGURATION.format(folder=place, seconds=_SILENCE_SECONDS))
        apt = ["apt-get", "-c", str(configuration)]
        if self._run([*apt, "update"], place) is None:
            return []
        return [
            file
            for package in packages
            if self._run([*apt, "download", package], place) is not None
            for file in place.glob(f"{package}_*.deb")
        ]

    def from_own_release(self) -> Path | None:
        """Download the package of this machine's distribution, with the machine's own apt configuration."""
        if not has_apt():
            return None
        self._deadline = time.monotonic() + OWN_SECONDS
        place = self.folder / "own"
        place.mkdir()
        download = ["apt-get", "-o", "APT::Sandbox::User=root", "download", PACKAGE]
        if self._run(download, place) is None and os.geteuid() == 0:
            self._run(["apt-get", "update"], place)
            self._run(download, place)
        return next(place.glob("*.deb"), None)

    def unpack(self, package: Path) -> tuple[str, Path] | None:
        """Unpack a package without installing it.

        :return: its version and the folder, ``None`` if it is damaged.
        """
        version = (self._run(["dpkg-deb", "--field", str(package), "Version"], self.folder) or "").strip()
        target = package.parent / "unpacked"
        if (
            not version
            or "/" in version
            or self._run(["dpkg-deb", "-x", str(package), str(target)], self.folder) is None
        ):
            return None
        return version, target

    @functools.cached_property
    def mirror(self) -> str:
        """The Debian mirror in this machine's apt sources; empty if it does not run Debian."""
        if not has_apt():
            return ""
        try:
            release = platform.freedesktop_os_release()
        except OSError:
            return ""
        if release.get("ID") != "debian":
            return ""
        known = {release.get("VERSION_CODENAME", ""), *SUITES, *_ALIASES} - {""}
        # Works without root, and also if no list has been downloaded yet.
        listing = self._run(["apt-get", "update", "--print-uris"], self.folder) or ""
        found = (match for match in _INDEX.finditer(listing) if match["suite"] in known)
        return next((match["mirror"] for match in found), "")

    def _run(self, command: Sequence[str], folder: Path) -> str | None:
        """The output of a command; ``None`` if it fails, is aborted or times out. Its child processes are killed."""
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=linux.die_with_parent(signal.SIGKILL),
        ) as process:
            while not self.stopped() and time.monotonic() < self._deadline:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    printed, _ = process.communicate(timeout=_POLL_SECONDS)
                    return printed if process.returncode == 0 else None
            linux.signal_group(process.pid, signal.SIGKILL)
        return None


if __name__ == "__main__":
    fetcher = Fetcher(Path(sys.argv[2]).resolve())
    if not fetcher.mirror:
        sys.exit("No Debian mirror is configured")
    for downloaded in fetcher.download(sys.argv[1], *sys.argv[3:]):
        print(downloaded)
