"""Sign-in: password, second factors, passkeys and single sign-on, with parts of django-allauth and our own pages."""
