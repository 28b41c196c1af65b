"""Navigation of the administration: its groups, and the product's name for each model in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.apps import apps
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _


class Group(NamedTuple):
    """Models that belong together for an administrator, by their labels, in the order shown."""

    key: str
    name: Promise
    models: tuple[str, ...]


GROUPS = (
    Group(
        "accounts",
        _("Accounts"),
        (
            "accounts.account",
            "membership.serviceaccount",
            "accounts.accesstoken",
            "tokens.login",
            "mfa.authenticator",
            "socialaccount.socialaccount",
            "membership.team",
            "membership.teammember",
            "membership.teamgroup",
        ),
    ),
    Group(
        "images",
        _("Images"),
        (
            "namespaces.namespace",
            "namespaces.namespacehold",
            "membership.grant",
            "membership.invitation",
            "images.image",
            "images.tag",
            "transfers.transfer",
            "images.copy",
            "images.imagedeletion",
            "dockerhub.officialimage",
            "dockerhub.catalogue",
        ),
    ),
    Group(
        "operations",
        _("Operations"),
        (
            "images.workfailure",
            "procrastinate.procrastinatejob",
            "indexing.reconcile",
            "indexing.unusableevents",
        ),
    ),
    Group("audit", _("Audit log"), ("audit.auditevent",)),
)
# What stands in no group, such as a model that was registered just now.
_OTHER = Group("other", _("Other"), ())

# Singular and plural, for models whose own names are a library's, or are not what an administrator would say.
NAMES: dict[str, tuple[Promise, Promise]] = {
    "tokens.login": (_("Docker login"), _("Docker logins")),
    "mfa.authenticator": (_("second factor"), _("second factors")),
    "socialaccount.socialaccount": (_("single sign-on identity"), _("single sign-on identities")),
    "dockerhub.catalogue": (_("Docker Hub catalogue"), _("Docker Hub catalogue")),
    "transfers.transfer": (_("import"), _("imports")),
    "procrastinate.procrastinatejob": (_("background job"), _("background jobs")),
    "indexing.reconcile": (_("index check"), _("index checks")),
    "indexing.unusableevents": (_("rejected event"), _("rejected events")),
    "membership.teammember": (_("team member"), _("team members")),
    "audit.auditevent": (_("audit event"), _("audit events")),
}


# The same of fields.
FIELD_NAMES: dict[str, dict[str, Promise]] = {
    "mfa.authenticator": {"created_at": _("created"), "last_used_at": _("last used")},
}


def name_models() -> None:
    """Give the models in ``NAMES``, and the fields, their names, which the administration's pages and messages read.

    Migrations do not see it: they compare what a model's own ``Meta`` says.
    """
    for label, (singular, plural) in NAMES.items():
        options = apps.get_model(label)._meta
        options.verbose_name, options.verbose_name_plural = singular, plural
    for label, names in FIELD_NAMES.items():
        for name, words in names.items():
            apps.get_model(label)._meta.get_field(name).verbose_name = words


def grouped(models: Iterable[dict[str, Any]], home: str) -> list[dict[str, Any]]:
    """The groups, as Django's templates expect applications; those without a model are left out.

    :param models: as ``AdminSite.get_app_list`` has them.
    :param home: the address of the front page, where a group without a page of its own leads.
    """
    left = {model["model"]._meta.label_lower: model for model in models}
    found = []
    for group in GROUPS:
        shown = [left.pop(label) for label in group.models if label in left]
        found.append((group, shown))
    found.append((_OTHER, list(left.values())))
    return [
        {
            "name": group.name,
            "app_label": group.key,
            "app_url": home,
            "has_module_perms": True,
            "models": [{**model, "name": capfirst(model["model"]._meta.verbose_name_plural)} for model in shown],
        }
        for group, shown in found
        if shown
    ]
