"""URLs of sign-in and of sign-in methods."""

from django.urls import path
from django.views.decorators.http import require_http_methods

from console.login import views, views_email, views_security

urlpatterns = [
    path("admin/login/", views.administration, name="admin-sign-in"),
    path("sign-in/", require_http_methods(["GET", "HEAD", "POST"])(views.SignIn.as_view()), name="sign-in"),
    path("sign-in/second-factor/", views.second_factor, name="second-factor"),
    path("sign-in/passkey/", views.passkey, name="sign-in-passkey"),
    path("sign-in/link/<str:token>/", views.link, name="sign-in-link"),
    path("sign-in/sso/", views.sso, name="sso"),
    path("sign-in/sso/callback/", views.sso_callback, name="sso-callback"),
    path("account/email/", views_email.change, name="email-change"),
    path("account/email/-/send/", views_email.send, name="email-change-send"),
    path("account/email/-/cancel/", views_email.cancel, name="email-change-cancel"),
    path("account/email/<str:token>/", views_email.confirm, name="email-confirm"),
    path("account/security/", views_security.security, name="security"),
    path("account/security/confirm/", views_security.confirm, name="confirm"),
    path("account/security/app/", views_security.app, name="app"),
    path("account/security/app/picture.svg", views_security.app_picture, name="app-picture"),
    path("account/security/codes/", views_security.recovery_codes, name="recovery-codes"),
    path("account/security/codes/file/", views_security.recovery_codes_file, name="recovery-codes-file"),
    path("account/security/passkeys/-/add/", views_security.passkey_add, name="passkey-add"),
    path("account/security/passkeys/<int:pk>/-/rename/", views_security.passkey_rename, name="passkey-rename"),
    path("account/security/factors/<int:pk>/-/remove/", views_security.factor_remove, name="factor-remove"),
    path("account/security/identities/-/connect/", views_security.identity_connect, name="identity-connect"),
    path("account/security/identities/-/confirm/", views_security.identity_confirm, name="identity-confirm"),
    path(
        "account/security/identities/<int:pk>/-/disconnect/",
        views_security.identity_disconnect,
        name="identity-disconnect",
    ),
]
