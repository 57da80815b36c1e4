"""Who pays for many: providers of payments, whose account says nothing of which customer it was."""

import re

_PROVIDERS = (
    "adyen", "airwallex", "amazon payments", "bluem", "buckaroo", "ccv group", "checkout.com", "cm payments",
    "currence", "emerchantpay", "gocardless", "icepay", "ingenico", "klarna", "mangopay", "mollie", "multisafepay",
    "nexi", "nochex", "online betaalplatform", "opp b.v", "pay.nl", "payone", "paypal", "paysafe", "payu",
    "revolut pay", "sepay", "sisow", "stripe", "sumup", "targetpay", "tikkie", "trustly", "unzer", "viva wallet",
    "wise payments", "worldline", "worldpay", "zettle",
)  # fmt: skip
_NAMED = re.compile("|".join(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])" for name in _PROVIDERS))
_PAY_NL = re.compile(r"(^|\s)(stg\.?|stichting)\s+(derdengelden\s+)?pay\.?($|\s)")
_THIRD = re.compile(r"(?<![a-z])(derdengelden|third[- ]party funds|trust account|client money)(?![a-z])")


def pays_for_many(name: str) -> bool:
    """Whether an account holder of that name pays in money of many customers: a provider of payments, by its name, or
    an account that holds money of others, as Dutch law has providers keep it.

    >>> [pays_for_many(name) for name in ("Stichting Mollie Payments", "STG DERDENGELDEN BUCKAROO", "Molliere BV")]
    [True, True, False]
    """
    text = " ".join(name.lower().split())
    return bool(_NAMED.search(text) or _PAY_NL.search(text) or _THIRD.search(text))
