"""Shared code of all pages: middleware, rendering of pages and partials, pagination, template tags."""
