"""Somebody in each role, and something of everything, all of it the owner's; asked one request at a time."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.cookies import SimpleCookie
from urllib.parse import quote

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from console.access.roles import Role
from console.access_tokens import services as access_tokens
from console.accounts import email_changes, email_links
from console.accounts.models import Account
from console.accounts.password_reset_email import reset_tokens
from console.imports.models import Transfer
from console.membership.models import HandOver, Invitation
from console.official_images.models import OfficialImage
from console.repositories import failures
from console.repositories.models import Copy, WorkFailure
from console.service_accounts import services as service_accounts
from console.token_server.models import Login
from tests.security.answers import PART, ROLES
from tests.support.factories import (
    PASSWORD,
    AccountFactory,
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    ManifestFactory,
    NamespaceFactory,
    TeamFactory,
)
from tests.support.site_rows import INDEX, World

# What is written for its own sake. All other tables count.
BOOKKEEPING = {"django_session", "guessing_mark"}
# The administration's own routes: one of some words, and the last one, for whatever is nothing else.
_ONE_OF = re.compile(r"\^\(\?P<\w+>(\w+)\|[\w|]+\)/\$")
_ANYTHING = r"(?P<url>.*)$"
# Within a transaction PostgreSQL counts each row that is written, those too that are rolled back later.
_WRITES = """
    SELECT relname, written FROM pg_class, LATERAL (
        SELECT pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid)
               + pg_stat_get_xact_tuples_deleted(oid) AS written
    ) AS counted
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND written > 0
"""


def writes():
    """How many rows of each table were written in this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITES)
        return dict(cursor.fetchall())


def content(table):
    """A table's rows as one text."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT md5(string_agg(row::text, chr(10) ORDER BY row::text)) FROM "{table}" AS row')
        return cursor.fetchone()[0]


@contextmanager
def undone():
    """Whatever happens inside is rolled back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class Words(dict):
    """What words stand for; ``row_images_tag`` is the key of a row of that model."""

    def __missing__(self, word):
        _row, app, model = word.split("_")
        chosen = {"account": {"name": "Owner"}, "image": {"full_name": "team/app"}, "namespace": {"name": "team"}}
        rows = apps.get_model(app, model)._default_manager.filter(**chosen.get(model, {})).order_by("pk")
        self[word] = str(rows.first().pk)
        return self[word]


class Site:
    """Made once for all requests; each of them is rolled back."""

    def __init__(self):
        self.now = timezone.now()
        self.owner = ActivatedAccountFactory(name="Owner", email="owner@example.com")
        other = ActivatedAccountFactory(name="Other", email="other@example.com")
        self.accounts = {
            "new": AccountFactory(name="New"),
            "owner": self.owner,
            "other": other,
            "deactivated": self.owner,
            "staff": ActivatedAccountFactory(name="Staff", is_staff=True),
            "clerk": ActivatedAccountFactory(name="Clerk", is_staff=True),
            "superuser": ActivatedAccountFactory(name="Superuser", is_staff=True, is_superuser=True),
        }
        self.accounts["clerk"].user_permissions.set(Permission.objects.all())
        self.cookies = {role: self._session(role) for role in ROLES}
        self.owner.refresh_from_db()
        self._things()
        self._things_of(other)
        self.client = Client(raise_request_exception=False)

    def _things(self):
        team = NamespaceFactory(owner=self.owner, name="team")
        NamespaceFactory(owner=self.owner, name="spare")
        self._shared(team)
        world = World(self.owner, team)
        world.grow(1)
        small = ImageFactory(namespace=team, name="unstarred-image")
        OfficialImage.objects.create(name="unstarred")
        transfer = Transfer.objects.get(image=world.app)
        failed = Transfer.objects.create(
            image=world.app, tag="failed", repository="library/debian", reference="12", state="failed", requested_by="x"
        )
        copy = Copy.objects.create(
            image=world.app, tag="lost", source="team/app", digest=INDEX, state="failed", requested_by="x"
        )
        failures.give_up(failures.Kind.INDEX, "team/app", "odd", sentence="It cannot be read.")
        uid = urlsafe_base64_encode(force_bytes(self.owner.pk))
        self.words = Words(
            {
                "int:pk": str(self.owner.access_tokens.first().pk),
                "namespace:service": "team",
                "service_token": str(world.robot.account.access_tokens.first().pk),
                "uuid:pk": str(Login.objects.get(account=self.owner).pk),
                "uidb64": uid,
                "token": reset_tokens.make_token(self.owner),
                "letter": f"/account/reset/{uid}/set-password/",
                "namespace:namespace": "team",
                "namespace:name": "team",
                "namespace:team": "team",
                "int:account": str(world.crew.members.order_by("pk")[0].account_id),
                "team_pk": str(world.crew.pk),
                "repository:repository": "team/app",
                "image_at": "/images/team/app/",
                "tag:tag": "v0",
                "digest:digest": INDEX,
                "official:name": "official0",
                "public": world.public.repository,
                "password": PASSWORD,
                "account_id": self.owner.account_id,
                "str:token": "no-link",
                "email_token": email_links.make_token(email_changes.request(self.owner, "new@example.com")),
                "factor": str(Authenticator.objects.filter(user=self.owner).first().pk),
                "identity": str(SocialAccount.objects.filter(user=self.owner).first().pk),
                "image": str(small.pk),
                "copy": str(copy.pk),
                "failure": str(WorkFailure.objects.get(reference="odd").pk),
                "running_transfer": str(transfer.pk),
                "failed_transfer": str(failed.pk),
                "member": str(self.member.pk),
                "shared": "shared",
                "offered": "offered",
                "somebody": ActivatedAccountFactory().account_id,
                "somebody_pk": str(ActivatedAccountFactory().pk),
                "invitation": str(Invitation.objects.get(account=self.owner).pk),
                "own_invitation": str(Invitation.objects.get(invited_by=self.owner).pk),
                "other": str(self.accounts["other"].pk),
                "owner": str(self.owner.pk),
                "other_account_id": self.accounts["other"].account_id,
            }
        )

    def _shared(self, team):
        """A namespace with another owner, one that is offered to the owner, a team and a member."""
        shared = NamespaceFactory(owner=self.owner, name="shared")
        somebody = GrantFactory(namespace=shared, role=Role.OWNER).account
        HandOver.objects.create(namespace=shared, to=somebody, offered_by=self.owner)
        offered = NamespaceFactory(owner=somebody, name="offered")
        HandOver.objects.create(namespace=offered, to=self.owner, offered_by=somebody)
        TeamFactory(name="testers")
        self.member = GrantFactory(namespace=team)

    def _things_of(self, other):
        """What the other account has of the same kinds."""
        namespace = NamespaceFactory(owner=other, name="others")
        self.theirs = ImageFactory(namespace=namespace, name="secret")
        access_tokens.create(other, "theirs", can_push=True)
        Login.objects.create(account=other, version=1, client="theirs")
        service_accounts.create(other, namespace, "ours")

    def manifest_of(self, image):
        """A manifest in an image."""
        return ManifestFactory(image=image)

    def _session(self, role):
        cookies = SimpleCookie()
        if role in self.accounts:
            client = Client()
            client.force_login(self.accounts[role])
            # Somebody who has just shown that it is them, so that pages which ask for that open.
            session = client.session
            session["signin.confirmed"] = time.time()
            session.save()
            cookies[settings.SESSION_COOKIE_NAME] = client.cookies[settings.SESSION_COOKIE_NAME].value
        return cookies

    def fill(self, text, words=None):
        """``{words}`` and an address's parts as what they stand for."""
        known = Words(self.words)
        known.update({word: value.format_map(self.words) for word, value in (words or {}).items()})
        return PART.sub(lambda part: known[part[1]], text).format_map(known)

    def path(self, row, words=None):
        """The address of a row of the table, with other ``words`` in place of some."""
        route = row.route
        if match := _ONE_OF.search(route):
            route = route[: match.start()] + f"{match[1]}/"
        return "/" + self.fill(route.replace(_ANYTHING, "nothing/there"), {**row.words, **(words or {})})

    def form(self, form):
        """A form with its ``{words}`` filled in."""
        return {
            name: [self.fill(one) for one in value] if isinstance(value, list) else self.fill(value)
            for name, value in form.items()
        }

    @contextmanager
    def as_role(self, role):
        """Ask in a role: gives a function for that, which returns an answer and the tables that were written.

        What a request wrote is undone before the next.
        """
        with undone():
            if role == "deactivated":
                # By its row alone, so that nothing else of a deactivation keeps the session out.
                Account.objects.filter(pk=self.owner.pk).update(is_active=False)
            before, mark = writes(), transaction.savepoint()

            def ask(method, path, form=None):
                nonlocal before
                self.client.cookies = SimpleCookie(self.cookies[role])
                data = {"data": self.form(form or {})} if method == "POST" else {}
                response = getattr(self.client, method.lower())(path, **data)
                if response.status_code == 405:
                    return response, set()  # looked at in the end, for all of them together
                after = writes()
                tables = {table for table, number in after.items() if number != before.get(table, 0)}
                if tables:
                    found = {table: content(table) for table in tables}
                    transaction.savepoint_rollback(mark)
                    # What was tried and refused, by a constraint for instance, counts as written and changed nothing.
                    tables = {table for table in tables if content(table) != found[table]}
                before = after
                return response, tables

            yield ask
            assert writes() == before, "a method that is not allowed has written something"


def matches(expected, given):
    """Whether an answer is the one in the table, where ``*`` stands for anything."""
    return fnmatchcase(given, expected.replace("[", "[[]"))


def effect(tables):
    """What was written, as the table of answers has it."""
    return " +" if tables - BOOKKEEPING else " ~" if tables else ""


def in_words(response, tables, path):
    """An answer as the table has it; ``next`` is left out where it is the address asked for."""
    text = str(response.status_code)
    if response.has_header("Location"):
        place, to_be_asked, back = response["Location"].partition("?next=")
        text += f" {place}{to_be_asked}{back.removesuffix(quote(path))}"
    return text + effect(tables)
