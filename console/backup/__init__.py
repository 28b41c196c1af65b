"""Backup of database and keys in one file, and restore: ``manage.py backup`` and ``manage.py restore``."""
