"""What needs attention: sentences for the front page, each with the page where one can act."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db.models import Exists, OuterRef, Sum
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.access import rules
from console.accounts.models import Account
from console.official_images.models import Catalogue
from console.registry.index.models import Reconcile, UnusableEvents
from console.web.templatetags.console import number

if TYPE_CHECKING:
    from console.administration.overview import Overview

_CHECKS_EVERY = datetime.timedelta(hours=2)
_MOST_COUNTED = 1000


@dataclass(frozen=True)
class Attention:
    """A sentence, and the address where one can act; empty when there is none."""

    text: str
    link: str = ""
    bad: bool = False


def sentences(overview: Overview) -> list[Attention]:
    """What needs attention of all that the account may see, the most urgent first."""
    found = [
        *_worker(overview),
        *_problems(overview),
        *_failed_jobs(overview),
        *_gate(),
        *_docker_hub(overview),
        *_index_checks(overview),
        *_rejected_events(overview),
        *_second_factors(overview),
    ]
    return sorted(found, key=lambda one: not one.bad)


def _worker(overview: Overview) -> Iterator[Attention]:
    if overview.jobs and not overview.jobs.worker:
        link = overview.links["procrastinate.procrastinatejob"]
        yield Attention(_("The job worker is not running: jobs wait until it is started again."), link, bad=True)


def _problems(overview: Overview) -> Iterator[Attention]:
    if overview.problems and (given_up := overview.problems.total).number:
        text = ngettext("%(number)s problem was given up.", "%(number)s problems were given up.", given_up.number)
        link = f"{overview.links['images.workfailure']}?given_up_at__isempty=0"
        yield Attention(text % {"number": given_up.text}, link, bad=True)


def _failed_jobs(overview: Overview) -> Iterator[Attention]:
    if overview.jobs and (failed := overview.jobs.failed).number:
        text = ngettext(
            "%(number)s job failed in the last day.", "%(number)s jobs failed in the last day.", failed.number
        )
        link = f"{overview.links['procrastinate.procrastinatejob']}?status=failed"
        yield Attention(text % {"number": failed.text}, link, bad=True)


def _gate() -> Iterator[Attention]:
    if not settings.REGISTRY_HAS_GATE:
        text = _(
            "Clients reach the registry without the edge: tag quotas do not hold, new pushes show late, and clients "
            "cannot delete tags. See what else does not hold."
        )
        yield Attention(text, f"{reverse('help-administration', args=['registry'])}#with-or-without-the-edge")


def _docker_hub(overview: Overview) -> Iterator[Attention]:
    if settings.DOCKERHUB_MISSING:
        advice = _("The startup log says what to do. My Images tries to start the cache again at the next start.")
        yield Attention(f"{rules.refuse_docker_hub()} {advice}")
    link = overview.links.get("dockerhub.catalogue")
    if link is None or not settings.DOCKERHUB_ENABLED:
        return
    catalogue = Catalogue.objects.defer("pages").exclude(problem="").first()
    if catalogue is not None:
        yield Attention(catalogue.get_problem_display(), link)


def _index_checks(overview: Overview) -> Iterator[Attention]:
    link = overview.links.get("indexing.reconcile")
    if link is None:
        return
    if Reconcile.objects.filter(state=Reconcile.State.ASKING).exists():
        yield Attention(
            _("An index check would remove a lot and waits for a decision: run “manage.py reconcile”."), link
        )
    last = overview.index_check
    if last is not None and last.started_at < overview.now - _CHECKS_EVERY:
        yield Attention(_("The index has not been checked for more than two hours."), link)


def _rejected_events(overview: Overview) -> Iterator[Attention]:
    link = overview.links.get("indexing.unusableevents")
    if link is None:
        return
    yesterday = overview.now.date() - datetime.timedelta(days=1)
    rejected = UnusableEvents.objects.filter(day__gte=yesterday).aggregate(sum=Sum("count"))["sum"]
    if rejected:
        text = ngettext(
            "%(number)s event of the registry was rejected since yesterday.",
            "%(number)s events of the registry were rejected since yesterday.",
            rejected,
        )
        yield Attention(text % {"number": number(rejected)}, link)


def _second_factors(overview: Overview) -> Iterator[Attention]:
    """Administrators who get in with a password alone. Where a second factor is required, none does."""
    link = overview.links.get("accounts.account")
    if link is None or "mfa.authenticator" not in overview.links or settings.REQUIRE_SECOND_FACTOR:
        return
    factors = Authenticator.objects.filter(user=OuterRef("pk"), type__in=["totp", "webauthn"])
    administrators = Account.objects.filter(is_active=True, is_staff=True).exclude(Exists(factors)).only("password")
    without = sum(one.signs_in_with_password for one in administrators.order_by()[:_MOST_COUNTED])
    if without:
        text = ngettext(
            "%(number)s administrator has no second factor.",
            "%(number)s administrators have no second factor.",
            without,
        )
        yield Attention(text % {"number": number(without)}, f"{link}?is_staff__exact=1&is_active__exact=1")
