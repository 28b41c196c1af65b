"""Template tags of invitations."""
