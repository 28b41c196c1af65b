"""Doing several things in the same moment."""

from __future__ import annotations

import threading

from django.db import close_old_connections, connection


def all_at_once(*actions):
    """Do these in a thread each; what they raised."""
    start, problems = threading.Barrier(len(actions)), []

    def run(action):
        close_old_connections()
        try:
            start.wait(30)
            action()
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return problems
