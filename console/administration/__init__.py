"""The administration (Django admin): its site, its navigation, and its front page."""
