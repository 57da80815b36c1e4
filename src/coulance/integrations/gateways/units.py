"""What gateways make of amounts: Stripe's whole units, Mollie's decimals.

Stripe counts in the smallest unit, but for exceptions of its own (docs.stripe.com/currencies): some currencies it takes
as having none, ISK and UGX as having hundredths that must be zero, and thousandths must end in zero. Mollie takes a
text with exactly the currency's decimals.
"""

from typing import Any

from coulance.payments.ports import GatewayRefusedError
from coulance_core.kernel import Money, currency

_NONE = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
_AS_HUNDREDTHS = frozenset(("ISK", "UGX"))


def stripe_scale(code: str) -> int:
    """By how many digits Stripe's unit is smaller than ours; below zero when it is larger.

    >>> stripe_scale("EUR"), stripe_scale("JPY"), stripe_scale("ISK"), stripe_scale("MGA"), stripe_scale("KWD")
    (0, 0, 2, -2, 0)
    """
    theirs = 0 if code in _NONE else 2 if code in _AS_HUNDREDTHS else currency(code).exponent
    return theirs - currency(code).exponent


def _power(digits: int) -> int:
    return int(10**digits)


def to_stripe(amount: Money) -> int:
    """An amount as Stripe takes it. Raises `GatewayRefusedError` for what it can't take.

    >>> to_stripe(Money(1999, "EUR")), to_stripe(Money(500, "JPY")), to_stripe(Money(500, "ISK"))
    (1999, 500, 50000)
    """
    scale = stripe_scale(amount.currency)
    if currency(amount.currency).exponent == 3 and amount.minor % 10:
        raise GatewayRefusedError(f"Stripe takes {amount.currency} in hundredths only, not {amount}")
    if scale < 0:
        whole, rest = divmod(amount.minor, _power(-scale))
        if rest:
            raise GatewayRefusedError(f"Stripe takes whole {amount.currency} only, not {amount}")
        return whole
    return amount.minor * _power(scale)


def from_stripe(number: Any, code: str) -> Money:
    """An amount as Stripe gives it.

    >>> from_stripe(50000, "isk"), from_stripe(1999, "eur")
    (Money(minor=500, currency='ISK'), Money(minor=1999, currency='EUR'))
    """
    known = code.upper()
    if isinstance(number, bool) or not isinstance(number, int):
        raise GatewayRefusedError(f"an amount at Stripe is a whole number, not {number!r}")
    scale = stripe_scale(known)
    if scale < 0:
        return Money(number * _power(-scale), known)
    whole, rest = divmod(number, _power(scale))
    if rest:
        raise GatewayRefusedError(f"{number} {known} is finer than the currency")
    return Money(whole, known)


def to_mollie(amount: Money) -> dict[str, str]:
    """An amount as Mollie takes it.

    >>> to_mollie(Money(1000, "EUR")), to_mollie(Money(500, "JPY"))
    ({'currency': 'EUR', 'value': '10.00'}, {'currency': 'JPY', 'value': '500'})
    """
    return {"currency": amount.currency, "value": amount.decimal()}


def from_mollie(given: Any) -> Money:
    """An amount as Mollie gives it.

    >>> from_mollie({"currency": "EUR", "value": "-10.00"})
    Money(minor=-1000, currency='EUR')
    """
    try:
        value, code = given["value"], given["currency"]
    except (KeyError, TypeError) as error:
        raise GatewayRefusedError(f"an amount at Mollie has a value and a currency, not {given!r}") from error
    if not isinstance(value, str):
        raise GatewayRefusedError(f"an amount at Mollie is a text, not {value!r}")
    return Money.of(value, code)
