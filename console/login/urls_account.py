"""URLs of sign-out and of the account."""

from django.contrib.auth import views as auth
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.generic import RedirectView

from console.accounts.forms import NewPasswordForm
from console.accounts.password_reset_email import reset_tokens
from console.login import views_account, views_activity
from console.login.views_account import with_passwords

# Django's views handle a PUT like a POST, or answer 405 only to signed-in users.
form = require_http_methods(["GET", "HEAD", "POST"])

urlpatterns = [
    # The administration's sign-in and password pages are ours, too, with the same rate limits.
    path(
        "admin/password_change/",
        require_safe(RedirectView.as_view(pattern_name="password_change")),
        name="admin-password-change",
    ),
    path("sign-out/", require_POST(auth.LogoutView.as_view()), name="sign-out"),
    path("account/", views_account.account, name="account"),
    path("account/activity/", views_activity.activity, name="account-activity"),
    path("account/preferences/", views_account.change_preferences, name="account-preferences"),
    path("account/theme/", views_account.theme, name="account-theme"),
    path("account/name/", views_account.rename, name="account-name"),
    path("account/password/", form(with_passwords(views_account.ChangePassword.as_view())), name="password_change"),
    path(
        "account/password/done/",
        require_safe(
            with_passwords(auth.PasswordChangeDoneView.as_view(template_name="accounts/password_change_done.html"))
        ),
        name="password_change_done",
    ),
    path(
        "account/reset/",
        form(with_passwords(views_account.ResetPassword.as_view())),
        name="password_reset",
    ),
    path(
        "account/reset/sent/",
        require_safe(
            with_passwords(auth.PasswordResetDoneView.as_view(template_name="accounts/password_reset_done.html"))
        ),
        name="password_reset_done",
    ),
    path(
        "account/reset/<uidb64>/<token>/",
        form(
            with_passwords(
                auth.PasswordResetConfirmView.as_view(
                    template_name="accounts/password_reset_confirm.html",
                    token_generator=reset_tokens,
                    form_class=NewPasswordForm,
                )
            )
        ),
        name="password_reset_confirm",
    ),
    path(
        "account/reset/complete/",
        require_safe(
            with_passwords(
                auth.PasswordResetCompleteView.as_view(template_name="accounts/password_reset_complete.html")
            )
        ),
        name="password_reset_complete",
    ),
]
