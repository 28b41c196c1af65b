"""Invitations to a namespace or an image, and sign-up by invitation."""
