"""Run several actions concurrently, to provoke races."""

from __future__ import annotations

import threading

from django.db import close_old_connections, connection


def all_at_once(*actions):
    """Run each action in a thread at the same time; returns the exceptions."""
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
