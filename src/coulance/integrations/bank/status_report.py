"""pain.002, what a bank answers to a file of ours: versions 3 (2009) to 14, read whole.

Versions differ little in what is read here: since version 6 a batch may have no status of its own and codes are an
external list; the names of elements stayed. A report is as large as the file it answers to, so it is read at once, up
to `LARGEST` bytes.
"""

import re
from pathlib import Path

from lxml import etree

from coulance.integrations.bank import camt_facts as facts
from coulance.integrations.bank.errors import UnableToReadBankFileError
from coulance_core.payments.bank_answers import BankAnswer, OfBatch, OfPayment, Reason

LARGEST = 64 * 1024 * 1024
"""Bytes of a report: some hundred thousand payments."""
_NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:(pain\.002\.001\.(\d\d))")
_VERSIONS = range(3, 15)
_CODE = re.compile(r"[A-Z]{4}")
_NOT_GIVEN = "NOTPROVIDED"


def is_status_report(head: bytes) -> bool:
    """Whether the beginning of a file is that of a report.

    >>> is_status_report(b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.03">')
    True
    """
    return b"pain.002.001." in head


def is_status_report_file(path: Path) -> bool:
    """Whether a file is a report, as its beginning says; one that can't be opened is none."""
    try:
        with path.open("rb") as file:
            return is_status_report(file.read(4096))
    except OSError:
        return False


def read_status_report(path: Path) -> tuple[BankAnswer, bytes]:
    """The report in a file, and its bytes. Raises `UnableToReadBankFileError`; then nothing of it counts."""
    name = path.name
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST else b""
    except OSError as fault:
        raise UnableToReadBankFileError(str(path), f"can't be opened: {fault.strerror or fault}") from fault
    if size > LARGEST:
        raise UnableToReadBankFileError(name, f"{size} bytes in one report; expected at most {LARGEST}")
    if not data.strip(b"\0 \r\n\t"):
        raise UnableToReadBankFileError(name, "the file is empty")
    return status_report(data, name=name), data


def status_report(data: bytes, *, name: str) -> BankAnswer:
    """The report in these bytes; see `read_status_report`."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, remove_comments=True,
        remove_pis=True, huge_tree=False,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as fault:
        raise UnableToReadBankFileError(
            f"{name}: line {fault.lineno or 1}",
            f"not well-formed XML ({fault.msg}): is it the bank's pain.002, whole and unaltered?",
        ) from fault
    form = _form(root, name)
    report = facts.child(root, "CstmrPmtStsRpt")
    if report is None:
        raise _fault(name, root, "no CstmrPmtStsRpt in it; expected a customer payment status report")
    header, group = facts.child(report, "GrpHdr"), facts.child(report, "OrgnlGrpInfAndSts")
    if header is None or not facts.text(header, "MsgId"):
        raise _fault(name, report, "no message id; expected GrpHdr with MsgId")
    if group is None or not facts.text(group, "OrgnlMsgId"):
        raise _fault(
            name, report, "it doesn't say which file it answers to; expected OrgnlGrpInfAndSts with OrgnlMsgId"
        )
    try:
        created = facts.header(header).created_at
    except facts.CamtFactError as fault:
        raise UnableToReadBankFileError(f"{name}: line {fault.line}", str(fault)) from fault
    batches = tuple(_batch(one, name) for one in facts.children(report, "OrgnlPmtInfAndSts"))
    found = BankAnswer(
        message=facts.text(header, "MsgId"),
        created_at=created,
        of=facts.text(group, "OrgnlMsgId"),
        of_form=facts.text(group, "OrgnlMsgNmId"),
        status=_status(group, "GrpSts", name),
        reasons=_reasons(group),
        batches=batches,
        form=form,
        place=f"{name}: line {group.sourceline}",
    )
    if not found.status and not any(one.status or one.payments for one in batches):
        raise _fault(name, group, "it gives no status, of the file or of anything in it; expected GrpSts or TxSts")
    return found


def _form(root: facts.Element, name: str) -> str:
    info = root.getroottree().docinfo
    if info.doctype or info.internalDTD is not None:
        raise UnableToReadBankFileError(f"{name}: line 1", "it has a document type (DOCTYPE); bank files have none")
    space = etree.QName(root).namespace or ""
    found = _NAMESPACE.fullmatch(space)
    if found is None or int(found[2]) not in _VERSIONS or facts.local(root) != "Document":
        raise _fault(
            name,
            root,
            f"the root is {facts.local(root)} of {space or 'no namespace'}; expected Document of pain.002, versions"
            f" {_VERSIONS[0]} to {_VERSIONS[-1]}",
        )
    return found[1]


def _batch(element: facts.Element, name: str) -> OfBatch:
    batch = facts.text(element, "OrgnlPmtInfId")
    if not batch:
        raise _fault(name, element, "it doesn't say which batch it means; expected OrgnlPmtInfId")
    return OfBatch(
        batch=batch,
        status=_status(element, "PmtInfSts", name),
        reasons=_reasons(element),
        payments=tuple(_payment(one, name) for one in facts.children(element, "TxInfAndSts")),
        place=f"{name}: line {element.sourceline}",
    )


def _payment(element: facts.Element, name: str) -> OfPayment:
    said = facts.text(element, "OrgnlEndToEndId")
    if said in ("", _NOT_GIVEN):
        said = facts.text(element, "OrgnlInstrId")
    if said in ("", _NOT_GIVEN):
        raise _fault(name, element, "it doesn't say which payment it means; expected OrgnlEndToEndId")
    status = _status(element, "TxSts", name)
    if not status:
        raise _fault(name, element, f"it gives no status of {said[:40]}; expected TxSts")
    return OfPayment(said, status, _reasons(element), f"{name}: line {element.sourceline}")


def _status(element: facts.Element, tag: str, name: str) -> str:
    found = facts.child(element, tag)
    if found is None:
        return ""
    said = facts.text(found)
    if not _CODE.fullmatch(said):
        raise _fault(name, found, f"{tag} is {said[:20]!r}; expected four letters such as RJCT")
    return said


def _reasons(element: facts.Element) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            facts.text(one, "Rsn/Cd") or facts.text(one, "Rsn/Prtry"),
            " ".join(said for said in (facts.text(more) for more in facts.children(one, "AddtlInf")) if said),
        )
        for one in facts.children(element, "StsRsnInf")
    )


def _fault(name: str, element: facts.Element, message: str) -> UnableToReadBankFileError:
    return UnableToReadBankFileError(f"{name}: line {element.sourceline or 1}", message)
