"""A provider with two customers, and what each may see."""

from tests.closing.conftest import lasting, store_here  # noqa: F401 - fixtures
from tests.overage_control.conftest import town  # noqa: F401 - fixture
