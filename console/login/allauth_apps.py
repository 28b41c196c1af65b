"""App configurations of django-allauth, under the names that the administration shows."""

from allauth.mfa.apps import MFAConfig
from allauth.socialaccount.apps import SocialAccountConfig
from django.utils.translation import gettext_lazy as _


class SecondFactorsConfig(MFAConfig):  # type: ignore[misc]
    """Authenticator apps, passkeys and recovery codes."""

    verbose_name = _("Second factors")

    def ready(self) -> None:
        """Name the model as the pages do."""
        super().ready()
        options = self.get_model("Authenticator")._meta
        options.verbose_name, options.verbose_name_plural = _("second factor"), _("second factors")


class SingleSignOnConfig(SocialAccountConfig):  # type: ignore[misc]
    """Identities of an OpenID Connect provider."""

    verbose_name = _("Single sign-on")

    def ready(self) -> None:
        """Name the model as the pages do."""
        super().ready()
        options = self.get_model("SocialAccount")._meta
        options.verbose_name, options.verbose_name_plural = _("identity"), _("identities")
