"""A site with something of everything."""

import pytest

from tests.support.site_rows import World


@pytest.fixture
def world(ann, team):
    """Two rows of everything, all of which ``ann`` sees, who is an administrator, too."""
    ann.is_staff = ann.is_superuser = True
    ann.save()
    made = World(ann, team)
    made.grow(2)
    return made
