"""Shutdown flag, set on SIGTERM. Does not need Django to be set up."""

from __future__ import annotations

import threading

# After SIGTERM the process may still answer requests for some seconds, and may then be killed.
over = threading.Event()
