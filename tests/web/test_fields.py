"""Every field that people type into is in the table that a browser types by (``tests/browser/typed_forms.py``)."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from django import forms
from django.conf import settings
from django.template import Context, Template
from django.urls import get_resolver

from tests.browser import typed_forms

TEMPLATES = Path(settings.BASE_DIR) / "templates"
CHOSEN = (forms.DateField, forms.DateTimeField)
TYPED_INTO = ("text", "email", "password", "search", "number", "url", "tel")
# Those of a date are chosen, not typed.
_RAW = re.compile(r"<input type=\"(?:text|email|password|search|number|url|tel)\"[^>]*>|<textarea[^>]*>")


def classes(base=forms.BaseForm):
    """Each form of the console, by its name."""
    for one in base.__subclasses__():
        if one.__module__.startswith("console.") and hasattr(one, "base_fields"):  # less what forms have in common
            yield f"{one.__module__}.{one.__qualname__}", one
        yield from classes(one)


def typed_into(form):
    """The names of the fields that text is typed into."""
    return {
        name
        for name, field in form.base_fields.items()
        if isinstance(field.widget, forms.Textarea)
        or (getattr(field.widget, "input_type", "") in TYPED_INTO and not isinstance(field, CHOSEN))
    }


@pytest.fixture
def found():
    assert get_resolver().url_patterns  # imports every module that has a form
    return {name: typed_into(form) for name, form in classes()}


def test_each_form_and_field_is_in_the_table(found):
    written = {one.form: {field.name for field in one.fields} for one in typed_forms.FORMS} | typed_forms.ELSEWHERE
    assert found == written | dict.fromkeys(typed_forms.NOTHING_TYPED, set())


def test_each_field_of_a_template_is_in_the_table():
    there = {}
    for path in TEMPLATES.rglob("*.html"):
        tags = _RAW.findall(path.read_text())
        if tags:
            names = {name[1] for tag in tags if (name := re.search(r' name="(\w+)"', tag))}
            there[str(path.relative_to(TEMPLATES))] = names
            assert not [tag for tag in tags if "maxlength" in tag]
            assert not [tag for tag in tags if "autocomplete=" not in tag], "a browser would guess what to fill in"
    assert there == typed_forms.RAW


class Sample(forms.Form):
    first = forms.CharField(max_length=3, widget=forms.TextInput(attrs={"autofocus": True}))
    second = forms.CharField(max_length=3, help_text="help")
    third = forms.CharField(max_length=3)


def render(form):
    template = Template("{% load console %}{% for one in form %}{% field one %}{% endfor %}")
    return template.render(Context({"form": form}))


def inputs(html):
    return {re.search(r'name="(\w+)"', tag)[1]: tag for tag in re.findall(r"<input[^>]*>", html)}


class TestTheTag:
    def test_no_browser_cuts_what_is_typed(self):
        assert "maxlength" not in render(Sample())

    def test_the_first_invalid_field_has_the_focus(self):
        shown = inputs(render(Sample()))
        assert [name for name, tag in shown.items() if "autofocus" in tag] == ["first"]
        shown = inputs(render(Sample({"first": "a", "second": "long", "third": "long"})))
        assert [name for name, tag in shown.items() if "autofocus" in tag] == ["second"]
        assert [name for name, tag in shown.items() if 'aria-invalid="true"' in tag] == ["second", "third"]
        assert 'aria-describedby="id_second_help id_second_errors"' in shown["second"]

    def test_a_good_one_keeps_its_own(self):
        shown = inputs(render(Sample({"first": "a", "second": "b", "third": "c"})))
        assert [name for name, tag in shown.items() if "autofocus" in tag] == ["first"]


@pytest.mark.parametrize("one", typed_forms.FORMS, ids=lambda one: one.form)
def test_the_classes_are_there(one):
    module, _dot, name = one.form.rpartition(".")
    assert issubclass(getattr(import_module(module), name), forms.BaseForm)
