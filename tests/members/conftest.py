"""A namespace with a member of each role, for the tests of its pages."""

import pytest
from django.test import Client

from console.access.roles import Role
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamFactory,
    TeamMemberFactory,
)


class People:
    """The namespace ``payments``, its image ``ledger``, and somebody of each role."""

    def __init__(self):
        self.owner = ActivatedAccountFactory(name="Olga Owner")
        self.namespace = NamespaceFactory(owner=self.owner, name="payments")
        self.image = ImageFactory(namespace=self.namespace, name="ledger")
        self.accounts = {"owner": self.owner, "stranger": ActivatedAccountFactory(name="Sam Stranger")}
        self.grants = {}
        for role in Role:
            word = "co-owner" if role == Role.OWNER else role.name.lower()
            account = ActivatedAccountFactory(name=f"{word.title()} Person")
            self.accounts[word] = account
            self.grants[word] = GrantFactory(namespace=self.namespace, account=account, role=role)
        one = ActivatedAccountFactory(name="Ida Image")
        self.accounts["on-image"] = one
        self.grants["on-image"] = GrantFactory(namespace=self.namespace, image=self.image, account=one)
        self.team = TeamFactory(name="auditors")
        self.accounts["in-team"] = TeamMemberFactory(team=self.team, account__name="Tina Team").account
        self.grants["team"] = GrantFactory(namespace=self.namespace, account=None, team=self.team)

    def client(self, who):
        """A client in which this one is signed in."""
        client = Client()
        client.force_login(self.accounts[who])
        return client


@pytest.fixture
def people(db):
    return People()
