"""What is set and stored on this machine: environment variables, keys, files, what the log leaves out."""
