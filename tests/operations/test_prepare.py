"""Static files are collected when they, or what packs them, are others than before, and only then."""

import json
import os
from pathlib import Path

import pytest
from django.core.management import call_command

from console.operations.management.commands import prepare
from console.web.static import SHEETS, STYLE_SHEET

MOMENT = 1_700_000_000


@pytest.fixture
def source(settings, tmp_path):
    """The folder of the sources: nothing but the style sheets, all of one age."""
    folder = tmp_path / "source"
    for path in (path for paths in SHEETS.values() for path in paths):
        write(folder / path, f".{Path(path).stem} {{ color: red }}")
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATICFILES_DIRS = [folder]
    settings.STATIC_ROOT = tmp_path / "data" / "static"
    settings.STATIC_ROOT.mkdir(parents=True)
    return folder


def write(path, text):
    """As deployments do that give every file the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (MOMENT, MOMENT))


@pytest.fixture
def start(monkeypatch, source, settings):
    """Prepares the static files; whether they were collected, and the style sheet that pages then name."""
    collected = []

    def call(name, **options):
        collected.append(name)
        call_command(name, **options)

    monkeypatch.setattr(prepare, "call_command", call)

    def start():
        collected.clear()
        prepare.Command()._static_files()
        paths = json.loads((settings.STATIC_ROOT / "staticfiles.json").read_text())["paths"]
        return bool(collected), (settings.STATIC_ROOT / paths[STYLE_SHEET]).read_text()

    return start


def test_a_second_start_finds_them(start):
    assert start()[0]
    assert not start()[0]


def test_a_file_that_changed_in_nothing_but_its_content(start, source):
    start()
    write(source / "css" / "base.css", ".base { color: tan }")
    collected, sheet = start()
    assert collected
    assert ".base { color: tan }" in sheet


def test_a_file_that_is_older_than_the_copy_of_it(start, source, settings):
    write(source / "app.js", "one")
    start()
    write(source / "app.js", "two")
    assert start()[0]
    paths = json.loads((settings.STATIC_ROOT / "staticfiles.json").read_text())["paths"]
    assert (settings.STATIC_ROOT / paths["app.js"]).read_text() == "two"


def test_back_and_forth_between_two_versions(start, source):
    start()
    for colour in ("tan", "red", "tan"):
        write(source / "css" / "base.css", f".base {{ color: {colour} }}")
        assert start() == (True, start()[1])
        assert f".base {{ color: {colour} }}" in start()[1]


def test_another_version_collected_without_a_note(start, source):
    start()
    write(source / "css" / "base.css", ".base { color: tan }")
    (source / "new.css").write_text(".new { color: red }")
    call_command("collectstatic", interactive=False, verbosity=0)
    (source / "new.css").unlink()
    write(source / "css" / "base.css", ".base { color: red }")
    collected, sheet = start()
    assert collected
    assert ".base { color: red }" in sheet


def hashed(settings, name):
    paths = json.loads((Path(settings.STATIC_ROOT) / "staticfiles.json").read_text())["paths"]
    return Path(settings.STATIC_ROOT) / paths[name]


def test_a_collection_that_was_killed_is_made_anew(start, source, settings):
    """It left no note, and a hashed file that is half written: Django writes no hashed file that exists."""
    write(source / "font.woff2", "x" * 1000)
    start()
    hashed(settings, "font.woff2").write_text("x" * 10)
    settings.STATIC_ROOT.with_name("static.collected").unlink()
    assert start()[0]
    assert hashed(settings, "font.woff2").read_text() == "x" * 1000


@pytest.mark.parametrize("damage", ["", "x" * 10])
def test_a_file_that_is_damaged(start, source, settings, damage):
    write(source / "font.woff2", "x" * 1000)
    start()
    hashed(settings, "font.woff2").write_text(damage)
    assert start()[0]
    assert hashed(settings, "font.woff2").read_text() == "x" * 1000
    assert not start()[0]


@pytest.mark.parametrize("file", ["static.collected", "static/staticfiles.json"])
@pytest.mark.parametrize("damage", ["", "{", "[]", "{}"])
def test_a_note_or_a_manifest_that_is_damaged(start, settings, file, damage):
    start()
    (settings.STATIC_ROOT.parent / file).write_text(damage)
    assert start()[0]
    assert not start()[0]


def test_files_of_an_earlier_version_stay_for_open_pages(start, source, settings):
    start()
    earlier = hashed(settings, STYLE_SHEET)
    write(source / "css" / "base.css", ".base { color: tan }")
    assert start()[0]
    assert earlier.exists()
    assert hashed(settings, STYLE_SHEET) != earlier


@pytest.mark.parametrize("lost", ["staticfiles.json", "css"])
def test_files_that_somebody_deleted(start, settings, lost):
    start()
    path = Path(settings.STATIC_ROOT) / lost
    if path.is_dir():
        for file in path.iterdir():
            file.unlink()
    else:
        path.unlink()
    assert start()[0]
    assert not start()[0]


def test_what_packs_them_changed(start, settings):
    start()
    settings.STATIC_URL = "/elsewhere/"
    assert start()[0]


def test_files_of_an_editor_are_left_out(start, source):
    (source / ".#base.css").symlink_to("nowhere")
    assert start()[0]
    assert not start()[0]
