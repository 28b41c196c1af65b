"""Management of signing in."""
