"""What holds for a whole closing run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import Catalog, ProviderTerms
from coulance_core.invoicing import NationalRate
from coulance_core.invoicing.closing import BaseKnown
from coulance_core.kernel import Period, anchored_period
from coulance_core.kernel.period import add_months


@dataclass(frozen=True, slots=True)
class Closing:
    """What holds for a whole run: which month, when, on which terms, and up to which batch samples are counted.

    `national` are the exchange rates for tax in another currency, by that currency. `base_known` remembers base fees
    between accounts (see core's `close_account`); it is no part of what is decided.
    """

    year: int
    month: int
    at: datetime
    catalog: Catalog
    fence: int
    national: Mapping[str, NationalRate] = field(default_factory=dict)
    base_known: BaseKnown = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The period's name, `2026-10`."""
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def next_name(self) -> str:
        """The name of the period after it, which base fees are billed for."""
        year, month = add_months(self.year, self.month, 1)
        return f"{year:04d}-{month:02d}"

    @property
    def provider(self) -> ProviderTerms:
        """The provider's terms."""
        return self.catalog.provider

    @property
    def issued_on(self) -> date:
        """The civil day of `at` where the provider is; it prints on what is issued."""
        return self.at.astimezone(self.provider.zone_info).date()

    def period(self, billing_day: int, zone: ZoneInfo) -> Period:
        """The month's period for accounts billed on that day in that zone."""
        return anchored_period(self.year, self.month, billing_day, zone)

    def next_period(self, billing_day: int, zone: ZoneInfo) -> Period:
        """The one that follows."""
        return anchored_period(*add_months(self.year, self.month, 1), billing_day, zone)

    def is_due(self, billing_day: int, zone: ZoneInfo) -> bool:
        """Whether the period has ended and the days are over in which samples may still come."""
        end = self.period(billing_day, zone).end.astimezone(zone).date()
        return self.at.astimezone(zone).date() >= end + timedelta(days=self.provider.settle_after_days)
