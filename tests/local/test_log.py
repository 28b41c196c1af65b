"""Whoever writes to the log: a line has a largest length, and no file is written that nobody rotates."""

import io
import logging
import os

import pytest
from django.conf import settings
from django.db import connection

from console.installation.logs import LONGEST_RECORD, WithoutSecrets
from console.local import registry
from console.local.log import LONGEST_LINE, bounded_lines, follow
from tests.environment import ENVIRONMENT, FOLDER


def cut(raw, longest=10):
    return list(bounded_lines(io.BytesIO(raw), longest))


class TestLines:
    @pytest.mark.parametrize("raw", [b"", b"\n", b"one\ntwo\n", b"no end", b"123456789\n", b"1234567890"])
    def test_those_that_fit_stay(self, raw):
        assert b"".join(cut(raw)) == raw

    def test_a_long_one_is_cut_and_says_so(self):
        assert cut(b"1234567890" + b"x" * 25 + b"\nnext\n") == [
            "1234567890 … [25 more bytes left out]".encode(),
            b"next\n",
        ]

    def test_one_without_an_end(self):
        assert cut(b"x" * 5000) == ["xxxxxxxxxx … [4,990 more bytes left out]".encode()]

    def test_no_more_is_asked_for_at_a_time(self):
        class Stream(io.BytesIO):
            def readline(self, size=-1):
                assert 0 < size <= LONGEST_LINE
                return super().readline(size)

        assert len(list(bounded_lines(Stream(b"x" * 1_000_000 + b"\nend\n")))) == 2

    def test_what_a_child_writes(self, capsys):
        read, write = os.pipe()
        with os.fdopen(write, "wb") as child:
            thread = follow(os.fdopen(read, "rb"), "registry")
            child.write(b"a" * 1_000_000 + b"\nthe next\n")
        thread.join(10)
        first, second = capsys.readouterr().out.splitlines()
        assert len(first) < LONGEST_LINE + 100 and first.endswith("more bytes left out]")
        assert second.endswith("the next")


class TestRecords:
    def text(self, message):
        record = logging.LogRecord("console", logging.ERROR, __file__, 1, "%s", (message,), None)
        return WithoutSecrets().format(record)

    def test_a_short_one_stays(self):
        assert self.text("x" * LONGEST_RECORD) == "x" * LONGEST_RECORD

    def test_a_long_one_keeps_its_beginning_and_its_end(self):
        text = self.text("begin " + "x" * 1_000_000 + " end")
        assert text.startswith("begin ") and text.endswith(" end") and "characters left out]" in text
        assert len(text) < LONGEST_RECORD + 100

    def test_what_is_secret_is_left_out_before(self):
        text = self.text("/sign-in/link/" + "s" * 100_000)
        assert text == "/sign-in/link/…"


class TestFiles:
    @pytest.mark.django_db
    def test_the_database_writes_none(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name, setting FROM pg_settings WHERE name IN ('logging_collector', 'log_destination')"
            )
            assert dict(cursor.fetchall()) == {"logging_collector": "off", "log_destination": "stderr"}

    def test_a_container_engine_keeps_none(self, monkeypatch, tmp_path):
        monkeypatch.setattr(registry.registry_program, "find", lambda folder: None)
        monkeypatch.setattr(registry, "_engine_answers", lambda: True)
        monkeypatch.setattr(registry.subprocess, "run", lambda *_, **__: None)
        assert "--log-driver=none" in registry.choose(ENVIRONMENT, tmp_path / "config.yml").command

    def test_no_part_is_told_to(self):
        whole = registry.configuration(ENVIRONMENT, settings.KEYS)
        # Distribution writes to its standard error unless a hook or a file is named.
        assert set(whole["log"]) == {"level", "accesslog"}
        assert not [path for path in FOLDER.rglob("*.log") if "/pg_" not in str(path)]
