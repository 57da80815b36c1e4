"""Fakes of the gateways with keys here, one server each a session of tests."""

from collections.abc import Iterator

import pytest

from tests.rails.fakes import SIGNING, FakeMollie, FakeStripe


@pytest.fixture
def stripe(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStripe]:
    """Stripe, with our keys of it."""
    with FakeStripe() as fake:
        monkeypatch.setenv("COULANCE_STRIPE_URL", fake.address)
        monkeypatch.setenv("COULANCE_STRIPE", "sk_test_fake")
        monkeypatch.setenv("COULANCE_STRIPE_WEBHOOK", SIGNING)
        yield fake


@pytest.fixture
def mollie(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMollie]:
    """Mollie, with our keys of it."""
    with FakeMollie() as fake:
        monkeypatch.setenv("COULANCE_MOLLIE_URL", fake.address)
        monkeypatch.setenv("COULANCE_MOLLIE", "test_fake")
        monkeypatch.setenv("COULANCE_MOLLIE_SETTLEMENTS", "access_fake")
        yield fake
