"""What the pages of teams show, and to whom."""

import pytest
from django.test import Client

from tests.support.factories import ActivatedAccountFactory, TeamFactory, TeamMemberFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


def page_of(account, path):
    client = Client()
    client.force_login(account)
    return client.get(path)


def test_account_ids_are_for_managers_and_deactivated_members_stay_listed():
    crew = TeamFactory(name="crew")
    manager = TeamMemberFactory(team=crew, is_manager=True).account
    gone = TeamMemberFactory(team=crew, account=ActivatedAccountFactory(name="Gone", is_active=False)).account
    member = TeamMemberFactory(team=crew).account
    for reader, shown in ((manager, True), (member, False)):
        text = text_of(page_of(reader, "/teams/crew/"))
        assert "Gone" in text and "Deactivated" in text
        assert (gone.account_id in text) == shown
        assert ("Add member" in text) == shown
    assert page_of(ActivatedAccountFactory(), "/teams/crew/").status_code == 404
