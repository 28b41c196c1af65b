"""One machine, one command: embedded PostgreSQL, registry, gunicorn and worker under one supervisor."""
