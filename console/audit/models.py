"""The table of the audit log."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditEvent(models.Model):
    """An audit event. Append-only: a database trigger rejects updates and deletes.

    Migrations add indexes on the words of target, actor and detail (``audit_event_words``), which the search asks, and
    on what is of one account (``console.audit.activity``; in ``console/audit/migrations``).
    """

    at = models.DateTimeField(_("at"), auto_now_add=True)
    actor = models.CharField(_("who"), max_length=64, help_text=_("Account ID, or a part of the system"))
    action = models.CharField(_("action"), max_length=64)
    target = models.CharField(_("target"), max_length=400)
    detail = models.JSONField(_("detail"), default=dict, blank=True)
    address = models.GenericIPAddressField(_("from address"), null=True, blank=True)

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        ordering = ["-at", "-id"]
        # Each filter of the administration, in the order in which it lists.
        indexes = [
            models.Index(fields=["at", "id"], name="audit_by_time"),
            models.Index(fields=["actor", "at", "id"], name="audit_by_actor"),
            models.Index(fields=["action", "at", "id"], name="audit_by_action"),
            models.Index(
                fields=["target", "at", "id"], opclasses=["varchar_pattern_ops", "", ""], name="audit_by_target"
            ),
            models.Index(fields=["address", "at", "id"], name="audit_by_address"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.action} {self.target}"
