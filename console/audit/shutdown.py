"""Shutdown flag, set on SIGTERM. Nothing here needs Django to be set up."""

from __future__ import annotations

import threading

# Set when the process is told to, by which it may still answer for some seconds, and may be killed after these.
over = threading.Event()
