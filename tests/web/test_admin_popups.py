"""What Django's administration understands of windows that it opens for choosing a row, which ours has none of."""

import pytest
from django.contrib import admin
from django.urls import reverse

from tests.support.factories import ImageFactory

pytestmark = pytest.mark.django_db


def names(model):
    fields = [field.name for field in model._meta.get_fields()]
    columns = [field.attname for field in model._meta.concrete_fields]
    return [name for name in (*fields, *columns, "", "pk", "x", "id__x", "__class__") if name != "id"]


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_no_page_fails(model, client, ann):
    ImageFactory(namespace__owner=ann)
    ann.is_staff = ann.is_superuser = True
    ann.save()
    rows = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    row = model._default_manager.first()
    one = f"{rows}{row.pk if row else 1}/"
    plain = {path: client.get(path).status_code for path in (rows, f"{rows}add/", f"{one}change/", f"{one}delete/")}
    for path, status in plain.items():
        for query in ({"_popup": "1"}, {"_to_field": "id", "_popup": "1"}, {"_to_field": "id"}):
            assert client.get(path, query).status_code in {status, 400}, (path, query)
        for name in names(model):
            assert client.get(path, {"_to_field": name, "_popup": "1"}).status_code == 400, (path, name)
            assert client.post(path, {"_to_field": name}).status_code == 400, (path, name)
