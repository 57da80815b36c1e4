"""An account as it prints on paper."""

from coulance.customers.queries import AccountRow
from coulance_core.invoicing import Buyer, BuyerKind


def buyer_of(account: AccountRow) -> Buyer:
    """The account as it prints on a document."""
    return Buyer(
        external_id=account.external_id,
        name=account.name,
        kind=BuyerKind(account.kind),
        country=account.country,
        zone=account.zone,
        currency=account.currency,
        address=tuple(account.address),
        vat_id=account.vat_id,
        language=account.language,
        tax_class=account.tax_class or None,
        national_currency=account.national_tax_currency or None,
    )
