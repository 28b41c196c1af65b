"""Theme, time zone and language of an account: how they are chosen, and what pages and e-mails make of them."""

import datetime
import re

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import translation

from console.accounts import email, password_reset_email
from console.accounts.models import Account
from console.accounts.preferences import time_zones, zone_of
from console.audit.models import AuditEvent
from console.audit.services import record
from console.web.templatetags.console import ago, moment
from console.web.time_zones import chosen_zone, written_in
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db
PREFERENCES, THEME = "/account/preferences/", "/account/theme/"
WINTER = datetime.datetime(2026, 1, 5, 23, 30, 15, tzinfo=datetime.UTC)
IN_BERLIN = (
    '<time datetime="2026-01-05T23:30:15+00:00" title="2026-01-05 23:30:15 UTC" data-zoned>2026-01-06 00:30</time>'
)
IN_UTC = '<time datetime="2026-01-05T23:30:15+00:00" title="2026-01-05 23:30:15 UTC">2026-01-05 23:30</time>'


@pytest.fixture
def ann(client):
    account = AccountFactory(name="Ann", email="ann@example.com", created_at=WINTER)
    client.force_login(account)
    return account


def choose(client, **form):
    return client.post(PREFERENCES, {"theme": "system", "time_zone": "browser", "language": "browser", **form})


class TestChoosing:
    def test_all_of_them(self, client, ann):
        assert choose(client, theme="dark", time_zone="Europe/Berlin")["Location"] == "/account/"
        page = text_of(client.get("/account/"))
        assert "Saved your preferences." in page
        assert '<option value="Europe/Berlin" selected>Berlin</option>' in page
        assert re.findall(r'<input type="radio" name="theme" value="(\w+)"[^>]* checked', page) == ["dark"]
        ann.refresh_from_db()
        assert (ann.theme, ann.time_zone, ann.language) == ("dark", "Europe/Berlin", "")
        event = AuditEvent.objects.get(action="account.change")
        assert event.actor == event.target == ann.account_id
        assert event.detail == {"changes": {"theme": ["system", "dark"], "time_zone": ["", "Europe/Berlin"]}}
        choose(client, theme="dark", time_zone="Europe/Berlin")
        assert AuditEvent.objects.filter(action="account.change").count() == 1, "nothing changed"
        choose(client)
        ann.refresh_from_db()
        assert (ann.theme, ann.time_zone) == ("system", "")

    @pytest.mark.parametrize(("form", "field"), [
        ({"theme": "pink"}, "theme"), ({"theme": ""}, "theme"), ({"time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"), ({"time_zone": "Europe/Berlin\x00"}, "time_zone"),
    ])  # fmt: skip
    def test_refused(self, client, ann, form, field):
        response = choose(client, **form)
        assert response.status_code == 422
        assert f'id="id_{field}_errors"' in text_of(response)
        ann.refresh_from_db()
        assert (ann.theme, ann.time_zone) == ("system", "")

    @pytest.mark.parametrize(("column", "value"), [
        ("theme", "pink"), ("theme", ""), ("time_zone", "../etc"), ("time_zone", "/Berlin"), ("language", "EN!"),
    ])  # fmt: skip
    def test_the_database_holds_it(self, ann, column, value):
        with pytest.raises(IntegrityError, match=f"account_{column}"), transaction.atomic():
            Account.objects.filter(pk=ann.pk).update(**{column: value})

    def test_zones_by_region(self):
        choices = dict(time_zones())
        assert list(choices)[:3] == ["browser", "UTC", "Africa"]
        assert ("America/New_York", "New York") in choices["America"]
        assert "Etc" not in choices and len(choices) == 12


class TestTimes:
    def test_in_the_chosen_zone_with_the_exact_utc(self, client, ann):
        assert IN_UTC in client.get("/account/").content.decode()
        choose(client, time_zone="Europe/Berlin")
        assert IN_BERLIN in client.get("/account/").content.decode()
        assert chosen_zone() is None, "for this request alone"
        other = Client()
        other.force_login(AccountFactory(created_at=WINTER))
        assert IN_UTC in other.get("/account/").content.decode()

    def test_rows_that_are_cached_are_not_anothers(self, client):
        """Two accounts, one of which chose a zone, see the same row of the same list."""
        ben = ActivatedAccountFactory()
        ann = ActivatedAccountFactory(time_zone="Asia/Tokyo")
        shown = []
        for account in (ann, ben):
            image = ImageFactory(namespace=NamespaceFactory(owner=account), name="app")
            type(image).objects.update(created_at=WINTER)
            browser = Client()
            browser.force_login(account)
            shown.append(browser.get("/images/").content.decode())
        assert "data-zoned>2026-01-06<" in shown[0]
        assert "data-day>2026-01-05<" in shown[1] and "data-zoned" not in shown[1]

    def test_by_the_rules_of_the_day(self):
        berlin = zone_of(Account(time_zone="Europe/Berlin"))
        with written_in(lambda: berlin):
            assert moment(WINTER) == IN_BERLIN
            assert "data-zoned>2026-07-06 01:30<" in moment(WINTER.replace(month=7))
            assert "UTC" in ago(WINTER), "how long ago is the same everywhere"
        assert moment(WINTER) == IN_UTC

    def test_a_zone_that_is_no_longer_known(self):
        assert zone_of(Account(time_zone="Europe/Atlantis")) is None
        assert zone_of(Account(time_zone="Europe")) is None
        assert zone_of(Account()) is None

    def test_the_first_year(self):
        """Some builders write it; west of Greenwich it would be the year 0."""
        with written_in(lambda: zone_of(Account(time_zone="America/New_York"))):
            assert ">0001-01-01 00:00<" in moment(datetime.datetime(1, 1, 1, tzinfo=datetime.UTC))

    def test_the_administrations_forms_stay_in_utc(self, client):
        boss = AccountFactory(is_staff=True, is_superuser=True, time_zone="Asia/Tokyo")
        client.force_login(boss)
        at = record("image.create", "somewhere/app").at.replace(second=0, microsecond=0)
        page = "/admin/audit/auditevent/"
        before = {"target": "somewhere", "until": f"{at:%Y-%m-%dT%H:%M}"}
        since = {"target": "somewhere", "since": f"{at:%Y-%m-%dT%H:%M}"}
        assert "somewhere/app" in text_of(client.get(page, since))
        assert "somewhere/app" not in text_of(client.get(page, before))


class TestTheme:
    def head(self, client, path="/account/"):
        return client.get(path).content.decode().partition("<head>")[0]

    def test_from_the_first_paint(self, client, ann):
        assert 'class="no-script" data-account-theme="system">' in self.head(client)
        for theme in ("dark", "light"):
            choose(client, theme=theme)
            assert f'class="no-script" data-theme="{theme}" data-account-theme="{theme}">' in self.head(client)
        assert 'class="no-script">' in self.head(Client(), "/sign-in/")

    def test_in_the_administration(self, client):
        client.force_login(AccountFactory(is_staff=True, theme="dark"))
        assert 'data-theme="dark" data-account-theme="dark">' in self.head(client, "/admin/")

    def test_the_switch(self, client, ann):
        assert 'name="theme" value="dark" data-theme-switch' in text_of(client.get("/account/"))
        assert client.post(THEME, {"theme": "dark"}, headers=HTMX).status_code == 204
        assert 'name="theme" value="light" data-theme-switch' in text_of(client.get("/account/"))
        ann.refresh_from_db()
        assert ann.theme == "dark"
        assert AuditEvent.objects.get(action="account.change").detail == {"changes": {"theme": ["system", "dark"]}}

    @pytest.mark.parametrize(("page", "place"), [
        ("http://testserver/images/?q=a", "http://testserver/images/?q=a"), ("", "/account/"),
        ("https://evil.example.com/", "/account/"), ("http://testserver/account/theme/", "/account/"),
        ("javascript:alert(1)", "/account/"),
    ])  # fmt: skip
    @pytest.mark.usefixtures("ann")
    def test_without_script_it_leads_back(self, client, page, place):
        headers = {"Referer": page} if page else {}
        assert client.post(THEME, {"theme": "dark"}, headers=headers)["Location"] == place

    @pytest.mark.parametrize("form", [{}, {"theme": "pink"}, {"theme": ""}])
    def test_there_are_three(self, client, ann, form):
        assert client.post(THEME, form).status_code == 400
        ann.refresh_from_db()
        assert ann.theme == "system"


class TestLanguage:
    """There is one language yet, so that nothing is looked up: with two, which one is activated."""

    @pytest.fixture
    def activated(self, settings, monkeypatch):
        settings.LANGUAGES, settings.USE_I18N = [("en", "English"), ("de", "Deutsch")], True
        languages = []
        monkeypatch.setattr(translation, "activate", languages.append)
        return languages

    def test_nothing_to_choose_with_one(self, client, ann):
        assert "id_language" not in text_of(client.get("/account/"))
        choose(client, language="de")
        ann.refresh_from_db()
        assert ann.language == ""

    def test_pages_in_it(self, client, ann, activated):
        page = text_of(client.get("/account/"))
        assert activated == ["en"], "Django's choice, by the browser"
        assert '<option value="browser" selected>Browser’s language</option>' in page
        choose(client, language="de")
        page = text_of(client.get("/account/"))
        assert activated[-1] == "de"
        assert '<option value="de" selected>Deutsch</option>' in page
        assert choose(client, language="fr").status_code == 422
        ann.refresh_from_db()
        assert ann.language == "de"
        assert AuditEvent.objects.get().detail == {"changes": {"language": ["", "de"]}}

    def test_one_that_pages_no_longer_have(self, client, ann, activated):
        Account.objects.filter(pk=ann.pk).update(language="fr")
        client.get("/account/")
        assert activated == ["en"]

    def test_e_mails_in_it(self, ann, activated, monkeypatch):
        zones, render = [], email.render_to_string

        def rendered(*arguments):
            zones.append(str(chosen_zone()))
            return render(*arguments)

        monkeypatch.setattr(email, "render_to_string", rendered)
        ann.language, ann.time_zone = "de", "Europe/Berlin"
        password_reset_email.send(ann)
        assert len(mail.outbox) == 1
        assert activated[0] == "de" and zones == ["Europe/Berlin", "Europe/Berlin"]
        assert chosen_zone() is None
