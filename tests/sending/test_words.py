"""The words of mails: complete in each language, compiled as written, for every kind of document and any names."""

import io
import re
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

from coulance.catalog.policy_tables import SENDING
from coulance.flows.sending.wording import LANGUAGES, write
from coulance_core.catalog.sending import SentKind
from coulance_core.invoicing import DocumentKind
from tests.documents import samples
from tests.support.database import ROOT

FLOWS = ROOT / "src" / "coulance" / "flows"
PO = FLOWS / "locale" / "nl" / "LC_MESSAGES" / "django.po"


def _catalog() -> Any:
    return read_po(io.BytesIO(PO.read_bytes()), locale="nl", abort_invalid=True)


def test_what_is_compiled_is_what_is_written() -> None:
    written = io.BytesIO()
    write_mo(written, _catalog())
    kept = read_mo(io.BytesIO(PO.with_suffix(".mo").read_bytes()))
    fresh = read_mo(io.BytesIO(written.getvalue()))
    compiled, now = ({m.id: m.string for m in one if m.id} for one in (kept, fresh))
    assert compiled == now, "run: pybabel compile -d src/coulance/flows/locale -D django"


def test_every_text_is_translated_with_its_placeholders() -> None:
    used = {str(text) for _, _, text, _, _ in extract_from_dir(FLOWS, method_map=[("**.py", "python")]) if text}
    known = {str(message.id): str(message.string) for message in _catalog() if message.id}
    assert used
    assert used <= known.keys()
    assert known.keys() <= used, "texts that nothing says any more"
    for text, other in known.items():
        assert other
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", other))


def _documents() -> list[dict[str, Any]]:
    return [samples.overage_invoice(), samples.base_invoice(), samples.credit_note(), samples.statement()]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("document", _documents(), ids=lambda document: document["kind"])
def test_each_kind_says_what_it_is_and_loads_nothing(document: dict[str, Any], language: str) -> None:
    words = write(document, language=language, name="Anna")
    number = document["number"]
    assert number in words.subject
    assert number in words.text
    assert number in words.html
    assert "\n" not in words.subject
    assert not re.search(r"src=|href=|url\(|@import|https?:", words.html)
    assert f'<html lang="{language}">' in words.html
    due = document["kind"] in ("overage_invoice", "base_invoice")
    assert ("RF" in words.text) == due


def test_no_name_becomes_markup_or_a_header() -> None:
    document = samples.overage_invoice()
    evil = '<script>alert(1)</script>" onload="x\r\nBcc: a@b.example'
    document["buyer"] = document["buyer"] | {"name": evil}
    document["seller"] = document["seller"] | {"name": evil}
    words = write(document, language="en", name=evil)
    assert "<script>" not in words.html
    assert 'onload="x' not in words.html


def test_a_language_we_do_not_have_is_english() -> None:
    assert write(samples.overage_invoice(), language="pl").language == "en"


def test_the_provider_file_knows_every_kind_of_document() -> None:
    assert {kind.value for kind in SentKind} == {kind.value for kind in DocumentKind}
    keys = {field.key for field in SENDING.fields}
    assert keys >= {"from", "reply_to", "bounces_to", "mode", "hour", "bcc", "attach"}
