"""Hints, rejected events, reconciliations and pull counts."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Hint(models.Model):
    """A tag to sync: one row for a tag, however many notifications there were.

    ``tag`` is a digest for a manifest that was pushed or deleted without a tag; tags have no colon.
    ``version`` is an optimistic lock: each notification increments it, so that one that arrives during the sync is not
    lost. ``alone`` is set when the hint is left to the job of its repository.
    """

    repository = models.CharField(_("repository"), max_length=255)
    tag = models.CharField(_("tag or digest"), max_length=140)
    pushed_at = models.DateTimeField(_("pushed"), null=True)
    pushed_by = models.CharField(_("pushed by"), max_length=64, blank=True, default="")
    digest = models.CharField(_("digest"), max_length=140, blank=True, default="", help_text=_("What was pushed"))
    version = models.PositiveIntegerField(default=1)
    alone = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("hint")
        verbose_name_plural = _("hints")
        constraints = [models.UniqueConstraint(fields=["repository", "tag"], name="hint_unique")]
        indexes = [models.Index(fields=["id"], condition=models.Q(alone=False), name="hint_together")]

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


class SeenEvent(models.Model):
    """ID of a counted event, so that it is not counted twice: the registry resends it if our response was lost."""

    id = models.CharField(_("event"), max_length=64, primary_key=True)
    seen_at = models.DateTimeField(_("seen"), auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("counted event")
        verbose_name_plural = _("counted events")

    def __str__(self) -> str:
        return self.id


class Activity(models.Model):
    """A push or a pull event that is stored, but not yet added to the counts."""

    repository = models.CharField(_("repository"), max_length=255)
    tag = models.CharField(_("tag"), max_length=128, blank=True)
    digest = models.CharField(_("digest"), max_length=140, blank=True)
    pull = models.BooleanField(_("pull"), help_text=_("Otherwise a push"))
    at = models.DateTimeField(_("at"))
    notified_at = models.DateTimeField(_("notified"), auto_now_add=True)

    class Meta:
        verbose_name = _("activity")
        verbose_name_plural = _("activities")

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag or self.digest}"


class UnusableEvents(models.Model):
    """Number of rejected events of a day, by reason."""

    class Reason(models.TextChoices):
        UNREADABLE = "unreadable", _("not a list of events")
        MALFORMED = "malformed", _("event without required fields")
        UNKNOWN = "unknown", _("unknown action")

    day = models.DateField(_("day"))
    reason = models.CharField(_("reason"), max_length=10, choices=Reason.choices)
    count = models.PositiveBigIntegerField(_("count"), default=0)

    class Meta:
        verbose_name = _("rejected events")
        verbose_name_plural = _("rejected events")
        constraints = [models.UniqueConstraint(fields=["day", "reason"], name="unusable_once_a_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.reason}: {self.count}"


class Reconcile(models.Model):
    """A run of the reconcile. The repositories that are left to compare are in ``ReconcileItem``."""

    class State(models.TextChoices):
        COLLECTING = "collecting", _("Listing repositories")
        RUNNING = "running", _("Checking repositories")
        ASKING = "asking", _("Waiting for a decision")
        DONE = "done", _("Done")

    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.COLLECTING)
    whole = models.BooleanField(_("all repositories"), default=True)
    adopt_for = models.CharField(_("adopt for"), max_length=12, blank=True, default="")
    total = models.PositiveIntegerField(_("repositories"), default=0)
    done = models.PositiveIntegerField(_("checked"), default=0)
    counts = models.JSONField(_("result"), default=dict)
    problem = models.CharField(_("problem"), max_length=300, blank=True, default="")

    class Meta:
        verbose_name = _("index check")
        verbose_name_plural = _("index checks")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["collecting", "running", "asking", "done"]), name="reconcile_state"
            ),
            # One unfinished run over everything at a time.
            models.UniqueConstraint(
                fields=["whole"],
                condition=models.Q(whole=True, state__in=["collecting", "running"]),
                name="reconcile_one_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} {self.done}/{self.total}"


class ReconcileItem(models.Model):
    """A repository that a reconcile still has to compare."""

    reconcile = models.ForeignKey(Reconcile, on_delete=models.CASCADE, related_name="items")
    repository = models.CharField(_("repository"), max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reconcile", "repository"], name="reconcile_item_once")]

    def __str__(self) -> str:
        return self.repository
