"""Reports of banks on files of ours (pain.002): read at every level, and refused with where and what. No database."""

import pytest

from coulance.integrations.bank.errors import UnableToReadBankFileError
from coulance.integrations.bank.status_report import status_report
from tests.rails.answers import batch, pain002, payment

GOOD = pain002("DD20261116-1", batch("B1", "PART", payments=[payment("DD0000000001", "RJCT", "AC04")]), status="PART")
BOMB = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha">]><Document>&a;</Document>'
BAD: dict[str, tuple[bytes, str]] = {
    "cut off": (GOOD[:-40], "not well-formed XML"),
    "a document type": (BOMB, "line 1: it has a document type"),
    "another message": (GOOD.replace(b"pain.002.001.03", b"pain.008.001.02"), "line 2: the root is Document of"),
    "a version before": (GOOD.replace(b"pain.002.001.03", b"pain.002.001.02"), "of pain.002, versions 3 to 14"),
    "no message id": (GOOD.replace(b"<MsgId>R1</MsgId>", b""), "line 2: no message id"),
    "no file named": (GOOD.replace(b"<OrgnlMsgId>DD20261116-1<", b"<OrgnlMsgId><"), "which file it answers to"),
    "no batch named": (GOOD.replace(b"<OrgnlPmtInfId>B1<", b"<OrgnlPmtInfId><"), "line 5: it doesn't say which batch"),
    "no payment named": (GOOD.replace(b"DD0000000001", b"NOTPROVIDED"), "line 5: it doesn't say which payment"),
    "a payment without": (GOOD.replace(b"<TxSts>RJCT</TxSts>", b""), "it gives no status of DD0000000001"),
    "a status of words": (GOOD.replace(b"<TxSts>RJCT<", b"<TxSts>rejected<"), "TxSts is 'rejected'"),
    "no instant": (GOOD.replace(b"2026-11-17T07:30:00", b"yesterday"), "line 3: 'yesterday' is no instant"),
    "no status at all": (pain002("DD1"), "it gives no status"),
}


def test_a_bad_report_says_where_and_what() -> None:
    for what, (content, said) in BAD.items():
        with pytest.raises(UnableToReadBankFileError) as refused:
            status_report(content, name="bad.xml")
        assert said in str(refused.value), what
        assert str(refused.value).startswith("bad.xml: line "), what


@pytest.mark.parametrize("form", ["pain.002.001.03", "pain.002.001.10", "pain.002.001.14"])
def test_every_level_and_reason_is_read(form: str) -> None:
    more = (
        payment("DD2", "ACSP"),
        payment("NOTPROVIDED", "PDNG").replace("<OrgnlInstrId>NOTPROVIDED", "<OrgnlInstrId>DD3"),
    )
    own = "<StsRsnInf><Rsn><Prtry>B7</Prtry></Rsn><AddtlInf>ask</AddtlInf><AddtlInf>us</AddtlInf></StsRsnInf>"
    content = pain002(
        "DD20261116-1", batch("B1", "PART", payments=[payment("DD1", "RJCT", "AC04", "closed"), *more]),
        batch("B2", "RJCT").replace("</PmtInfSts>", f"</PmtInfSts>{own}"), status="PART", form=form,
    )  # fmt: skip
    read = status_report(content, name="a.xml")
    assert (read.message, read.of, read.of_form, read.status, read.form) == (
        "R1", "DD20261116-1", "pain.008.001.08", "PART", form
    )  # fmt: skip
    one, two = read.batches
    assert [(p.end_to_end_id, p.status, [(r.code, r.says) for r in p.reasons]) for p in one.payments] == [
        ("DD1", "RJCT", [("AC04", "closed")]), ("DD2", "ACSP", []), ("DD3", "PDNG", [])
    ]  # fmt: skip
    assert (two.status, [(r.code, r.says) for r in two.reasons], two.payments) == ("RJCT", [("B7", "ask us")], ())
