"""The registry that the product runs, alone: what the product's results are compared with."""

from tests.conformance import known
from tests.conformance.comparison import every_case, must_be_as_known


@every_case
def test_the_bare_registry(case, bare_registry, record_property):
    must_be_as_known(case, bare_registry, known.BARE, record_property)
