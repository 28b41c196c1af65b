"""The index of the registry: notifications in, one tag or one image read again."""
