"""Configuration and secrets of this machine: environment variables, keys, files, log formatting."""
