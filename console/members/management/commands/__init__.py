"""Give and take roles from the command line, and say who has access."""
