"""Factur-X: one file for people and machines. And the square to scan: what it says, and when there is none."""

import io
from typing import Any

import facturx
import pikepdf
import pypdf
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from segno import encoder

from coulance.invoicing import einvoice, pdf
from coulance.invoicing.documents import paying, qr
from coulance.invoicing.documents.view import view
from coulance.invoicing.einvoice import hybrid
from coulance_core.invoicing import CreditRequest, CreditType, Issued, credit_note
from tests.core.invoicing import papers, samples
from tests.documents import samples as pages

LINES = [samples.bill_line(m) for m in (4126, 19524)]
INVOICE = papers.issued(samples.document(LINES))
NAMESPACE = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}"


def test_the_pdf_holds_the_cii_and_says_so_and_stays_pdf_a() -> None:
    made = einvoice.factur_x(INVOICE)
    assert made == einvoice.factur_x(INVOICE)
    with pikepdf.open(io.BytesIO(made)) as opened:
        assert opened.check_pdf_syntax() == []
        meta = opened.open_metadata()
        assert meta.pdfa_status == "3B"
        stated = {name: meta[NAMESPACE + name] for name, _, _ in hybrid._PROPERTIES}
        by_file = {str(file.UF): str(file.AFRelationship) for file in opened.Root.AF}
        held = opened.attachments["factur-x.xml"].get_file()
        assert held.mime_type == "text/xml"
        xmp = bytes(opened.Root.Metadata.read_bytes())
    assert stated == {
        "DocumentFileName": "factur-x.xml",
        "DocumentType": "INVOICE",
        "Version": "1.0",
        "ConformanceLevel": "EN 16931",
    }
    assert by_file == {"calculation.json": "/Data", "factur-x.xml": "/Alternative"}
    # PDF/A: a schema that is used is described, each of its properties by name.
    described = etree.fromstring(xmp).xpath("//*[local-name()='property']//*[local-name()='name']/text()")
    assert {"DocumentFileName", "DocumentType", "Version", "ConformanceLevel"} <= set(described)


def test_other_readers_find_it() -> None:
    made = einvoice.factur_x(INVOICE)
    name, xml = facturx.get_xml_from_pdf(made, check_xsd=True)
    assert (name, xml) == ("factur-x.xml", einvoice.cii(INVOICE))
    assert facturx.get_level(etree.fromstring(xml)) == "en16931"
    reader = pypdf.PdfReader(io.BytesIO(made), strict=True)
    plain = pypdf.PdfReader(io.BytesIO(pdf.render(INVOICE)))
    assert [page.extract_text() for page in reader.pages] == [page.extract_text() for page in plain.pages]
    found = einvoice.attached(made)
    assert found is not None
    assert einvoice.validate(found).valid


def test_files_without_one_have_none() -> None:
    assert einvoice.attached(pdf.render(INVOICE)) is None
    for broken in (b"", b"%PDF-1.7", b"%PDF-1.7\nxref\ntrailer<</Root 1 0 R>>\n%%EOF"):
        assert einvoice.attached(broken) is None


@pytest.mark.parametrize("data", [b"", b"%PDF", b"1 0 obj\n<</Length 3/Type/Metadata>>\nstream\nabc\nendstream"])
def test_a_pdf_of_another_make_is_refused_and_not_bent(data: bytes) -> None:
    with pytest.raises(hybrid.UnexpectedPdfError):
        hybrid.declared(data)


# --- the square ---


def said(**changes: Any) -> str | None:
    given = {"amount": "286.17", "currency": "EUR", "number": "O2026-000001"} | changes
    seller = INVOICE["seller"] | given.pop("seller", {})
    return paying.transfer_text(seller, **given)


def test_the_square_says_the_whole_transfer() -> None:
    assert said() == ("BCD\n002\n1\nABNANL2A\nExample Hosting B.V.\nNL91ABNA0417164300\nEUR286.17\n\nRF09O2026000001")
    assert said(number="№ 7") == ("BCD\n002\n1\nABNANL2A\nExample Hosting B.V.\nNL91ABNA0417164300\nEUR286.17\n\n\n№ 7")
    assert said(seller={"bic": "not a bic"}).splitlines()[3] == ""  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": "USD"},
        {"amount": "0.00"},
        {"amount": "-5.00"},
        {"amount": "1000000000.00"},
        {"seller": {"iban": "NL00 DEMO 0000 0000 00"}},
        {"seller": {"iban": ""}},
        {"seller": {"name": " "}},
    ],
)
def test_no_square_is_better_than_a_wrong_one(changes: dict[str, Any]) -> None:
    assert said(**changes) is None


def theirs(text: str) -> list[list[int]]:
    """The code by segno, which pads with a byte too many where the text ends on one (the standard pads with none)."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encoder, "write_padding_bits", lambda buff, version, length: buff.extend([0] * (-length % 8)))
        made = segno.make_qr(text, error="m", mask=qr._MASK, mode="byte", boost_error=False, encoding="utf-8")
    return [list(row) for row in made.matrix]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=110))
def test_a_code_is_the_one_that_another_encoder_makes(text: str) -> None:
    assert qr.modules(text, largest=13).tolist() == theirs(text)


@pytest.mark.parametrize("version", range(1, 14))
def test_a_full_code_of_every_size_is_the_one_that_another_encoder_makes(version: int) -> None:
    room = qr._size(version).capacity - (2 if version < 10 else 3)
    for length in (room, room - 1):
        text = ("\u00e9a" * room).encode()[:length].decode(errors="replace").replace("\ufffd", "x")[:length]
        assert qr.modules(text, largest=13).tolist() == theirs(text)
    with pytest.raises(qr.TooLongError):
        qr.modules("x" * (room + 1), largest=version)


@pytest.mark.parametrize("name", ["x", "Hosting & Söhne €", "ж" * 70, "A" * 70])
def test_the_square_is_black_where_the_code_is_dark(name: str) -> None:
    text = said(seller={"name": name})
    assert text is not None
    drawn = paying.square(text)
    assert drawn is not None
    rows = [[0 if value else 255 for value in row] for row in theirs(text)]
    assert drawn == {"size": len(rows), "pixels": [grey for row in rows for grey in row]}


def test_the_page_shows_the_square_module_for_module() -> None:
    """The picture inside the PDF is the code, black on white, and nothing smooths it."""
    with pikepdf.open(io.BytesIO(pdf.render(INVOICE))) as opened:
        pictures = list(opened.pages[0].get_images().values())
        assert len(pictures) == 1
        shown = pikepdf.PdfImage(pictures[0]).as_pil_image().convert("L")
        assert not pictures[0].get("/Interpolate", False)
    text = said(amount=INVOICE["totals"]["due"])
    assert text is not None
    assert list(shown.tobytes()) == paying.square(text)["pixels"]  # type: ignore[index]


def test_what_is_too_long_for_it_has_none() -> None:
    assert paying.square("x" * 400) is None
    assert paying.square("x" * 40_000) is None


def test_only_what_is_to_be_paid_has_one_and_the_reference_stands_beside_it() -> None:
    shown = view(INVOICE)["callout"]
    assert shown["scan"]["label"] == "Scan to pay"
    assert ["Reference", "RF09 O202 6000 001"] in shown["how"]
    draft = samples.document(LINES)
    note = credit_note(Issued.of(draft, "O1"), lines=[CreditRequest(1)], credit_type=CreditType.CORRECTION,
                       reason="x", issued_on=samples.ON, tax_point=samples.ON)  # fmt: skip
    zero = samples.document([samples.bill_line(300), samples.bill_line(-300)])
    for other in (papers.issued(note, "C1"), papers.issued(zero), INVOICE | {"number": None}, pages.statement()):
        assert "scan" not in view(other)["callout"]
    assert "scan" not in view(INVOICE, pictures=False)["callout"]


def test_a_large_amount_leaves_room_for_it() -> None:
    large = papers.issued(samples.document([samples.bill_line(98_765_432_10)]))
    words = pypdf.PdfReader(io.BytesIO(pdf.render(large))).pages[0].extract_text()
    assert "€119,506,172.84" in words.replace("\u00a0", " ")
