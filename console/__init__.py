"""The console: the Django project of My Images. Each folder is a room; docs/architecture.md lists them."""
