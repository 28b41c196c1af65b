"""Benchmarks, side by side with alternatives. ``python -m benchmarks`` runs all of them.

Each run has its own data folder, PostgreSQL and registry, on free ports of the loopback address. The folder is
temporary, unless ``BENCHMARK_DATA_DIR`` names one: that is kept, with the seeded data.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import django

from console.local import ports

GIVEN = os.environ.get("BENCHMARK_DATA_DIR", "")
FOLDER = Path(GIVEN or tempfile.mkdtemp(prefix="my-images-benchmarks-")).resolve()
FOLDER.mkdir(parents=True, exist_ok=True)
# The embedded server runs as another user when we are root, and needs search permission on its parent folder.
FOLDER.chmod(0o711)

for _name in ("DATABASE_URL", "REGISTRY_URL", "REGISTRY_ADDRESS", "CONSOLE_URL", "ALLOWED_HOSTS", "EMAIL_HOST"):
    os.environ.pop(_name, None)
# The settings read the environment, so this package must be imported before any model.
os.environ["DATA_DIR"] = str(FOLDER)
os.environ["CONSOLE_PORT"] = str(ports.free())
os.environ["REGISTRY_PORT"] = str(ports.free())
os.environ.setdefault("LOG_LEVEL", "WARNING")
os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
django.setup()
