"""Clients that push and pull images of random bytes: skopeo, and a Docker Engine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Protocol

from benchmarks.registries import Registry, repository
from registry_client import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST
from tests.support.docker_engine import Docker, layer


class Client(Protocol):
    """A client that creates an image, pushes it and pulls it. Only ``push`` and ``pull`` are timed."""

    def make(self, layers: int, size: int) -> int:
        """Create the next image with ``layers`` of ``size`` random bytes; returns the bytes of its blobs."""
        ...

    def log_in(self, registry: Registry) -> None:
        """Store the credentials for the registry."""
        ...

    def load(self, registry: Registry, image: str, tag: str) -> None:
        """Prepare the push of that image."""
        ...

    def push(self, registry: Registry, image: str, tag: str) -> None:
        """Push it."""
        ...

    def forget(self) -> None:
        """Clear caches that would speed up the next pull or push."""
        ...

    def pull(self, registry: Registry, image: str, tag: str) -> None:
        """Pull it."""
        ...


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _config(archives: list[bytes]) -> bytes:
    diffs = {"type": "layers", "diff_ids": [_digest(archive) for archive in archives]}
    return json.dumps({"os": "linux", "architecture": "amd64", "config": {}, "rootfs": diffs}).encode()


def _archives(layers: int, size: int) -> list[bytes]:
    return [layer({f"file{number}": os.urandom(size)}) for number in range(layers)]


class Skopeo:
    """skopeo, between a registry and folders, with a separate cache for each run.

    The layers are compressed already, so that it does not change them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.source = folder, folder / "source"

    def make(self, layers: int, size: int) -> int:
        """Write the image as a folder ("dir:")."""
        shutil.rmtree(self.source, ignore_errors=True)
        self.source.mkdir(parents=True)
        archives = _archives(layers, size)
        total = 0

        def put(content: bytes, media_type: str) -> dict[str, object]:
            nonlocal total
            total += len(content)
            digest = _digest(content)
            (self.source / digest.partition(":")[2]).write_bytes(content)
            return {"mediaType": media_type, "digest": digest, "size": len(content)}

        config = put(_config(archives), DOCKER_CONFIG)
        blobs = [put(gzip.compress(archive, 0, mtime=0), DOCKER_LAYER) for archive in archives]
        manifest = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": blobs}
        (self.source / "manifest.json").write_text(json.dumps(manifest))
        (self.source / "version").write_text("Directory Transport Version: 1.1\n")
        return total

    def log_in(self, registry: Registry) -> None:
        """Write the credentials."""
        registry.write_credentials(self.folder / "auth.json")

    def load(self, registry: Registry, image: str, tag: str) -> None:
        """Do nothing: the folder is the image."""

    def push(self, registry: Registry, image: str, tag: str) -> None:
        """Copy the folder to the registry."""
        self.copy(f"dir:{self.source}", f"docker://{repository(registry, image, tag)}")

    def forget(self) -> None:
        """Remove the cache and the pulled image."""
        for folder in (self.folder / "home", self.folder / "pulled"):
            shutil.rmtree(folder, ignore_errors=True)
        (self.folder / "home").mkdir(parents=True)

    def pull(self, registry: Registry, image: str, tag: str) -> None:
        """Copy the image to a new folder."""
        self.copy(f"docker://{repository(registry, image, tag)}", f"dir:{self.folder / 'pulled'}")

    def copy(self, source: str, target: str) -> None:
        """Run ``skopeo copy``.

        :raises RuntimeError: when it fails, with skopeo's message.
        """
        _wait(self.start(source, target))

    def start(self, source: str, target: str, number: int = 0) -> subprocess.Popen[bytes]:
        """Start ``skopeo copy``.

        :param number: of the concurrent process; each has its own cache.
        """
        home = self.folder / "home" / str(number)
        home.mkdir(parents=True, exist_ok=True)
        variables = {
            **os.environ,
            "HOME": str(home),
            "XDG_DATA_HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            # Otherwise root uses the machine's cache.
            "_CONTAINERS_ROOTLESS_UID": "1000",
            "REGISTRY_AUTH_FILE": str(self.folder / "auth.json"),
        }
        options = ["--quiet", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
        return subprocess.Popen(
            ["skopeo", "--insecure-policy", "copy", *options, source, target],
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def pull_at_once(self, registry: Registry, image: str, tag: str, clients: int) -> None:
        """Run ``clients`` concurrent pulls, each in a process."""
        source, target = f"docker://{repository(registry, image, tag)}", f"dir:{self.folder / 'pulled'}"
        (self.folder / "pulled").mkdir(exist_ok=True)
        running = [self.start(source, f"{target}/{number}", number) for number in range(clients)]
        for process in running:
            _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    error = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(error.decode(errors="replace").strip())


class Engine:
    """A private Docker Engine."""

    def __init__(self, engine: Docker) -> None:
        self.engine = engine
        self.docker = engine.client(engine.folder / "client")
        self.archive = engine.folder / "image.tar"

    def make(self, layers: int, size: int) -> int:
        """Write the image as an archive for ``docker load``."""
        archives = _archives(layers, size)
        config = _config(archives)
        names = [f"{number}/layer.tar" for number in range(layers)]
        manifest = [{"Config": "config.json", "RepoTags": ["made:v1"], "Layers": names}]
        files = {"config.json": config, "manifest.json": json.dumps(manifest).encode()}
        with tarfile.open(self.archive, "w") as out:
            for name, content in {**files, **dict(zip(names, archives, strict=True))}.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                out.addfile(entry, io.BytesIO(content))
        return len(config) + sum(map(len, archives))

    def log_in(self, registry: Registry) -> None:
        """Write the credentials."""
        registry.write_credentials(self.engine.folder / "client" / "config.json")

    def load(self, registry: Registry, image: str, tag: str) -> None:
        """Load the image and tag it."""
        self.docker("load", "--input", str(self.archive))
        self.docker("tag", "made:v1", repository(registry, image, tag))

    def push(self, registry: Registry, image: str, tag: str) -> None:
        """``docker push``."""
        self.docker("push", "--quiet", repository(registry, image, tag))

    def forget(self) -> None:
        """Remove the image from the engine."""
        self.docker("image", "prune", "--all", "--force")

    def pull(self, registry: Registry, image: str, tag: str) -> None:
        """``docker pull``."""
        self.docker("pull", "--quiet", repository(registry, image, tag))
