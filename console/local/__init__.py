"""Supervisor for one machine: runs embedded PostgreSQL, registry, gunicorn and worker."""
