"""pain.002 as banks write it: of a file of ours, at the level asked for, in the versions of 2009 and 2019."""

from collections.abc import Sequence

from coulance.flows.rails import bank_answers
from coulance.flows.rails.bank_answers import GivenReport, ReportDone
from coulance.integrations.bank.status_report import status_report

OLD, NEW = "pain.002.001.03", "pain.002.001.10"


def _why(code: str, says: str = "") -> str:
    if not code:
        return ""
    more = f"<AddtlInf>{says}</AddtlInf>" if says else ""
    return f"<StsRsnInf><Rsn><Cd>{code}</Cd></Rsn>{more}</StsRsnInf>"


def payment(name: str, status: str = "RJCT", code: str = "", says: str = "") -> str:
    """What is said of one payment."""
    return (
        f"<TxInfAndSts><StsId>S1</StsId><OrgnlInstrId>NOTPROVIDED</OrgnlInstrId><OrgnlEndToEndId>{name}"
        f"</OrgnlEndToEndId><TxSts>{status}</TxSts>{_why(code, says)}<AcctSvcrRef>REF</AcctSvcrRef></TxInfAndSts>"
    )


def batch(name: str, status: str = "", code: str = "", payments: Sequence[str] = ()) -> str:
    """What is said of a batch."""
    said = f"<PmtInfSts>{status}</PmtInfSts>" if status else ""
    return (
        f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>{name}</OrgnlPmtInfId>{said}{_why(code)}{''.join(payments)}"
        "</OrgnlPmtInfAndSts>"
    )


def pain002(
    of: str,
    *batches: str,
    status: str = "",
    code: str = "",
    form: str = OLD,
    message: str = "R1",
    made: str = "2026-11-17T07:30:00",
) -> bytes:
    """A report of a file."""
    said = f"<GrpSts>{status}</GrpSts>" if status else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{form}"><CstmrPmtStsRpt>\n'
        f"<GrpHdr><MsgId>{message}</MsgId><CreDtTm>{made}</CreDtTm></GrpHdr>\n<OrgnlGrpInfAndSts><OrgnlMsgId>{of}"
        f"</OrgnlMsgId><OrgnlMsgNmId>pain.008.001.08</OrgnlMsgNmId>{said}{_why(code)}</OrgnlGrpInfAndSts>\n"
        + "\n".join(batches)
        + "\n</CstmrPmtStsRpt></Document>\n"
    ).encode()


def reads(content: bytes, *, when: object, apply: bool = True) -> ReportDone:
    """Read a report and do what it says."""
    from datetime import datetime

    assert isinstance(when, datetime)
    given = GivenReport("answer.xml", content, status_report(content, name="answer.xml"))
    (done,) = bank_answers.read_reports(files=[given], apply=apply, actor="operator:anna", at=when)
    return done
