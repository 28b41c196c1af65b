"""Indexes tags in a process of its own, as the worker does, and measures the most memory that it takes.

Run as ``python -m tests.index.memory DATABASE REPOSITORY TAG …``; several repositories are indexed at once, each
by a thread, when they are given as ``REPOSITORY:TAG,TAG``.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

BASE = Path(__file__).resolve().parents[2]
_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most memory that this process has had at a time; ``getrusage`` counts the parent's before an ``exec`` too."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    assert found
    return int(found[1]) << 10


def measure(database: str, work: dict[str, list[str]], action: str = "look") -> dict[str, object]:
    """Do the work in another process: ``before`` and ``peak`` in bytes, and ``errors`` that were raised."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.index.memory", database, action, json.dumps(work)],
        cwd=BASE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "console.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "log": done.stderr}


def _main(database: str, action: str, work: dict[str, list[str]]) -> None:
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    import django

    django.setup()
    # Everything that the worker has loaded before its first job.
    from django.db import connection

    import console.operations.worker  # noqa: F401
    from console.registry import copying
    from console.registry.connection import registry
    from console.registry.deletion import images, names, removal
    from console.registry.index import hints
    from console.registry.index.sync import TagSync
    from console.repositories.models import Image

    errors: list[str] = []

    def run(repository: str, tags: list[str]) -> None:
        try:
            if action == "look":
                reader = TagSync(repository)
                for tag in tags:
                    reader.sync_tag(tag)
                reader.refresh_totals()
            elif action == "follow":
                hints.sync_repository(repository)
            elif action == "follow_all":
                hints.sync_all(lambda name: None)
            elif action == "delete":
                images.run_image_deletion(Image.objects.get(full_name=repository))
            elif action in {"clear", "undo"}:
                # Foreign layers have no link in the repository. To ask for each takes minutes, and no memory.
                real = removal._remove
                removal._remove = lambda name, digests, delete: (
                    [] if delete is removal._delete_blob else real(name, digests, delete)
                )
                if action == "clear":
                    names.clear_repository(repository)
                else:
                    since = datetime.datetime.fromisoformat(tags[0])
                    names.undo_pushes(Image.objects.get(full_name=repository), since)
            elif action == "copy":
                copying.copy_manifest(repository, tags[0], registry().resolve(repository, tags[1]).digest, "copy")
        except Exception as error:
            errors.append(f"{type(error).__name__}: {str(error)[:300]}")
        finally:
            connection.close()

    registry().ping()
    Image.objects.count()
    before = peak_bytes()
    threads = [threading.Thread(target=run, args=one) for one in work.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"before": before, "peak": peak_bytes(), "errors": errors}))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
