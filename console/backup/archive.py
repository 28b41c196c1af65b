"""The backup file: a tar with a manifest, the database dump and the keys.

``manifest.json`` is the first member and lists the others with size and SHA-256; ``manifest.sha256`` is its own
checksum. Members that are not listed are not read, and names in the file never become paths. The checksums detect
damage; they are no signature, because an attacker who can write to the file could replace all of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from console.local.problems import Problem

# Increment when earlier versions cannot read the new format.
FORMAT = 1
MANIFEST, MANIFEST_SUM, DUMP = "manifest.json", "manifest.sha256", "database.dump"
_KEY = re.compile(r"keys/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_LARGEST_MANIFEST = 1024 * 1024
_LARGEST_KEY = 1024 * 1024
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Manifest:
    """The backup's manifest.

    :param migrations: the applied migrations, as ``app.name``.
    :param postgres: major version of the PostgreSQL server, and of the ``pg_dump`` that was used.
    :param storage: description of the registry's storage with the images, which are not in the file.
    :param files: size and SHA-256 of each further member.
    """

    made_at: str
    product: str
    migrations: list[str]
    postgres: int
    dumped_by: int
    storage: str
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: int = FORMAT


@contextmanager
def atomically(path: Path) -> Iterator[IO[bytes]]:
    """Atomic write: a temporary file, mode 0600, that is synced and renamed to ``path``, or removed on an error."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Sync a folder to the disk, so that its entries survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(file: IO[bytes], manifest: Manifest, dump: IO[bytes], keys: dict[str, bytes]) -> None:
    """Write the backup.

    :param manifest: complete except ``files``, which is filled in.
    :param dump: the database dump, read from its beginning.
    :param keys: contents of the files in ``keys/``, by name.
    """
    members = {f"keys/{name}": content for name, content in sorted(keys.items())}
    size = dump.seek(0, os.SEEK_END)
    dump.seek(0)
    manifest.files[DUMP] = {"size": size, "sha256": hashlib.file_digest(dump, "sha256").hexdigest()}  # type: ignore[arg-type]
    for name, content in members.items():
        manifest.files[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    encoded = json.dumps(asdict(manifest), indent=1).encode()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, MANIFEST, len(encoded), io.BytesIO(encoded))
        total = hashlib.sha256(encoded).hexdigest().encode()
        _add(tar, MANIFEST_SUM, len(total), io.BytesIO(total))
        for name, content in members.items():
            _add(tar, name, len(content), io.BytesIO(content))
        dump.seek(0)
        _add(tar, DUMP, size, dump)


def _add(tar: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    tar.addfile(member, content)


class Damaged(Problem):
    """The file is not a complete backup."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} cannot be restored: it is damaged or not a backup ({what}). Use another one.")


def read(path: Path, dump_to: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read and verify a backup; the dump is written to ``dump_to``, mode 0600.

    :returns: the manifest, and the contents of the key files by name.
    :raises Problem: when the file does not exist, is damaged, or was made by a later version.
    """
    try:
        with tarfile.open(path, mode="r:") as tar:
            manifest = _manifest(path, tar)
            keys = {
                name.partition("/")[2]: _checked(path, tar, name, manifest, _LARGEST_KEY)
                for name in manifest.files
                if name != DUMP
            }
            _extract(path, tar, manifest, dump_to)
    except (tarfile.TarError, EOFError) as error:
        raise Damaged(path, f"it cannot be read as a tar file ({error})") from None
    except FileNotFoundError:
        raise Problem(f"There is no file {path}.") from None
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}.") from None
    return manifest, keys


def _manifest(path: Path, tar: tarfile.TarFile) -> Manifest:
    encoded = _member(path, tar, MANIFEST, _LARGEST_MANIFEST)
    if _member(path, tar, MANIFEST_SUM, 64).decode("ascii", "replace") != hashlib.sha256(encoded).hexdigest():
        raise Damaged(path, "the checksum of its manifest is wrong")
    try:
        content = json.loads(encoded)
        if content["format"] > FORMAT:
            raise Problem(
                f"{path} was made by My Images {content['product']}, in a format that this version does not "
                "know. Install that version or a later one, then try again."
            )
        manifest = Manifest(**{name: content[name] for name in Manifest.__dataclass_fields__})
        named = all(name == DUMP or _KEY.fullmatch(name) for name in manifest.files)
    except (ValueError, KeyError, TypeError):
        raise Damaged(path, "its manifest is invalid") from None
    if not named or DUMP not in manifest.files:
        raise Damaged(path, "its manifest lists files that do not belong to a backup")
    return manifest


def _member(path: Path, tar: tarfile.TarFile, name: str, largest: int) -> bytes:
    file = _open(path, tar, name, largest)
    return file.read()


def _open(path: Path, tar: tarfile.TarFile, name: str, largest: int | None) -> IO[bytes]:
    try:
        member = tar.getmember(name)
    except KeyError:
        raise Damaged(path, f"{name} is missing") from None
    file = tar.extractfile(member) if member.isreg() else None
    if file is None or (largest is not None and member.size > largest):
        raise Damaged(path, f"{name} is not the file it should be")
    return file


def _checked(path: Path, tar: tarfile.TarFile, name: str, manifest: Manifest, largest: int) -> bytes:
    content = _member(path, tar, name, largest)
    if hashlib.sha256(content).hexdigest() != manifest.files[name]["sha256"]:
        raise Damaged(path, f"the checksum of {name} is wrong")
    return content


def _extract(path: Path, tar: tarfile.TarFile, manifest: Manifest, target: Path) -> None:
    seen = hashlib.sha256()
    source = _open(path, tar, DUMP, None)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while block := source.read(_BLOCK):
            seen.update(block)
            file.write(block)
    if seen.hexdigest() != manifest.files[DUMP]["sha256"]:
        raise Damaged(path, f"the checksum of {DUMP} is wrong")
