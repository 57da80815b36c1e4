"""Code lists of e-invoices as far as we use them: units, identifier schemes, exemption codes, and parts of addresses.

Sources: UN/ECE Recommendation 20 (units), ISO 6523 and Peppol's EAS list (identifier schemes), the CEF VATEX list
(exemptions). That each code is in the lists the official rules hold is tested.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_UNIT_CODES = {
    "1": "C62",
    "B": "AD",
    "kB": "2P",
    "MB": "4L",
    "GB": "E34",
    "TB": "E35",
    "PB": "E36",
    "KiB": "E64",
    "MiB": "E63",
    "GiB": "E62",
    "TiB": "E61",
    "PiB": "E60",
    "bit": "A99",
    "kbit": "C37",
    "Mbit": "D36",
    "Gbit": "B68",
    "Tbit": "E83",
    "Pbit": "E78",
    "Kibit": "C21",
    "Mibit": "D11",
    "Gibit": "B30",
    "bit/s": "B10",
    "kbit/s": "C74",
    "Mbit/s": "E20",
    "Gbit/s": "B80",
    "Tbit/s": "E84",
    "Pbit/s": "E79",
    "B/s": "P93",
    "kB/s": "P94",
    "MB/s": "P95",
    "GB/s": "E68",
    "s": "SEC",
    "min": "MIN",
    "h": "HUR",
    "day": "DAY",
}
_COUNTED = frozenset("seat event request mailbox domain user address instance".split())
ONE = "C62"
"""The unit code of plain counting."""
MUTUALLY_DEFINED = "ZZ"
"""For units that the recommendation lacks, such as GB-month; the item's description then says which."""


def unit_code(unit: str) -> str:
    """The code of one of our units.

    >>> unit_code("GB"), unit_code("GiB"), unit_code("seat"), unit_code("GB-month")
    ('E34', 'E62', 'C62', 'ZZ')
    """
    if unit in _COUNTED or not unit:
        return ONE
    return _UNIT_CODES.get(unit, MUTUALLY_DEFINED)


def names_its_unit(unit: str) -> bool:
    """Whether the code alone says what the unit is; otherwise the words must."""
    return unit in _UNIT_CODES


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier, and the scheme it is from: an ISO 6523 or EAS code, or none where there is none."""

    value: str
    scheme: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}" if self.scheme else self.value


_REGISTERS = {
    "NL": ("0106", 8),
    "BE": ("0208", 10),
    "FR": ("0002", 9),
    "SE": ("0007", 10),
    "NO": ("0192", 9),
    "DK": ("0184", 8),
}


def registration(text: str, country: str) -> Identifier | None:
    """A number in a company register, with its scheme where country and digits leave no doubt.

    >>> registration("KvK 24123456", "NL"), registration("HRB 9876", "DE")
    (Identifier(value='24123456', scheme='0106'), Identifier(value='HRB 9876', scheme=''))
    """
    text = " ".join(text.split())
    if not text:
        return None
    scheme, length = _REGISTERS.get(country, ("", 0))
    digits = re.sub(r"[\s.\-]", "", re.sub(r"^[^\d]*", "", text))
    if scheme and digits.isascii() and digits.isdigit() and len(digits) == length:
        return Identifier(f"DK{digits}" if country == "DK" else digits, scheme)
    return Identifier(text)


_VAT_SCHEMES = {
    "AT": "9914",
    "BG": "9926",
    "CH": "9927",
    "CY": "9928",
    "CZ": "9929",
    "DE": "9930",
    "EE": "9931",
    "ES": "9920",
    "FR": "9957",
    "GB": "9932",
    "EL": "9933",
    "HR": "9934",
    "HU": "9910",
    "IE": "9935",
    "IT": "0211",
    "LI": "9936",
    "LT": "9937",
    "LU": "9938",
    "LV": "9939",
    "MT": "9943",
    "NL": "9944",
    "PL": "9945",
    "PT": "9946",
    "RO": "9947",
    "SI": "9949",
    "SK": "9950",
}


def endpoint(*, vat: str, register: Identifier | None) -> Identifier | None:
    """The electronic address a company has by its register or VAT number, when either is from a country that has one.

    Whether anybody listens there is known to the network, not to us.

    >>> str(endpoint(vat="NL001234567B01", register=Identifier("24123456", "0106")))
    '0106:24123456'
    >>> str(endpoint(vat="DE136695976", register=None)), str(endpoint(vat="BE0403019261", register=None))
    ('9930:DE136695976', '0208:0403019261')
    """
    if register is not None and register.scheme in ("0106", "0208", "0007", "0192", "0184"):
        return register
    if re.fullmatch(r"BE[01]\d{9}", vat):
        return Identifier(vat[2:], "0208")
    scheme = _VAT_SCHEMES.get(vat[:2])
    return Identifier(vat, scheme) if scheme else None


_COUNTRIES_AND_MORE = frozenset(
    """1A AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY
    BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH EL ER ES ET FI FJ FK FM
    FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP
    MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA
    RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR
    TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XI YE YT ZA ZM ZW""".split()
)


def is_country(code: str) -> bool:
    """Whether an address may name this country: ISO 3166 and the two that the rules add, but not Greece's VAT code."""
    return code in _COUNTRIES_AND_MORE and code != "EL"


def vat_id(text: str) -> str:
    """A VAT number as the rules want it: no spaces or points, its country in front; empty for one without a country.

    >>> vat_id("NL 0012.34.567.B01"), vat_id("T1234567890123")
    ('NL001234567B01', '')
    """
    plain = re.sub(r"[^0-9A-Za-z+*]", "", text).upper()
    return plain if plain[:2] in _COUNTRIES_AND_MORE and len(plain) > 3 else ""


VATEX = re.compile(r"\bVATEX-[A-Z]{2}(?:-[0-9A-Z]+)+\b")
"""An exemption code that the provider wrote into a rate's reason."""
VATEX_OF = {"AE": "VATEX-EU-AE", "O": "VATEX-EU-O", "K": "VATEX-EU-IC", "G": "VATEX-EU-G"}
"""The exemption code of a tax category that has just one."""
CATEGORY_OF = {code: category for category, code in VATEX_OF.items()}


_GENERIC = re.compile(r"(?:[A-Z]{1,3}[- ])?(?P<code>\d{3,6}(?:[ -]\d{2,4})?)\s+(?P<city>.+)")
_PLACES = {
    "NL": re.compile(r"(?P<code>\d{4}\s?[A-Z]{2})\s+(?P<city>.+)"),
    "GB": re.compile(r"(?P<city>.+?),?\s+(?P<code>[A-Z]{1,2}\d[A-Z\d]?\s*\d[A-Z]{2})"),
    "US": re.compile(r"(?P<city>.+?),?\s+(?P<region>[A-Z]{2})\s+(?P<code>\d{5}(?:-\d{4})?)"),
    "CA": re.compile(r"(?P<city>.+?),?\s+(?P<region>[A-Z]{2})\s+(?P<code>[A-Z]\d[A-Z]\s*\d[A-Z]\d)"),
}
_CODE_FIRST = frozenset(
    "AT BE BG CH CY CZ DE DK EE ES FI FR GR HR HU IS IT LI LT LU LV MC NO PL PT RO SE SI SK SM".split()
)


@dataclass(frozen=True, slots=True)
class Address:
    """Lines as written, and what of them is the place, its code and region, where the country's habit shows it."""

    lines: tuple[str, ...]
    city: str
    post_code: str
    region: str
    country: str


def address(lines: Sequence[str], country: str) -> Address:
    """An address whose last line is read as code and place by the habit of its country; what isn't, stays a line.

    >>> address(["Keilestraat 9", "3029 BP Rotterdam"], "NL")
    Address(lines=('Keilestraat 9',), city='Rotterdam', post_code='3029 BP', region='', country='NL')
    >>> address(["350 Fifth Avenue", "New York, NY 10118"], "US").region
    'NY'
    >>> address(["Somewhere"], "JP").lines
    ('Somewhere',)
    """
    kept = [line for line in lines if line.strip()]
    pattern = _PLACES.get(country) or (_GENERIC if country in _CODE_FIRST else None)
    found = pattern.fullmatch(kept[-1].strip()) if kept and pattern else None
    city = code = region = ""
    if found:
        parts = found.groupdict()
        city, code, region = parts["city"].strip(), parts["code"], parts.get("region") or ""
        kept.pop()
    elif len(kept) > 1 and not any(ch.isdigit() for ch in kept[-1]):
        city = kept.pop().strip()
    shown = kept[:2] + ([", ".join(kept[2:])] if kept[2:] else [])
    return Address(tuple(shown), city, code, region, country)
