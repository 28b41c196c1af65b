"""Whoever writes to the log: lines and their number have an end, files have a total size, and there are no others."""

import errno
import io
import logging
import os
import re
import stat
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from console.installation import environment
from console.installation.logs import LONGEST_RECORD, WithoutSecrets
from console.local import log, registry
from console.local.__main__ import main
from console.local.log import LONGEST_LINE, Log, bounded_lines, follow
from console.local.log_files import FILES, LogFiles
from tests.support.environment import ENVIRONMENT, FOLDER


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

    def test_one_cannot_look_like_another(self, capsys):
        read, write = os.pipe()
        with os.fdopen(write, "wb") as child:
            thread = follow(os.fdopen(read, "rb"), "registry")
            child.write("one\rtwo\x1b[2J\x85\u2028three\tfour\n".encode())
        thread.join(10)
        (line,) = capsys.readouterr().out.splitlines()
        assert line == "registry │ one\\x0dtwo\\x1b[2J\\x85\\u2028three\tfour"

    def test_where_our_characters_cannot_be_shown(self, monkeypatch):
        shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", shown)
            patch.setattr(os, "dup2", None)  # standard output is given up only when nobody reads it
            Log().write("ready", "console")
        assert shown.buffer.getvalue() == b"console  \\u2502 ready\n"


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def kept(folder):
    """The lines of the log's files, oldest first, without their times."""
    paths = sorted(
        folder.glob("my-images.log*"), key=lambda path: -int(path.suffix[1:]) if path.suffix != ".log" else 0
    )
    return [line.split(" ", 1)[1] for path in paths for line in path.read_text().splitlines()]


class TestNumber:
    """More than a burst is written only as fast as the rate allows, whatever a part does."""

    def log(self, folder, clock, burst=20_000, rate=5_000):
        made = Log(burst, rate, clock)
        made.add_files(folder, 10_000_000)
        return made

    @pytest.mark.parametrize("text", ["", "x", "x" * 500])
    def test_a_part_that_never_stops(self, tmp_path, clock, capsys, text):
        made = self.log(tmp_path, clock)
        for tick in range(10_000):
            clock.now = 1000 + tick / 1000
            made.write(text, "registry")
        # In ten seconds.
        for written in ((tmp_path / "my-images.log").stat().st_size, len(capsys.readouterr().out)):
            assert written <= 20_000 + 10 * 5_000

    def test_how_many_are_left_out_is_said_when_writing_resumes(self, tmp_path, clock, capsys):
        made = self.log(tmp_path, clock)
        for number in range(1000):
            made.write(f"{number} {'x' * 100}", "registry")
        clock.now += 1
        made.write("the next", "registry")
        lines = kept(tmp_path)
        assert lines == capsys.readouterr().out.splitlines()
        written = len(lines) - 2
        assert [line.split()[2] for line in lines[:written]] == [str(number) for number in range(written)]
        assert lines[-2:] == [
            f"registry │ {1000 - written} lines left out: more than {5_000 / 1024:g} KiB a second.",
            "registry │ the next",
        ]

    def test_or_without_another_line(self, tmp_path, clock):
        made = self.log(tmp_path, clock)
        for _ in range(1000):
            made.write("x" * 100, "registry")
        before = kept(tmp_path)
        made.report_dropped()
        assert kept(tmp_path) == before, "while nothing may be written nothing is"
        clock.now += 1
        made.report_dropped()
        made.report_dropped()
        assert kept(tmp_path)[len(before) :] == [
            f"registry │ {1000 - len(before)} lines left out: more than {5_000 / 1024:g} KiB a second."
        ]

    def test_what_is_missing_is_said_once_a_second(self, tmp_path, clock):
        made = self.log(tmp_path, clock)
        for tick in range(10_000):
            clock.now = 1000 + tick / 1000
            made.write("x" * 100, "registry")
        lines = kept(tmp_path)
        assert 5 <= sum("left out" in line for line in lines) <= 10
        told = sum(int(line.split()[2].replace(",", "")) for line in lines if "left out" in line)
        assert told + sum("x" in line for line in lines) > 9_000, "but for those of the last second, all are told of"

    def test_one_part_does_not_silence_another(self, tmp_path, clock):
        made = self.log(tmp_path, clock)
        for _ in range(1000):
            made.write("x" * 100, "registry")
        made.write("still here", "worker")
        made.write("Stopping.")
        assert kept(tmp_path)[-2:] == ["worker   │ still here", "Stopping."]

    def test_the_supervisor_never_waits_to_say_it(self, tmp_path, clock):
        made = self.log(tmp_path, clock)
        with made._lock:  # as held by whoever writes to an output that takes nothing
            made.report_dropped()


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


class TestKept:
    """The files below ``DATA_DIR``."""

    def size(self, folder):
        return sum(path.stat().st_size for path in folder.iterdir())

    def test_the_total_is_never_passed(self, tmp_path):
        files = LogFiles(tmp_path, 10_000)
        for number in range(2_000):
            assert files.write(f"{number} {'ä' * (number % 40)}\n".encode())
            assert self.size(tmp_path) <= 10_000
        assert len(list(tmp_path.iterdir())) == FILES
        names = ["my-images.log", *(f"my-images.log.{number}" for number in range(1, FILES))]
        numbers = [
            int(line.split()[0]) for name in reversed(names) for line in (tmp_path / name).read_text().splitlines()
        ]
        assert numbers == list(range(numbers[0], 2_000)), "the newest, in order, and whole"
        assert self.size(tmp_path) > 9_000

    def test_the_next_start_goes_on(self, tmp_path):
        for number in range(3):
            files = LogFiles(tmp_path, 10_000)
            files.write(f"{number}\n".encode())
            files.close()
        assert (tmp_path / "my-images.log").read_text() == "0\n1\n2\n"

    @pytest.mark.parametrize("newest", [30, 90])
    def test_a_smaller_total_counts_at_once(self, tmp_path, newest):
        files = LogFiles(tmp_path, 100_000)
        for number in range(980 + newest):
            files.write(f"{number:<98} \n".encode())
        files.close()
        files = LogFiles(tmp_path, 12_000)
        assert self.size(tmp_path) <= 12_000
        assert files.write(b"newest\n")
        assert (tmp_path / "my-images.log").read_text().endswith("newest\n")

    def test_a_line_that_is_larger_than_a_file_moves_none(self, tmp_path):
        files = LogFiles(tmp_path, 10_000)
        files.write(b"before\n")
        assert not files.write(b"x" * 1_001)
        assert [path.read_text() for path in tmp_path.iterdir()] == ["before\n"]

    def test_nobody_else_reads_them(self, tmp_path):
        before = os.umask(0)
        try:
            files = LogFiles(tmp_path / "log", 1_000)
            for _ in range(30):
                files.write(b"x" * 50 + b"\n")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "log").iterdir()} == {0o600}

    def test_a_full_disk(self, tmp_path, monkeypatch):
        files, write = LogFiles(tmp_path, 10_000), os.write
        assert files.write(b"before\n")

        def full(file, data):
            if full.room:
                return write(file, data[: full.room])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        for full.room in (3, 0, 5):
            assert not files.write(b"does not fit\n")
        monkeypatch.setattr(os, "write", write)
        assert files.write(b"after\n")
        assert (tmp_path / "my-images.log").read_text() == "before\nafter\n", "no line is written in part"

    def test_a_file_that_cannot_be_renamed_does_not_grow(self, tmp_path, monkeypatch):
        def refuse(path, target):
            raise PermissionError(errno.EACCES, "Permission denied")

        files = LogFiles(tmp_path, 1_000)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", refuse)
            for _ in range(100):
                files.write(b"x" * 50 + b"\n")
            assert (tmp_path / "my-images.log").stat().st_size <= 100
        assert files.write(b"x" * 50 + b"\n")

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "log").write_text("no folder")
        assert not LogFiles(tmp_path / "log", 1_000).write(b"lost\n")

    def test_with_the_time_and_without_colours(self, tmp_path, monkeypatch):
        shown = io.StringIO()
        shown.isatty = lambda: True
        monkeypatch.setattr(sys, "stdout", shown)
        monkeypatch.delenv("NO_COLOR", raising=False)
        made = Log()
        made.add_files(tmp_path, 10_000)
        made.write("one", "worker")
        made.write("")
        made.write("two\nthree")
        assert shown.getvalue() == "\x1b[33mworker   │ \x1b[0mone\n\ntwo\nthree\n"
        time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        text = (tmp_path / "my-images.log").read_text()
        assert re.fullmatch(rf"{time} worker   │ one\n{time} two\n{time} three\n", text)

    def test_the_first_password_is_in_none(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(log, "LOG", Log())
        log.LOG.add_files(tmp_path, 10_000)
        read, write = os.pipe()
        with os.fdopen(write, "wb") as child:
            thread = follow(os.fdopen(read, "rb"), "prepare", plain=("Password: ",))
            child.write(b"Password: secret\nmade\n")
        thread.join(10)
        assert capsys.readouterr().out.splitlines() == ["Password: secret", "prepare  │ made"]
        assert kept(tmp_path) == ["prepare  │ made"]

    def test_none_unless_wanted(self, tmp_path):
        made = Log()
        made.add_files(tmp_path / "log", 0)
        made.write("one")
        assert not (tmp_path / "log").exists()
        assert environment.load({}).log_files_mb == 100
        assert environment.load({"LOG_FILES_MB": "0"}).log_files_mb == 0

    def test_an_end_that_nobody_expected(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("DATA_DIR", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["console.local"])
        monkeypatch.setattr("console.local.__main__.LOG", made := Log())
        monkeypatch.setattr("console.local.__main__.say", made.write)
        monkeypatch.setattr("console.local.__main__._run", lambda environment: environment.no_such_thing)
        umask = os.umask(0o077)
        try:
            assert main() == 1
        finally:
            os.umask(umask)
        assert kept(tmp_path / "log") == capsys.readouterr().out.splitlines()
        assert "no_such_thing" in (Path(tmp_path) / "log" / "my-images.log").read_text()


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
