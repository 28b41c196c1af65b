"""The product's registry address, with tokens."""

from tests.conformance import known
from tests.conformance.comparison import every_case, must_be_as_known


@every_case
def test_the_product(case, product, record_property):
    must_be_as_known(case, product, known.PRODUCT, record_property)
