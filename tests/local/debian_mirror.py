"""A Debian mirror in a folder, with a signing key of its own, for the real apt."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from email.utils import formatdate
from pathlib import Path

# What the code needs to find on the PATH, and what these programs call.
PROGRAMS = """
apt-get apt-config apt-key dpkg dpkg-deb dpkg-query gpgv gpgconf sqv tar gzip xz zstd sh tail cat chmod cmp cp cut
find grep id ls mkdir mktemp mv readlink rm sed sort stat touch
"""
# Tests that use a mirror change the PATH.
_ENVIRONMENT = dict(os.environ)


def _run(command: list[str]) -> str:
    return subprocess.run(command, env=_ENVIRONMENT, check=True, capture_output=True, text=True).stdout


def programs_alone(folder: Path) -> None:
    """A folder for the PATH that has apt and nothing else, whatever is installed on this machine."""
    folder.mkdir(exist_ok=True)
    for name in PROGRAMS.split():
        if found := shutil.which(name):
            (folder / name).symlink_to(found)


class Mirror:
    """Packages ``docker-registry`` by Debian release, signed; ``sources`` is the machine's own apt configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "gnupg"
        self.home.mkdir(parents=True, mode=0o700)
        self.keyring = folder / "keyring.gpg"
        self._gpg("--quick-generate-key", "Mirror <mirror@example.com>", "rsa2048", "sign", "never")
        self._gpg("--output", str(self.keyring), "--export")
        self.configuration = folder / "apt.conf"
        (folder / "sources.list").write_text(f"deb [signed-by={self.keyring}] file:{folder} bookworm main\n")
        self.configuration.write_text(
            f'Dir::Etc::SourceList "{folder}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
            f'Dir::State "{folder}/state";\nDir::Cache "{folder}/cache";\nDir::State::status "/dev/null";\n'
            f'APT::Update::Post-Invoke {{"touch {folder}/hook"; }};\n'
        )
        for part in ("state/lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)

    def close(self) -> None:
        """End the agent that GnuPG has started."""
        _run(["gpgconf", "--homedir", str(self.home), "--kill", "all"])

    def _gpg(self, *arguments: str) -> None:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "--pinentry-mode=loopback", "--passphrase="]
        _run([*command, *arguments])

    def publish(
        self, suite: str, version: str, script: str | None = None, changes: str = "", signed: bool = True
    ) -> None:
        """Make a release that has the package in one version.

        :param script: what its program does, instead of saying its version.
        :param changes: the newest entry of the package's changelog.
        """
        upstream = version.rpartition("-")[0] or version
        tree = self.folder / "build" / f"{suite}-{version}"
        changelog = f"docker-registry ({version}) x; urgency=low\n\n  {changes}\n"
        for path, text in {
            "usr/bin/docker-registry": f"#!/bin/sh\n{script or f'echo registry example.com/distribution {upstream}'}\n",
            "DEBIAN/control": f"Package: docker-registry\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: Nobody <nobody@example.com>\nDescription: a registry\n",
            "usr/share/doc/docker-registry/changelog.Debian": changelog,
        }.items():
            file = tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (tree / "usr/bin/docker-registry").chmod(0o755)
        _run(["gzip", "-f", str(tree / "usr/share/doc/docker-registry/changelog.Debian")])
        package = self.folder / "pool" / f"docker-registry_{suite}_{version}_all.deb"
        package.parent.mkdir(exist_ok=True)
        _run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(package)])
        self._release(suite, (tree / "DEBIAN/control").read_text(), package, signed)

    def _release(self, suite: str, control: str, package: Path, signed: bool) -> None:
        content = package.read_bytes()
        listing = (
            f"{control}Filename: pool/{package.name}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
        ).encode()
        architecture = _run(["dpkg", "--print-architecture"]).strip()
        name = f"main/binary-{architecture}/Packages"
        folder = self.folder / "dists" / suite
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(listing)
        (folder / "Release").write_text(
            f"Origin: Debian\nSuite: {suite}\nCodename: {suite}\nArchitectures: all {architecture}\n"
            f"Components: main\nDate: {formatdate(usegmt=True)}\nSHA256:\n"
            f" {hashlib.sha256(listing).hexdigest()} {len(listing)} {name}\n"
        )
        if signed:
            self._gpg("--output", str(folder / "InRelease"), "--clearsign", str(folder / "Release"))
        else:
            (folder / "InRelease").unlink(missing_ok=True)
