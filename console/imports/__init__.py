"""Images that come from another registry: Docker Hub's official ones, and any that somebody imports."""
