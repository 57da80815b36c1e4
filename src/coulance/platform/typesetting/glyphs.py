"""Which characters our bundled fonts can show, and what stands in for the others.

PDF/A refuses a character that no font has, so a customer's name with one would stop his invoice. Such a character is
shown as the replacement sign instead: visibly lost, never silently. The table `glyphs.txt` is what typst's own fonts
answered; a test measures it again, and `python -m coulance.platform.typesetting.glyphs` writes it anew.
"""

import functools
import json
import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

REPLACEMENT = "\ufffd"
TABLE = Path(__file__).with_name("glyphs.txt")
FONTS = ("Libertinus Serif", "DejaVu Sans Mono")

_SPACES = re.compile(r"[\t\n\r\v\f\x85\u2028\u2029]+")
# Direction marks and overrides can make an amount read backwards; the others show nothing at all.
_DROPPED = re.compile(
    "[\u00ad\u061c\u180b-\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb]"
)
_LONG = re.compile(r"[^\s\u200b-]{29,}")
_PLAIN = re.compile(r"[\x20-\x7e\xa0-\xac\xae-\xff]*")
_RIGHT_TO_LEFT = frozenset(("R", "AL", "AN", "NSM"))
# Letters that show as nothing; a name made of them would vanish.
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")


def safe(text: str) -> str:
    """`text` as the fonts can show it: composed, without controls or direction overrides, with break points in very
    long words, and the replacement sign for what no font has.

    >>> safe("Müller\\u202e & 中 \\x00b")
    'Müller & \\ufffd \\ufffdb'
    """
    if len(text) < 29 and _PLAIN.fullmatch(text):
        return text
    text = _DROPPED.sub("", _SPACES.sub(" ", unicodedata.normalize("NFC", text)))
    if not _PLAIN.fullmatch(text):
        text = "".join(c if c == " " or shows(c) else REPLACEMENT for c in text)
    return _LONG.sub(_breakable, text)


def plain(text: str) -> str:
    """`text` with only letters, signs and marks that are written from left to right and stand alone.

    What is left to try when typst can't set a text of `safe`.

    >>> plain("Œuvre שלום 1")
    'Œuvre \ufffd\ufffd\ufffd\ufffd 1'
    """
    return "".join(
        c
        if c == " " or (unicodedata.bidirectional(c) not in _RIGHT_TO_LEFT and not unicodedata.combining(c))
        else REPLACEMENT
        for c in safe(text)
    )


def _breakable(match: re.Match[str]) -> str:
    word = match.group()
    return "\u200b".join(word[i : i + 14] for i in range(0, len(word), 14))


def shows(character: str) -> bool:
    """Whether a bundled font has this character, upright and bold."""
    starts, ends = _ranges()
    at = bisect_right(starts, ord(character)) - 1
    return at >= 0 and ord(character) <= ends[at] and character not in _BLANK


@functools.cache
def _ranges() -> tuple[list[int], list[int]]:
    starts, ends = [], []
    for line in TABLE.read_text("ascii").split():
        first, _, last = line.partition("-")
        starts.append(int(first, 16))
        ends.append(int(last or first, 16))
    return starts, ends


_PROBE = """#set document(date: datetime(year: 2026, month: 1, day: 1))
#set page(width: 400cm, height: 400cm)
#set text(font: json(bytes(sys.inputs.fonts)), weight: sys.inputs.weight, fallback: false)
#for c in json(bytes(sys.inputs.data)) { box(c) + " " }
"""
_MISSING = re.compile(r'the text `"(.+?)"` could not be displayed', re.DOTALL)


def measured(until: int = 0x20000) -> Iterator[tuple[int, int]]:
    """Ask typst, character by character, what its bundled fonts show; gives the ranges of code points."""
    candidates = [
        chr(i) for i in range(0x21, until) if unicodedata.category(chr(i)) not in ("Cc", "Cs", "Cn", "Co", "Zs")
    ]
    covered = {0x20, *(ord(c) for c in "\u00a0\u2002\u2003\u2009\u200a\u202f")}
    for start in range(0, len(candidates), 3000):
        batch = candidates[start : start + 3000]
        covered |= {ord(c) for c in batch} - _missing(batch, "regular") - _missing(batch, "bold")
    first = last = -1
    for point in sorted(covered):
        if point != last + 1 or first < 0:
            if first >= 0:
                yield first, last
            first = point
        last = point
    yield first, last


def _missing(characters: list[str], weight: str) -> set[int]:
    import typst  # only the probe needs the compiler; `safe` does not

    try:
        typst.compile(
            _PROBE.encode(),
            format="pdf",
            font_paths=typst.Fonts(include_system_fonts=False),
            ignore_system_fonts=True,
            pdf_standards="a-3b",
            sys_inputs={"data": json.dumps(characters), "fonts": json.dumps(FONTS), "weight": weight},
        )
    except typst.TypstError as error:
        named = _MISSING.findall(error.diagnostic)
        if not named:
            raise
        return {int(n[3:-1], 16) if n.startswith("\\u{") else ord(n[0]) for n in named}
    return set()


def table() -> str:
    """The measured ranges as the table is written: one hexadecimal range a line."""
    return "".join(f"{a:x}\n" if a == b else f"{a:x}-{b:x}\n" for a, b in measured())


if __name__ == "__main__":
    sys.stdout.write(table())
