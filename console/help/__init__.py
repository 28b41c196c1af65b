"""The help: documents for users and administrators, rendered in the console and searchable."""
