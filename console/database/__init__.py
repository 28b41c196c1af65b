"""Django's PostgreSQL backend, with two things of our own: see ``base``."""
