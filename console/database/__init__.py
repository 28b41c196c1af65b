"""Django's PostgreSQL backend with prepared statements and pipelines (``base``), and helpers for SQL."""
