"""Factur-X: the PDF that people read with the CII that machines read inside, and the metadata that says so.

typst writes the PDF/A-3b and attaches the file; what it cannot write is the Factur-X part of the XMP metadata. That
goes into the metadata object in place, and the table of offsets behind it is moved along: no byte of the page changes,
and the same document gives the same file.
"""

import io
import re
from xml.sax.saxutils import escape

FILE_NAME = "factur-x.xml"
CONFORMANCE = "EN 16931"
_NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES = (
    ("DocumentFileName", FILE_NAME, "name of the embedded XML invoice file"),
    ("DocumentType", "INVOICE", "type of the hybrid document"),
    ("Version", "1.0", "version of the Factur-X XML schema"),
    ("ConformanceLevel", CONFORMANCE, "conformance level of the embedded Factur-X data"),
)


class UnexpectedPdfError(RuntimeError):
    """The PDF is not laid out as the typst of this version's lock file lays it out."""


def declared(pdf: bytes) -> bytes:
    """The same PDF with metadata that declares it Factur-X, with the schema description that PDF/A asks for."""
    found = re.search(
        rb"(?P<head>\d+ 0 obj\n<<[^>]*?/Length )(?P<length>\d+)(?P<rest>[^>]*/Type/Metadata[^>]*>>\nstream\n)", pdf
    )
    if not found:
        raise UnexpectedPdfError("expected one uncompressed metadata stream")
    start = found.end()
    old = pdf[start : start + int(found["length"])]
    new = _with_factur_x(old)
    head = found["head"] + str(len(new)).encode() + found["rest"]
    grown = len(head) + len(new) - (start - found.start()) - len(old)
    tail = pdf[start + len(old) :]
    return _moved(pdf[: found.start()] + head + new + tail, after=found.start(), by=grown)


def attached(pdf: bytes) -> bytes | None:
    """The attached invoice of a PDF from anywhere; none when there is none, or the file can't be read."""
    import pypdf
    from pypdf.errors import PyPdfError

    try:
        found = pypdf.PdfReader(io.BytesIO(pdf)).attachments.get(FILE_NAME) or []
    except (PyPdfError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return bytes(found[0]) if found else None


def _with_factur_x(xmp: bytes) -> bytes:
    description = (
        '<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>'
        f"<pdfaSchema:namespaceURI>{_NAMESPACE}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        "<pdfaSchema:property><rdf:Seq>"
        + "".join(
            '<rdf:li rdf:parseType="Resource"><pdfaProperty:category>external</pdfaProperty:category>'
            f"<pdfaProperty:description>{about}</pdfaProperty:description><pdfaProperty:name>{name}</pdfaProperty:name>"
            "<pdfaProperty:valueType>Text</pdfaProperty:valueType></rdf:li>"
            for name, _, about in _PROPERTIES
        )
        + "</rdf:Seq></pdfaSchema:property></rdf:li>"
    )
    values = "".join(f"<fx:{name}>{escape(value)}</fx:{name}>" for name, value, _ in _PROPERTIES)
    stated = f'<rdf:Description rdf:about="" xmlns:fx="{_NAMESPACE}">{values}</rdf:Description>'
    for mark, inserted, behind in (
        (b"<pdfaExtension:schemas><rdf:Bag>", description, True),
        (b"</rdf:RDF>", stated, False),
    ):
        if xmp.count(mark) != 1:
            raise UnexpectedPdfError(f"expected {mark.decode()} once in the metadata")
        text = inserted.encode()
        xmp = xmp.replace(mark, mark + text if behind else text + mark)
    return xmp


def _moved(pdf: bytes, *, after: int, by: int) -> bytes:
    """The file with the offsets of everything behind `after` moved by `by`."""
    last = re.search(rb"startxref\n(\d+)\n%%EOF\s*$", pdf)
    if not last:
        raise UnexpectedPdfError("expected one table of offsets at the end")
    table = int(last[1]) + by
    if not pdf[table:].startswith(b"xref\n"):
        raise UnexpectedPdfError("the table of offsets is not where it is said to be")

    def entry(found: re.Match[bytes]) -> bytes:
        offset = int(found[1])
        return b"%010d %s n" % (offset + by if offset > after else offset, found[2])

    body = re.sub(rb"(?m)^(\d{10}) (\d{5}) n", entry, pdf[table : last.start()])
    return pdf[:table] + body + b"startxref\n%d\n%%%%EOF" % table
