"""Stars, the favorites that they make, and everybody's public images."""
