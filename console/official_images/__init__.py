"""Docker Hub's official images beside one's own."""
