"""Database and keys in one file, and back again: ``manage.py backup`` and ``manage.py restore``."""
