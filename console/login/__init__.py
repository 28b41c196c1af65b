"""Signing in: second factors, passkeys and an identity provider, by django-allauth's parts with pages of our own."""
