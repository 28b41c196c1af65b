"""Teams: pages, members by hand and by the identity provider's groups."""
