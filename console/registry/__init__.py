"""Everything that changes the registry or learns from it: connection, index, deletions, copies."""
