"""Whether a country, language, VAT id or e-mail address can be. Each gives what was expected; nothing when all is well.

These are checks of form. Whether a VAT number is registered, or an address reaches anybody, only others can say.
"""

import re

from stdnum.eu import vat

# ISO 3166-1 alpha-2, officially assigned (2026), and XI and XK, which tax and trade use.
COUNTRIES = frozenset(
    """AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XI XK""".split()
)
# ISO 639-1.
LANGUAGES = frozenset(
    """aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en
    eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka
    kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl
    nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw
    ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu""".split()
)
# Greece's VAT numbers begin with EL, Northern Ireland's with XI.
_VAT_PREFIX = {"GR": {"EL"}, "GB": {"XI"}, "MC": {"FR"}, "IM": {"XI"}}
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"(?:[A-Za-z]{2,63}|xn--[A-Za-z0-9-]{2,59})"
)


def country(code: str) -> str:
    """
    >>> country("NL"), country("Nl")
    ('', 'an ISO 3166 country in two capital letters, such as NL')
    """
    return "" if code in COUNTRIES else "an ISO 3166 country in two capital letters, such as NL"


def language(code: str) -> str:
    """
    >>> language("de-AT"), language("dutch")
    ('', 'a language, such as nl or de-AT')
    """
    first, _, region = code.partition("-")
    sound = first in LANGUAGES and (region in COUNTRIES if "-" in code else True)
    return "" if sound else "a language, such as nl or de-AT"


def email(address: str) -> str:
    """
    >>> email("ops@example.nl"), email("ops@example")
    ('', 'an e-mail address, such as name@example.com')
    """
    local = address.partition("@")[0]
    sound = (
        len(address) <= 254
        and _EMAIL.fullmatch(address) is not None
        and not local.startswith(".")
        and not local.endswith(".")
        and ".." not in local
    )
    return "" if sound else "an e-mail address, such as name@example.com"


def vat_id(number: str, of_country: str) -> str:
    """Whether an EU VAT number is well formed, check digits included, and of its country; others are not judged.

    >>> vat_id("NL4495445B01", "NL"), vat_id("NL123456789B01", "NL")
    ('', 'a valid VAT number of NL; its check digits do not fit')
    """
    known = {code.upper() for code in vat.MEMBER_STATES} | {"XI"}
    prefixes = _VAT_PREFIX.get(of_country, {of_country})
    if not prefixes & (known | {"EL"}):
        return ""  # not in the EU's VAT area: its numbers have forms of their own
    compact = re.sub(r"[\s.-]", "", number).upper()
    if compact[:2] not in prefixes:
        return f"a VAT number that begins with {' or '.join(sorted(prefixes))}, as the country says"
    if not vat.is_valid(compact):
        return f"a valid VAT number of {of_country}; its check digits do not fit"
    return ""


def group(text: str) -> str:
    """What is wrong with a group's word, or nothing.

    >>> group("reseller"), group("Big Ones")
    ('', 'small letters, digits, - and _, at most 40, such as reseller')
    """
    good = bool(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", text))
    return "" if good else "small letters, digits, - and _, at most 40, such as reseller"
