"""Imports: copies of images from other registries, and of Docker Hub's official images."""
