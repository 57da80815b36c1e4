"""The demo's contracts: unfair, each to another side; told twice, once. By the example's own terms."""

from datetime import UTC, datetime

from coulance.contracts import queries
from coulance.integrations.demo import contracts
from tests.contracts.desk import Desk
from tests.support.database import ROOT

AT = datetime(2026, 9, 20, 12, tzinfo=UTC)


def test_two_contracts_of_one_price(desk: Desk) -> None:
    example = (ROOT / "examples" / "provider.toml").read_text()
    desk.world.provider(more=example[example.index("[[contracts.terms]]") :])
    said = contracts.tell(at=AT)
    assert said == contracts.tell(at=AT)
    assert len(queries.contracts()) == 2
    assert "we are expected to lose on it" in said[0]
    assert "the customer is expected to pay too much" in said[1]
    assert "in 100% of years" not in said[2]
    assert "first answer promised by Mon 31 Aug 13:00: missed" in said[3]
    assert "'A form gives an error': first answer promised by" in said[4]
    assert "running" in said[4]
