"""Management of the tokens' keys."""
