"""Addresses of signing in and of the account."""

from django.conf import settings
from django.contrib.auth import views as auth
from django.urls import path
from django.views.generic import RedirectView

from console.accounts import views, views_tokens
from console.accounts.letters import letters

# Django's views would take other methods for one of these, or tell what they take.
FORM = {"http_method_names": ["get", "head", "post"]}
PAGE = {"http_method_names": ["get", "head"]}

urlpatterns = [
    # The administration's doors are ours, too: there a guess counts as elsewhere.
    path("admin/login/", views.admin_sign_in, name="admin-sign-in"),
    path(
        "admin/password_change/",
        RedirectView.as_view(pattern_name="password_change", **PAGE),
        name="admin-password-change",
    ),
    path("sign-in/", views.SignIn.as_view(**FORM), name="sign-in"),
    path("sign-out/", auth.LogoutView.as_view(http_method_names=["post"]), name="sign-out"),
    path("account/", views.account, name="account"),
    path("account/tokens/", views_tokens.listing, name="access-tokens"),
    path("account/tokens/-/create/", views_tokens.create, name="access-token-create"),
    path("account/tokens/<int:pk>/-/revoke/", views_tokens.revoke, name="access-token-revoke"),
    path("account/password/", views.ChangePassword.as_view(**FORM), name="password_change"),
    path(
        "account/password/done/",
        auth.PasswordChangeDoneView.as_view(template_name="accounts/password_change_done.html", **PAGE),
        name="password_change_done",
    ),
    path(
        "account/reset/",
        auth.PasswordResetView.as_view(
            template_name="accounts/password_reset.html",
            email_template_name="accounts/password_reset_email.txt",
            subject_template_name="accounts/password_reset_subject.txt",
            # The console's own address, whatever address it was asked at.
            extra_email_context=dict(zip(("protocol", "domain"), settings.CONSOLE_URL.split("://"), strict=True)),
            token_generator=letters,
            **FORM,
        ),
        name="password_reset",
    ),
    path(
        "account/reset/sent/",
        auth.PasswordResetDoneView.as_view(template_name="accounts/password_reset_done.html", **PAGE),
        name="password_reset_done",
    ),
    path(
        "account/reset/<uidb64>/<token>/",
        auth.PasswordResetConfirmView.as_view(
            template_name="accounts/password_reset_confirm.html", token_generator=letters, **FORM
        ),
        name="password_reset_confirm",
    ),
    path(
        "account/reset/complete/",
        auth.PasswordResetCompleteView.as_view(template_name="accounts/password_reset_complete.html", **PAGE),
        name="password_reset_complete",
    ),
]
