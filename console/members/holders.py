"""The rows of the lists of members: who has a role, with search and paging in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.http import QueryDict

from console.access.roles import Role
from console.accounts.models import Account
from console.membership.models import Grant, GrantQuerySet, RoleName, Team, TeamMember
from console.namespaces.models import Namespace
from console.repositories.models import Image
from console.sharing.reasons import Reason, Source, reason_of
from console.sharing.services import grants_on
from console.sharing.words import why
from console.web.paging import page_size

# Members of a team that its row shows.
MOST_OF_A_TEAM = 20
# Roles on single images that the page of a namespace shows.
MOST_ON_IMAGES = 50


@dataclass
class Row:
    """A member of a list: an account or a team, its role, and what the reader may do with it.

    :ivar people: the first members of a team, those that match a search before the others.
    :ivar total: how many members the team has.
    :ivar is_own: whether it is the reader's own role, which the reader may always give up.
    """

    reason: Reason
    is_own: bool = False
    people: list[Account] = field(default_factory=list)
    total: int = 0
    found: bool = False

    @property
    def role(self) -> str:
        """The role's name."""
        return str(RoleName(self.reason.role).label)

    @property
    def rest(self) -> int:
        """How many members of a team are not shown."""
        return self.total - len(self.people)

    @property
    def why(self) -> str:
        """Where the role comes from."""
        return why(self.reason)

    @property
    def on_image(self) -> bool:
        """Whether the role is on one image, and not on the whole namespace."""
        return self.reason.source is Source.IMAGE

    @property
    def name(self) -> str:
        """The name of who has the role."""
        holder = self.reason.account or self.reason.team
        return holder.name if holder is not None else ""


class Holders(Sequence[Any]):
    """Who has a role: the namespace's own account first, then the grants, the highest roles first.

    :param image: with it, also the grants on this image.
    :param text: part of a name of an account, a team or a member of a team, or an Account ID.
    """

    def __init__(self, namespace: Namespace, image: Image | None, text: str) -> None:
        self._grants = _matching(grants_on(namespace, image), text)
        owner = namespace.owner
        shown = not text or text.lower() in owner.name.lower() or text == owner.account_id
        self._first = [Reason(owner, Role.OWNER, Source.OWNER, namespace.name)] if shown else []
        self._total: int | None = None

    def __len__(self) -> int:
        if self._total is None:
            self._total = len(self._first) + self._grants.count()
        return self._total

    def __getitem__(self, at: Any) -> Any:
        """The rows of a slice, as ``Paginator`` takes them; one query."""
        skipped = len(self._first)
        grants = self._grants[max(0, at.start - skipped) : max(0, at.stop - skipped)]
        return self._first[at] + [reason_of(grant, grant.account) for grant in grants]


def _matching(grants: GrantQuerySet, text: str) -> GrantQuerySet:
    if not text:
        return grants
    in_team = TeamMember.objects.filter(team=OuterRef("team"), account__name__icontains=text)
    return grants.filter(
        Q(account__name__icontains=text)
        | Q(account__account_id=text)
        | Q(team__name__icontains=text)
        | Q(Exists(in_team))
    )


def page_of(reader: Account, holders: Holders, query: QueryDict, text: str) -> Page[Row]:
    """The page of a list that the URL selects, as rows; teams with their first members. Four queries at most."""
    page: Page[Any] = Paginator(holders, page_size(query)).get_page(query.get("page"))
    page.object_list = rows_of(reader, page.object_list, text)
    return page


def rows_of(reader: Account, reasons: Iterable[Reason], text: str = "") -> list[Row]:
    """The rows of reasons; teams with their first members. Two queries, none without teams."""
    rows = [Row(one, is_own=one.account == reader) for one in reasons]
    teams = [row.reason.team for row in rows if row.reason.account is None and row.reason.team is not None]
    if not teams:
        return rows
    people, totals = _people_of(teams, text), _totals_of(teams)
    for row in rows:
        if row.reason.account is None and row.reason.team is not None:
            row.people, row.total = people.get(row.reason.team.pk, []), totals.get(row.reason.team.pk, 0)
            row.found = bool(text) and any(text.lower() in one.name.lower() for one in row.people)
    return rows


def _members_of(teams: list[Team]) -> QuerySet[TeamMember]:
    """The members of teams; an account that is a member by hand and by a group counts once."""
    by_hand = TeamMember.objects.filter(team=OuterRef("team"), account=OuterRef("account"), source="hand")
    return TeamMember.objects.filter(team__in=teams).exclude(Q(source="group") & Exists(by_hand)).order_by()


def _people_of(teams: list[Team], text: str) -> dict[int, list[Account]]:
    matching = Case(When(account__name__icontains=text, then=0), default=1) if text else Value(0)
    place = Window(RowNumber(), partition_by=F("team"), order_by=[matching, F("account__name"), F("account")])
    first = _members_of(teams).annotate(place=place).filter(place__lte=MOST_OF_A_TEAM)
    people: dict[int, list[Account]] = {}
    for member in first.select_related("account").order_by("place"):
        people.setdefault(member.team_id, []).append(member.account)
    return people


def _totals_of(teams: list[Team]) -> dict[int, int]:
    return dict(_members_of(teams).values("team").annotate(total=Count("pk")).values_list("team", "total"))


def image_grants(namespace: Namespace, account: Account | None = None) -> GrantQuerySet:
    """The current roles on single images of a namespace, by the image's name.

    :param account: only those of this account's own.
    """
    grants = Grant.objects.current().filter(namespace=namespace, image__isnull=False)
    if account is not None:
        grants = grants.filter(account=account)
    related = ("account__service_account", "team", "image__namespace", "namespace", "granted_by")
    return grants.select_related(*related).order_by("image__name", "-role", "pk")
