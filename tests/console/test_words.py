"""The console speaks Dutch: every text of its pages is translated, compiled as written, and shown to who chose it."""

import io
import re
from typing import Any

from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

from coulance.console.speaking import COOKIE
from tests.console.conftest import Shop
from tests.support.database import ROOT

CONSOLE = ROOT / "src" / "coulance" / "console"
PO = CONSOLE / "locale" / "nl" / "LC_MESSAGES" / "django.po"
TEMPLATES = [*sorted((CONSOLE / "templates").rglob("*.html"))]
QUOTED = re.compile(r"""{% ?trans(?:late)? ("([^"]*)"|'([^']*)')""")
COUNTED = re.compile(r"{% blocktranslate count n=[^%]*%}(.*?){% plural %}")
TAGS = re.compile(
    r"{% ?blocktrans(?:late)?.*?endblocktrans(?:late)? ?%}|{%.*?%}|{{.*?}}|{#.*?#}|<code>.*?</code>", re.S
)
SAME = set("Coulance PDF JSON UTC English Nederlands bit Accounts Account Id Hash Code IBAN SHA".split())
"""Words that are the same in both, or nobody's language."""
FAULTS = {"403.html", "404.html"}
"""Answers to a fault, which stand outside of any view and stay English."""


def _catalog() -> Any:
    return read_po(io.BytesIO(PO.read_bytes()), locale="nl", abort_invalid=True)


def test_what_is_compiled_is_what_is_written() -> None:
    written = io.BytesIO()
    write_mo(written, _catalog())
    kept = read_mo(io.BytesIO(PO.with_suffix(".mo").read_bytes()))
    fresh = read_mo(io.BytesIO(written.getvalue()))
    compiled, now = ({str(m.id): str(m.string) for m in one if m.id} for one in (kept, fresh))
    assert compiled == now, "run: pybabel compile -d src/coulance/console/locale -D django"


def test_every_text_is_translated_with_its_placeholders() -> None:
    pages = {words for path in TEMPLATES for _, one, two in QUOTED.findall(path.read_text()) for words in (one or two,)}
    pages |= {words for path in TEMPLATES for words in COUNTED.findall(path.read_text())}
    code = {
        str(text)
        for _, _, text, _, _ in extract_from_dir(
            CONSOLE, method_map=[("**.py", "python")], keywords={"_": None, "gettext": None, "gettext_lazy": None}
        )
        if isinstance(text, str)
    }
    known = {str(m.id if isinstance(m.id, str) else m.id[0]): m.string for m in _catalog() if m.id}
    assert sorted((pages | code) - known.keys()) == []
    for text, other in known.items():
        assert other, text
        if isinstance(other, str):
            assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", other)), text


def test_no_page_says_anything_in_english_alone() -> None:
    left = {}
    for path in TEMPLATES:
        plain = re.sub(r"<[^>]*>", " ", TAGS.sub(" ", path.read_text()))
        words = set(re.findall(r"[A-Za-z]{3,}", re.sub(r"&\w+;", " ", plain))) - SAME
        if words and path.name not in FAULTS:
            left[path.name] = words
    assert left == {}


def test_who_chose_dutch_reads_dutch_everywhere(browser: Any, shop: Shop) -> None:
    browser.post("/language", {"language": "nl", "next": "/"})
    assert browser.cookies[COOKIE].value == "nl"
    for address, said in (
        ("/", "Wat aandacht vraagt"),
        ("/accounts", "Accounts zoeken"),
        (f"/accounts/{shop.account}", "Verloop"),
        ("/documents", "Factuur meerverbruik"),
        (f"/documents/{shop.documents['overage_invoice']}/credit", "De factuur klopte niet"),
        ("/payments", "Betalingen"),
        ("/payments/new", "overschrijving"),
        ("/take-over", "Overnemen uit een ander systeem"),
        ("/me", "Tweede factor"),
        ("/open-items", "Openstaande posten"),
    ):
        page = browser.get(address).content.decode()
        assert said in page, (address, said)
        assert '<html lang="nl">' in page, address
    assert "€\u00a0" in browser.get(f"/accounts/{shop.account}").content.decode()
    browser.post("/language", {"language": "en", "next": "/"})
    assert "What wants attention" in browser.get("/").content.decode()
