"""The PDF says what is due, why and what to do; it is PDF/A-3b, repeatable, complete, and deaf to markup in names."""

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pikepdf
import pypdf
import pytest
import typst

from coulance.invoicing import pdf
from coulance.invoicing.documents.view import view
from coulance.platform import typesetting
from coulance_core.kernel import Explanation
from tests.documents import samples

HOSTILE = [
    '#image("/etc/passwd")',
    "*bold* _italic_ $x^2$ `raw` @ref <label>",
    '] #panic("x") [',
    "\\",
    "#{while true {}}",
    "Ünïcode Œuvre Łódź Ελλάδα Москва",
    "<script>alert(1)</script>",
    "'\"`{}",
    "{number} {0} %s",
]


def text_of(document: bytes) -> str:
    """All pages' text, its lines and spaces made plain."""
    pages = pypdf.PdfReader(io.BytesIO(document)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).replace("\u00a0", " ").split())


def pages_of(document: bytes) -> int:
    return len(pypdf.PdfReader(io.BytesIO(document)).pages)


def renamed(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The document with every text that a customer or his panel chose replaced."""
    service = {"id": name, "name": name}
    return document | {
        "buyer": samples.BUYER | {"name": name, "address": [name, name], "external_id": name},
        "lines": [line | {"service": service, "description": name} for line in document["lines"]],
        "usage": [item | {"service": service, "conventions": [name]} for item in document["usage"]],
        "notes": [name],
    }


def test_an_overage_invoice_says_amount_date_reason_and_how_to_pay() -> None:
    text = text_of(pdf.render(samples.overage_invoice()))
    for said in (
        "Overage invoice O2026-000045",
        "Amount due €49.92 to be paid by 15 November 2026",
        "NL91 ABNA 0417 1643 00",
        "web-01.korenaar.example used 1,412.6 GB of 1,000 GB included: 412.6 GB over at €0.10 per GB = €41.26.",
        "With tax of €8.66 that is €49.92.",
        "The fixed price of your services is on an invoice of its own.",
        "8,917 of 8,928 samples (99.87 %)",
        "outgoing traffic only",
        "= used − included 412.6 GB",
        "Only the amount you dispute waits for our answer",
        "Page 1 of 1",
    ):
        assert said in text, said


def test_a_percentile_line_names_commit_and_figure_and_a_pool_its_members() -> None:
    text = text_of(pdf.render(samples.rich_overage_invoice()))
    assert (
        "Port AMS-7 reached 362.7 Mbit/s at the 95th percentile where 200 Mbit/s was committed: 162.7 Mbit/s over"
    ) in text
    assert "And 2 more, in the lines below." in text
    assert "1 to 30 September 2026 · late samples" in text
    pool = text_of(pdf.render(samples.pool_invoice()))
    assert "The services of pool europe together used 7,745.6 GB of 6,000 GB included: 1,745.6 GB over" in pool
    for i in range(12):
        assert f"shop-{i + 1:02}.example" in pool


def test_a_pool_is_known_by_its_key_or_by_its_totals() -> None:
    document = samples.pool_invoice()
    totals = {"pool_used": "7745.6", "pool_allowance": "6000", "pool_overage": "1745.6", "pool": "Fleet traffic"}
    by_totals = document | {"usage": [u | totals for u in document["usage"]]}
    by_key = document | {
        "usage": [u | totals | {"pool_overage": None, "pool_key": "europe"} for u in document["usage"]]
    }
    for one in (by_totals, by_key):
        shown = view(one)
        assert shown["lines"][0]["name"] == "Pool Fleet traffic"
        assert shown["pictures"][0]["title"] == "Pool Fleet traffic"
        assert shown["why"]["reasons"][0].startswith("The services of pool Fleet traffic together used 7,745.6")


def test_pictures_stand_dearest_first_on_an_invoice() -> None:
    shown = view(samples.rich_overage_invoice())
    assert [p["title"].split(" – ")[0] for p in shown["pictures"]] == [
        "Port AMS-7",
        "web-01.korenaar.example",
        "Mail for korenaar.example",
        "Backup bucket",
    ]


def test_a_credit_note_is_in_favour_and_names_its_invoice() -> None:
    text = text_of(pdf.render(samples.credit_note()))
    assert "In your favour €24.20" in text
    assert "We lower the price of what invoice O2026-000045 charged." in text
    assert "Corrects" in text
    assert "Amount due" not in text
    assert "−€24.20" in text


def test_statements_and_zero_invoices_ask_for_nothing() -> None:
    statement = text_of(pdf.render(samples.statement()))
    assert "Nothing to pay" in statement
    assert "Nothing was used beyond what is included" in statement
    assert "Pay to" not in statement
    empty = text_of(pdf.render(samples.base("overage_invoice", "O2026-1")))
    assert "Nothing to pay €0.00" in empty


def test_base_and_overage_say_that_they_are_apart() -> None:
    assert "Use beyond what is included is invoiced apart" in text_of(pdf.render(samples.base_invoice()))
    assert "on an invoice of its own" in text_of(pdf.render(samples.overage_invoice()))


def test_tax_reasons_and_national_tax_are_printed() -> None:
    document = samples.overage_invoice(
        tax=[
            {"code": "EU-RC", "rate": "0", "base": "41.26", "tax": "0.00", "reason": "reverse_charge", "country": "DE"}
        ],
        totals={"net": "41.26", "tax": "0.00", "gross": "41.26"},
        national={"currency": "SEK", "rate": "11.0235", "date": "2026-10-30", "tax": "95.47"},
    )
    text = text_of(pdf.render(document))
    assert "VAT reverse-charged: the tax is payable by the customer." in text
    assert "Tax in SEK: SEK 95.47 (1 EUR = 11.0235 SEK on 30 October 2026)" in text
    assert "With tax of" not in text


def test_a_draft_says_so_and_gives_no_account_to_pay_to() -> None:
    text = text_of(pdf.render(samples.overage_invoice(number=None, issued_on=None)))
    assert "This is a draft. It has no number and asks for no payment." in text
    assert "Pay to" not in text


def test_dutch_reads_dutch() -> None:
    text = text_of(pdf.render(samples.overage_invoice(language="nl")))
    assert "Factuur meerverbruik O2026-000045" in text
    assert "Te betalen € 49,92 uiterlijk 15 november 2026" in text
    assert "verbruikte 1.412,6 GB van 1.000 GB inbegrepen: 412,6 GB meer tegen € 0,10 per GB = € 41,26." in text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_never_markup(name: str) -> None:
    text = text_of(pdf.render(renamed(samples.overage_invoice(), name)))
    squeezed = "".join(text.split())
    assert squeezed.count("".join(name.split())) >= 4
    assert "root:" not in text


@pytest.mark.parametrize(
    "name",
    ["😀🎉 中文 한국어", "\ud800", "\x00\x01\x1b[31m", "\u3164\u3164"],
    ids=["emoji", "surrogate", "control", "filler"],
)
def test_what_no_font_has_is_visibly_replaced(name: str) -> None:
    made = pdf.render(renamed(samples.overage_invoice(), name))
    assert "\ufffd" in text_of(made)


def test_direction_overrides_cannot_turn_an_amount_round() -> None:
    text = text_of(pdf.render(renamed(samples.overage_invoice(), "\u202e00.21\u202c A")))
    assert "00.21 A" in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "name", ["עברית שלום", "مرحبا بالعالم", "a" + "\u0301\u0302" * 60, "أَإِ" * 40, "\u05d0\u0301" * 20 + "中"]
)
def test_right_to_left_and_stacked_marks_render(name: str) -> None:
    made = pdf.render(renamed(samples.overage_invoice(), name))
    assert "€49.92" in text_of(made)


def test_very_long_words_break_inside_the_page() -> None:
    made = pdf.render(renamed(samples.overage_invoice(), "x" * 400))
    for page in pypdf.PdfReader(io.BytesIO(made)).pages:
        rows = [line for line in page.extract_text().splitlines() if "xxx" in line]
        assert all(len(row) < 140 for row in rows)


def test_many_lines_make_numbered_pages_with_every_line() -> None:
    made = pdf.render(samples.base_invoice(services=300))
    reader = pypdf.PdfReader(io.BytesIO(made))
    pages = len(reader.pages)
    assert 8 < pages < 20
    text = text_of(made)
    for i in range(300):
        assert f"server-{i + 1:03}.korenaar.example" in text
    assert f"Page {pages} of {pages}" in text
    assert "Bakkerij De Korenaar" in reader.pages[pages - 1].extract_text()
    assert "Lines 1–300" in text


def test_the_same_snapshot_gives_the_same_bytes_in_any_thread() -> None:
    document = samples.rich_overage_invoice()
    first = pdf.render(document)
    with ThreadPoolExecutor(2) as pool:
        again = list(pool.map(pdf.render, [document, samples.credit_note(), document]))
    assert again[0] == first
    assert again[2] == first
    assert pdf.render(json.loads(json.dumps(document))) == first


def test_it_claims_pdf_a_3b_embeds_every_font_and_carries_the_calculation() -> None:
    document = samples.rich_overage_invoice()
    made = pdf.render(document)
    with pikepdf.open(io.BytesIO(made)) as opened:
        meta = opened.open_metadata()
        assert (meta["pdfaid:part"], meta["pdfaid:conformance"]) == ("3", "B")
        assert "/OutputIntents" in opened.Root
        assert "/Encrypt" not in opened.trailer
        names = set()
        for page in opened.pages:
            for font in (page.resources.get("/Font") or {}).values():
                names.add(str(font.BaseFont))
                descendant = font.DescendantFonts[0] if "/DescendantFonts" in font else font
                descriptor = descendant.FontDescriptor
                assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor.keys())
        assert names
        assert list(opened.attachments) == ["calculation.json"]
        attached = opened.attachments["calculation.json"]
        assert attached.get_file().mime_type == "application/json"
        held = json.loads(attached.get_file().read_bytes())
    assert held["number"] == "O2026-000046"
    assert [line["net"] for line in held["lines"]] == [line["net"] for line in document["lines"]]
    for line in held["lines"]:
        assert Explanation.from_json(line["explanation"]).recompute()
    assert all("chart" not in item for item in held["usage"])


def test_the_date_of_the_file_is_the_documents_own() -> None:
    info = pypdf.PdfReader(io.BytesIO(pdf.render(samples.overage_invoice()))).metadata
    assert info is not None
    assert info.creation_date is not None
    assert info.creation_date.date().isoformat() == "2026-11-01"
    assert info.title == "Overage invoice O2026-000045"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "other/1"}, "schema"),
        ({"kind": "receipt"}, "kind"),
        ({"seller": None}, "seller"),
        ({"totals": {"net": "1", "tax": "x", "gross": "1"}}, "totals.tax"),
        ({"currency": None}, "currency"),
        ({"lines": None}, "lines"),
    ],
)
def test_what_is_no_document_is_refused_with_the_field(change: dict[str, Any], said: str) -> None:
    with pytest.raises(pdf.UnableToRenderError, match=said):
        pdf.render(samples.overage_invoice() | change)


def test_when_typst_cannot_set_a_text_plainer_text_is_tried_and_then_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    class PanicException(BaseException):  # pyo3 raises one of this name, outside Exception
        pass

    def fails(template: object, inputs: dict[str, str], made: object) -> bytes:
        tried.append(json.loads(inputs["data"])["buyer"][0])
        if len(tried) == 1:
            raise PanicException("index out of bounds")
        raise typst.TypstError("no", "no")

    monkeypatch.setattr(typesetting, "_compile", fails)
    with pytest.raises(pdf.UnableToRenderError, match="O2026-000045"):
        pdf.render(renamed(samples.overage_invoice(), "שלום"))
    assert tried == ["שלום", "\ufffd" * 4]


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(typesetting, "_compile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pdf.render(samples.overage_invoice())


def test_threads_have_compilers_of_their_own() -> None:
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(pdf.render(samples.credit_note()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
