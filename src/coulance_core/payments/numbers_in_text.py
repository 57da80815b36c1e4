"""Document numbers in what a payer typed: other spacing, case and zeros are the same number, part of another is not.

A number and a text are cut where letters meet digits and at everything else. `B2026-000017` is B, 2026, 000017; so
`b 2026/17` and `B2026000017` are it, and `B2026-0000171` and `AB2026-17` are not.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_RUN = re.compile(r"[A-Z]+|[0-9]+")
_JOIN = re.compile(r"[\s\-_/.:]{0,3}")
_JOIN_DIGITS = re.compile(r"[\s\-_/:]{0,3}")
"""Between two runs of digits no full stop: 2026.17 may be an amount."""
_LONGEST = 6
"""Parts of a number at most; longer ones are found by their RF reference only."""
_TELLING = 5
"""Digits that a number without letters needs to be told from any other number in a text."""
_TELLING_MIXED = 4
"""Letters and digits (zeros in front aside) that a number with letters needs: A4 is paper, F12 is a door."""
_DATE = re.compile(r"(19|20)[0-9]{2}(0?[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])?")
"""A year and month, and perhaps a day: what is paid for is told by month more often than by number."""


@dataclass(frozen=True, slots=True)
class Found:
    """A number in a text. `strong` when it stands as written, or nearly; weak without its letters, or when short."""

    number: str
    strong: bool
    text: str


@dataclass(frozen=True, slots=True)
class _Run:
    text: str
    start: int
    end: int

    @property
    def plain(self) -> str:
        return self.text.lstrip("0") or "0" if self.text[0].isdigit() else self.text


def _runs(text: str) -> list[_Run]:
    return [_Run(found.group(), found.start(), found.end()) for found in _RUN.finditer(text.upper())]


def _merged(parts: Iterable[str]) -> tuple[str, ...]:
    """Neighbouring digit parts as one."""
    out: list[str] = []
    for part in parts:
        if out and out[-1][0].isdigit() and part[0].isdigit():
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


class NumberFinder:
    """Finds any of many document numbers in texts; each text costs its own length, whatever the count of numbers.

    >>> finder = NumberFinder(["B2026-000017", "B2026-000171", "20260099"])
    >>> [f.number for f in finder.find("betaling b2026 17 en 20260099, dank")]
    ['B2026-000017', '20260099']
    >>> [(f.number, f.strong) for f in finder.find("factuur 2026-171")]
    [('B2026-000171', False)]
    >>> list(finder.find("AB2026-17 or B2026-0000171x9"))
    []
    >>> [f.number for f in finder.find("B2026-000017, 000171")]
    ['B2026-000017', 'B2026-000171']
    """

    def __init__(self, numbers: Iterable[str] = ()) -> None:
        self._keys: dict[tuple[str, ...], dict[str, bool]] = {}
        self._firsts: dict[str, int] = {}
        self._parts: dict[str, tuple[str, ...]] = {}
        self._widths: dict[str, int] = {}
        self._written: dict[str, str] = {}
        for number in numbers:
            self.add(number)

    def add(self, number: str) -> None:
        """Know one more number."""
        if number in self._parts:
            return
        runs = _runs(number)
        parts = tuple(run.plain for run in runs)
        if not 0 < len(parts) <= _LONGEST or not any(part[0].isdigit() for part in parts):
            return
        self._parts[number] = parts
        self._widths[number] = len(runs[-1].text)
        self._written[number] = "".join(run.text for run in runs)
        digits = sum(len(run.text) for run in runs if run.text[0].isdigit())
        letters = any(run.text[0].isalpha() for run in runs)
        telling = (letters and sum(map(len, parts)) >= _TELLING_MIXED) or digits >= _TELLING
        self._key(parts, number, telling)
        whole = _merged(run.text for run in runs)
        self._key(whole, number, telling)
        self._key(tuple(part.lstrip("0") or "0" if part[0].isdigit() else part for part in whole), number, telling)
        if letters:
            bare = [run for run in runs if run.text[0].isdigit()]
            if sum(len(run.text) for run in bare) >= _TELLING:
                self._key(tuple(run.plain for run in bare), number, False)
                self._key(("".join(run.text for run in bare).lstrip("0") or "0",), number, False)

    def _key(self, key: tuple[str, ...], number: str, strong: bool) -> None:
        known = self._keys.setdefault(key, {})
        known[number] = known.get(number, False) or strong
        self._firsts[key[0]] = max(self._firsts.get(key[0], 0), len(key))

    def find(self, text: str) -> Iterator[Found]:
        """Each number in the text, once, in their order; where one way to read it is strong, weak ones don't count.

        A weak reading that fits several numbers gives each of them.
        """
        upper = text.upper()
        runs = _runs(upper)
        given: set[str] = set()
        position = 0
        last: str | None = None
        while position < len(runs):
            length, numbers = self._at(upper, runs, position)
            if not numbers and last is not None:
                length, numbers = self._following(upper, runs, position, last)
            if not numbers:
                position += 1
                last = None if runs[position - 1].text[0].isdigit() else last
                continue
            shown = upper[runs[position].start : runs[position + length - 1].end]
            for number, strong in sorted(numbers.items()):
                if number not in given:
                    given.add(number)
                    yield Found(number, strong, shown)
            last = next(iter(numbers)) if len(numbers) == 1 else None
            position += length

    def _at(self, text: str, runs: list[_Run], position: int) -> tuple[int, Mapping[str, bool]]:
        """The longest number that begins at this run."""
        first = runs[position]
        if position and runs[position - 1].end == first.start:
            return 0, {}  # glued to what stands before it: part of another number
        # A number whose digits are broken by spaces begins with its first part, and so does one written as one.
        reach = self._firsts.get(first.plain, 0)
        longest = min(len(runs) - position, max(reach, _LONGEST if first.text[0].isalpha() and reach else reach))
        if first.text[0].isdigit() and not reach:
            longest = min(len(runs) - position, 1)
        best: tuple[int, Mapping[str, bool]] = (0, {})
        parts: list[str] = []
        raw: list[str] = []
        for length in range(1, longest + 1):
            run = runs[position + length - 1]
            join = _JOIN if first.text[0].isalpha() else _JOIN_DIGITS
            if length > 1 and not join.fullmatch(text[runs[position + length - 2].end : run.start]):
                break
            parts.append(run.plain)
            raw.append(run.text)
            after = position + length
            if after < len(runs) and runs[after].start == run.end:
                continue  # glued to what follows
            numbers = self._keys.get(tuple(parts))
            if numbers is None and raw[0][0].isalpha():
                numbers = self._keys.get(_merged(raw))
            if numbers is not None and _DATE.fullmatch(whole := "".join(raw)):
                # It may be a day as well as a number: weak at best, and only as the number is written.
                numbers = {number: False for number in numbers if self._written[number] == whole} or None
            if numbers is not None:
                strong = {number: True for number, sure in numbers.items() if sure}
                best = (length, strong or numbers)
        return best

    def _following(self, text: str, runs: list[_Run], position: int, last: str) -> tuple[int, Mapping[str, bool]]:
        """A number written short after another: `B2026-000017, 000018` gives the second by the first's beginning."""
        run = runs[position]
        # As wide as the first one's: a day or a house number after a number is no number.
        if not run.text[0].isdigit() or len(run.text) != self._widths[last] or len(run.text) < 3:
            return 0, {}
        after = position + 1
        if after < len(runs) and (runs[after].start == run.end or text[run.end : runs[after].start] in (",", ".")):
            return 0, {}  # glued, or an amount such as 17,50
        before = text[runs[position - 1].end : run.start]
        if not re.fullmatch(r"\s*(,|;|\+|&)?\s*", before) and not re.fullmatch(r"[^0-9]{1,8}", before):
            return 0, {}
        numbers = self._keys.get((*self._parts[last][:-1], run.plain)) if len(self._parts[last]) > 1 else None
        return (1, {number: True for number, sure in numbers.items() if sure}) if numbers else (0, {})
