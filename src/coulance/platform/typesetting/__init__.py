"""PDF/A-3b by typst, from a template of ours and values.

Texts reach typst as data, so no name can inject markup; there are no packages, no system fonts, and no files beyond the
template's own directory. The same values give the same bytes, anywhere and always.
"""

import json
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst

from coulance.platform.typesetting.glyphs import plain, safe

_own = threading.local()


class UnableToTypesetError(ValueError):
    """What typst can't set, even with its unusual characters replaced."""


def typeset(
    template: Path,
    shown: Mapping[str, Any],
    *,
    made: datetime,
    beside: Mapping[str, str] | None = None,
    verbatim: frozenset[str] = frozenset(),
) -> bytes:
    """The PDF of `shown`, laid out by `template`, which finds it as JSON in the input `data`.

    `beside` are more inputs, given as they are (what is attached). Texts of `shown` are put as the fonts can show them,
    but for values under a key in `verbatim`: pictures, and codes that are copied letter by letter. `made` is the time
    in the file.

    Safe in several threads at once; typst works outside the interpreter's lock. Not after a fork: typst keeps threads
    of its own, and a forked child waits for ones it doesn't have; give worker processes the `spawn` way. Raises
    `UnableToTypesetError`.
    """
    problem = ""
    for clean in (safe, plain):
        data = json.dumps(_cleaned(shown, clean, verbatim), ensure_ascii=False)
        try:
            return _compile(template, {"data": data, **(beside or {})}, made)
        except typst.TypstError as error:
            problem = str(error)
        except BaseException as error:
            # A panic inside typst arrives as pyo3's own BaseException; anything else is not ours to keep.
            if type(error).__name__ != "PanicException":
                raise
            problem = f"typst failed inside: {error}"
            _own.__dict__.clear()
    raise UnableToTypesetError(problem)


def json_beside(value: Any) -> str:
    """`value` as JSON to attach, for `beside`."""
    # A lone surrogate is valid in a JSON escape, but in no encoding of text.
    return json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace").decode("utf-8")


def _compile(template: Path, inputs: Mapping[str, str], made: datetime) -> bytes:
    done = _compiler(template).compile(
        format="pdf", pdf_standards="a-3b", timestamp=int(made.timestamp()), sys_inputs=dict(inputs)
    )
    if not isinstance(done, bytes):
        raise TypeError(f"typst gave {type(done).__name__}, expected bytes")
    return done


@cache
def _fonts() -> typst.Fonts:
    """The fonts that typst carries, loaded once and shared: half the time of a document otherwise."""
    return typst.Fonts(include_system_fonts=False)


def _compiler(template: Path) -> typst.Compiler:
    """This thread's compiler: it holds the inputs of the document under way, so threads can't share one."""
    made: dict[Path, typst.Compiler] = _own.__dict__.setdefault("compilers", {})
    if template not in made:
        made[template] = typst.Compiler(
            str(template), root=str(template.parent), font_paths=_fonts(), ignore_system_fonts=True
        )
    return made[template]


def _cleaned(value: Any, clean: Callable[[str], str], verbatim: frozenset[str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {k: v if k in verbatim else _cleaned(v, clean, verbatim) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(v, clean, verbatim) for v in value]
    return value
