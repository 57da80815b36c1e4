"""Kinds for numbers with a unit: currencies, money, prices, quantities, percentages."""

import re
from dataclasses import dataclass
from fractions import Fraction

from coulance.catalog.faults import listed, nearest
from coulance.catalog.fields import FAULTY, NUMBER, Faulty, Json, Reading
from coulance.catalog.toml_tree import Node
from coulance_core.catalog.faults import TermsError
from coulance_core.catalog.overage import Of, Threshold, civil_time
from coulance_core.catalog.paying import CREDITOR_ID
from coulance_core.kernel import Currency, Dimension, Quantity, Unit, UnitError, UnitPrice, currency, unit
from coulance_core.kernel.quantity import unit_names


@dataclass(frozen=True, slots=True)
class Percent:
    """A percentage: `"21 %"`."""

    def read(self, node: Node, reading: Reading) -> Fraction | Faulty:
        if not isinstance(node.value, str):
            return reading.wrong(node, 'a percentage, such as "21 %"')
        if not (found := re.fullmatch(rf"({NUMBER}) ?%", node.value)):
            return reading.fault(node, repr(node.value), 'a percentage, such as "21 %"')
        return Fraction(found[1])

    def schema(self) -> Json:
        return {"type": "string", "pattern": rf"^{NUMBER} ?%$"}


@dataclass(frozen=True, slots=True)
class CreditorId:
    """A SEPA creditor identifier, its check digits right: `"NL79ZZZ999999990000"`; spaces are left out."""

    def read(self, node: Node, reading: Reading) -> str | Faulty:
        expected = "a SEPA creditor identifier, such as NL79ZZZ999999990000"
        if not isinstance(node.value, str):
            return reading.wrong(node, expected)
        text = "".join(node.value.split())
        if not re.fullmatch(CREDITOR_ID, text):
            return reading.fault(node, repr(node.value), expected)
        # EPC262-08: the business code (5 to 7) takes no part; letters count from 10, and all of it is 1 modulo 97.
        digits = "".join(str(int(letter, 36)) for letter in text[7:] + text[:4] if letter.isalnum())
        if int(digits) % 97 != 1:
            return reading.fault(node, f"{node.value!r}, whose check digits are wrong", expected)
        return text

    def schema(self) -> Json:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class CurrencyCode:
    """An ISO 4217 currency."""

    def read(self, node: Node, reading: Reading) -> Currency | Faulty:
        if not isinstance(node.value, str):
            return reading.wrong(node, 'a currency, such as "EUR"')
        try:
            return currency(node.value)
        except ValueError:
            close = node.value.upper() if _is_currency(node.value.upper()) else ""
            return reading.fault(node, repr(node.value), 'an ISO 4217 currency, such as "EUR"', close)

    def schema(self) -> Json:
        return {"type": "string", "pattern": "^[A-Z]{3}$"}


def _is_currency(code: str) -> bool:
    try:
        currency(code)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class UnitName:
    """The name of a unit."""

    def read(self, node: Node, reading: Reading) -> Unit | Faulty:
        if not isinstance(node.value, str):
            return reading.wrong(node, 'a unit, such as "GB" or "Mbit/s"')
        return _unit(node.value, node, reading)

    def schema(self) -> Json:
        return {"type": "string", "enum": list(unit_names())}


_ALSO_CALLED = {
    **{n.casefold(): n for n in reversed(unit_names())},
    **dict.fromkeys(("byte", "bytes"), "B"),
    **{f"{prefix}bps": f"{prefix.upper()}bit/s" for prefix in "mgt"},
    **{f"{prefix}b/s": f"{prefix.upper()}bit/s" for prefix in "mgt"},
    **{f"{name}s": name for name in ("seat", "event", "request", "domain", "user", "instance", "day")},
    "hour": "h",
    "hours": "h",
    "minute": "min",
    "minutes": "min",
    "second": "s",
    "seconds": "s",
    "gigabyte": "GB",
    "terabyte": "TB",
    "mailboxes": "mailbox",
    "kbps": "kbit/s",
}


def _unit(name: str, node: Node, reading: Reading) -> Unit | Faulty:
    try:
        return unit(name)
    except UnitError:
        close = _ALSO_CALLED.get(name.casefold()) or nearest(name, unit_names())
        return reading.fault(node, f"unknown unit {name!r}", "B, GB, TB, GiB, Mbit/s, GB-month, seat, h, ...", close)


@dataclass(frozen=True, slots=True)
class Amount:
    """An exact amount of money: `"5.00 EUR"`. Gives the amount in major units and the currency's code."""

    fine: bool = False
    """Whether it may be finer than the currency's minor unit, as an amount for each event may."""

    def read(self, node: Node, reading: Reading) -> "tuple[Fraction, str] | Faulty":
        if not isinstance(node.value, str):
            return reading.wrong(node, 'an amount, such as "5.00 EUR"')
        if not (found := re.fullmatch(rf"({NUMBER}) ([A-Za-z]{{3}})", node.value)):
            return reading.fault(node, repr(node.value), 'an amount, such as "5.00 EUR"')
        return _money(found[1], found[2], self.fine, node, reading)

    def schema(self) -> Json:
        return {"type": "string", "pattern": f"^{NUMBER} [A-Z]{{3}}$"}


_LARGEST = 999_999_999_999
"""Of the major unit. Sums of a thousand such amounts, in thousandths, still fit the books."""


def _money(number: str, code: str, fine: bool, node: Node, reading: Reading) -> "tuple[Fraction, str] | Faulty":
    try:
        exponent = currency(code).exponent
    except ValueError:
        close = code.upper() if _is_currency(code.upper()) else ""
        return reading.fault(node, f"unknown currency {code!r}", 'an ISO 4217 currency, such as "EUR"', close)
    if Fraction(number) > _LARGEST:
        return reading.fault(node, f"{number} {code} is larger than any price", f"at most {_LARGEST} {code}")
    if not fine and len(number.partition(".")[2].rstrip("0")) > exponent:
        return reading.fault(node, f"{number} {code} is finer than the currency", f"at most {exponent} decimals")
    return Fraction(number), code


@dataclass(frozen=True, slots=True)
class Price:
    """A price for one of a unit: `"0.10 EUR/GB"`."""

    def read(self, node: Node, reading: Reading) -> UnitPrice | Faulty:
        expected = 'a price for a unit, such as "0.10 EUR/GB"'
        if not isinstance(node.value, str):
            return reading.wrong(node, expected)
        if not (found := re.fullmatch(rf"({NUMBER}) ([A-Za-z]{{3}})/(.+)", node.value)):
            return reading.fault(node, repr(node.value), expected)
        money, per = _money(found[1], found[2], True, node, reading), _unit(found[3], node, reading)
        if isinstance(money, Faulty) or isinstance(per, Faulty):
            return FAULTY
        return UnitPrice(money[0], money[1], per)

    def schema(self) -> Json:
        return {"type": "string", "pattern": f"^{NUMBER} [A-Z]{{3}}/.+$"}


@dataclass(frozen=True, slots=True)
class Amounts:
    """A quantity: `"1000 GB"`."""

    dimensions: tuple[Dimension, ...] = ()

    def read(self, node: Node, reading: Reading) -> Quantity | Faulty:
        expected = 'a number and a unit, such as "1000 GB"'
        if not isinstance(node.value, str):
            return reading.wrong(node, expected)
        if not (found := re.fullmatch(rf"({NUMBER}) (\S+)", node.value)):
            return reading.fault(node, repr(node.value), expected)
        per = _unit(found[2], node, reading)
        if isinstance(per, Faulty):
            return FAULTY
        if self.dimensions and per.dimension not in self.dimensions:
            return reading.fault(node, f"{found[2]!r} measures {per.dimension}", f"a {listed(self.dimensions)}")
        return Quantity(Fraction(found[1]), per)

    def schema(self) -> Json:
        return {"type": "string", "pattern": rf"^{NUMBER} \S+$"}


@dataclass(frozen=True, slots=True)
class WarnAt:
    """A point at which a customer is warned: `"80 %"` of the allowance, `"90 % of limit"`, `"1200 GB"`, `"25.00 EUR"`,
    `"6 h of burst"` left of a port, `"100 % at this pace"` by the period's end, and `"unusual"` use.

    Gives a `Threshold` whose key is the text.
    """

    def read(self, node: Node, reading: Reading) -> "Threshold | Faulty":
        expected = (
            'a share such as "80 %" or "90 % of limit", a quantity such as "1200 GB", an amount of overage, '
            '"6 h of burst", "100 % at this pace" or "unusual"'
        )
        if not isinstance(node.value, str):
            return reading.wrong(node, expected)
        text = node.value
        if text == "unusual":
            of, value, unit_name = Of.UNUSUAL, Fraction(1), ""
        elif found := re.fullmatch(rf"({NUMBER}) ?% at this pace", text):
            of, value, unit_name = Of.FORECAST, Fraction(found[1]) / 100, ""
        elif found := re.fullmatch(rf"({NUMBER}) (min|h) of burst", text):
            of, value, unit_name = Of.BURST, Fraction(found[1]) * (60 if found[2] == "h" else 1), ""
        elif found := re.fullmatch(rf"({NUMBER}) ?%( of limit)?", text):
            of, value, unit_name = (Of.LIMIT if found[2] else Of.ALLOWANCE), Fraction(found[1]) / 100, ""
        elif found := re.fullmatch(rf"({NUMBER}) ([A-Z]{{3}})", text):
            money = _money(found[1], found[2], False, node, reading)
            if isinstance(money, Faulty):
                return FAULTY
            of, value, unit_name = Of.OVERAGE, money[0], money[1]
        elif found := re.fullmatch(rf"({NUMBER}) (\S+)", text):
            per = _unit(found[2], node, reading)
            if isinstance(per, Faulty):
                return FAULTY
            of, value, unit_name = Of.QUANTITY, Fraction(found[1]), per.name
        else:
            return reading.fault(node, repr(text), expected)
        try:
            return Threshold(text, of, value, unit_name)
        except TermsError as error:
            return reading.fault(node, repr(text), error.faults[0].message)

    def schema(self) -> Json:
        kinds = r"%( of limit| at this pace)?|(min|h) of burst|[A-Z]{3}|\S+"
        return {"type": "string", "pattern": rf"^(unusual|{NUMBER} ?({kinds}))$"}


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Civil times between which nobody is disturbed: `"22:00-07:30"`. Gives both."""

    def read(self, node: Node, reading: Reading) -> tuple[str, str] | Faulty:
        expected = 'civil times such as "22:00-07:30"'
        if not isinstance(node.value, str):
            return reading.wrong(node, expected)
        first, _, last = node.value.replace(" ", "").partition("-")
        if civil_time(first) is None or civil_time(last) is None:
            return reading.fault(node, repr(node.value), expected)
        return first, last

    def schema(self) -> Json:
        clock = "([01][0-9]|2[0-3]):[0-5][0-9]"
        return {"type": "string", "pattern": f"^{clock} ?- ?{clock}$"}
