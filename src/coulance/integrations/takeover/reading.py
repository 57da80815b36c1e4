"""A source folder and its mapping, read into a book: the door of the readers."""

from dataclasses import dataclass
from pathlib import Path

from coulance.integrations.takeover import plain, whmcs, whmcs_csv
from coulance.integrations.takeover.fossbilling import read_fossbilling
from coulance.integrations.takeover.gathering import Gathered
from coulance.integrations.takeover.mapping import read_mapping
from coulance.integrations.takeover.whmcs_answers import read_answers
from coulance_core.taking_over import Book, Finding, Where


@dataclass(frozen=True, slots=True)
class Source:
    """What was read: a book, where there is enough to make one, and everything noticed while reading."""

    book: Book | None
    findings: tuple[Finding, ...]


def read_source(folder: Path, mapping: Path) -> Source:
    """Read a folder by a mapping. Nothing is asked of any network, and nothing is written."""
    findings: list[Finding] = []
    read = read_mapping(mapping, findings)
    if read is None:
        return Source(None, tuple(findings))
    into = Gathered(read, findings)
    if not folder.is_dir():
        into.find("unreadable", Where(str(folder)), "it is no folder", "the folder that holds the source's files")
        return Source(None, tuple(findings))
    if read.system == "csv":
        plain.read_plain(folder, into)
        return Source(into.book(), tuple(findings))
    answers = sorted(folder.glob("*.json"))
    plain.read_mandates(folder, into)
    if read.system == "fossbilling":
        paid = read_fossbilling(answers, into)
    elif answers:
        paid = whmcs.build(read_answers(answers, into), into)
    else:
        exports = [path for path in sorted(folder.glob("*.csv")) if path.stem.lower() in whmcs_csv.KINDS]
        paid = whmcs.build(whmcs_csv.read_exports(exports, into), into)
    if not into.customers:
        into.find("unreadable", Where(folder.name), "no customer is in it", "the answers or exports of the old system")
    plain.read_supplements(folder, into, paid)
    return Source(into.book(), tuple(findings))
