"""A TOML text as a tree that remembers where each key and value stands.

`tomllib` says whether the text is TOML and what each value is; tree-sitter says where it stands. A text with syntax
errors gives one fault for each broken line: the line is taken out and the rest is read, so that one slip does not hide
the others.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

import tree_sitter_toml
from tree_sitter import Language, Parser
from tree_sitter import Node as Syntax

from coulance.catalog.faults import Faults, Place

type_name = {
    str: "a text",
    int: "a whole number",
    float: "a number with a point",
    bool: "true or false",
    datetime: "a date with a time",
    date: "a date",
    time: "a time",
    dict: "a table",
    list: "a list",
}

Scalar = str | int | float | bool | date | datetime | time


@dataclass(slots=True)
class Node:
    """A value and its place. `value` is a scalar, a dict of nodes or a list of nodes; `key` is where its key stands."""

    value: "Scalar | dict[str, Node] | list[Node]"
    place: Place
    key: Place
    path: str = ""
    broken: bool = field(default=False)
    """Whether its text had syntax errors, so that something may be missing from it that was in fact written."""

    def plain(self) -> Any:
        """The bare value, as `tomllib` gives it."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    @property
    def kind(self) -> str:
        """Its TOML type in words."""
        return type_name[type(self.value)]

    def at(self, path: str) -> "Node | None":
        """The node at a path like `versions[0].base` below this one, or the deepest one there is on the way."""
        node = self
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            if name and isinstance(node.value, dict) and name in node.value:
                node = node.value[name]
            elif index and isinstance(node.value, list) and int(index) < len(node.value):
                node = node.value[int(index)]
            else:
                break
        return node


_MOST_SYNTAX_FAULTS = 50
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HEADER = re.compile(r"\s*\[")
_PARSER = Parser(Language(tree_sitter_toml.language()))


def parse_toml(text: str, file: str, faults: Faults) -> Node:
    """The tree of a TOML text; syntax errors go to `faults`, and what is still readable is in the tree."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    broken = False
    for _ in range(_MOST_SYNTAX_FAULTS):
        try:
            tomllib.loads("\n".join(lines))
            break
        except tomllib.TOMLDecodeError as error:
            broken = True
            _blank(lines, _report(str(error), lines, file, faults))
        except RecursionError:
            broken = True
            faults.add(Place(file, 1, 1), "", "lists or tables nested too deeply", "a few levels at most")
            lines = [""]
    else:
        lines = [""]
    root = Node({}, Place(file), Place(file), broken=broken)
    encoded = "\n".join(lines).encode()
    _fill(root, _PARSER.parse(encoded).root_node, _Source(file, encoded.split(b"\n")))
    return root


@dataclass(frozen=True, slots=True)
class _Source:
    file: str
    lines: list[bytes]

    def column(self, row: int, offset: int) -> int:
        """The column from 1, in characters, for tree-sitter's offset in bytes."""
        return len(self.lines[row][:offset].decode(errors="replace")) + 1


def _report(message: str, lines: list[str], file: str, faults: Faults) -> tuple[int, int]:
    """Record a syntax error; gives the first and last index of the lines that are at fault."""
    where = _WHERE.search(message)
    message = _WHERE.sub("", message)
    at_end = not (where and where[1])
    index = max((i for i, line in enumerate(lines) if line.strip()), default=0) if at_end else int(where[1]) - 1  # type: ignore[index]
    column = int(where[2]) if where and where[2] else len(lines[index]) + 1
    last = index
    expected = "TOML: key = value, [table] or [[list of tables]]"
    if message.startswith(("Unclosed", "Illegal character '\\n'")) or at_end:
        start = _left_open(lines, index)
        if start is not None:
            last = max(start, index - 1) if not at_end and start != index else index
            last = start if _text_left_open(lines[start]) else last
            index, column = start, len(lines[start]) + 1
            closing = "quote" if _text_left_open(lines[start]) else "bracket"
            message, expected = f"a {closing} is left open here", f"the closing {closing}"
    line = lines[index]
    if re.match(r"\s*[\w.\"'-]+\s*=\s*(#.*)?$", line):
        message, expected = "a value is missing after =", 'a value, such as "1000 GB", 12, true or 2026-01-01'
    elif unquoted := re.match(r"\s*[\w.\"'-]+\s*=\s*([A-Za-z][\w./ -]*?)\s*(#.*)?$", line):
        message, expected = f"text without quotes: {unquoted[1]}", f'quotes around it: "{unquoted[1]}"'
    elif re.match(r"\s*[\w.\"'-]+\s*=\s*[\d.]+ ?(%|[A-Za-z])", line):
        message, expected = f"a number with a unit and no quotes: {line.split('=', 1)[1].strip()}", 'quotes: "1000 GB"'
    elif re.match(r"\s*[\w.\"'-]+\s*:", line):
        message, expected = "a colon after the key", "an equals sign: key = value"
    elif message.startswith(("Cannot declare", "Cannot overwrite", "Cannot mutate")):
        first = _first_definition(lines, index)
        message = f"written twice{f'; the first is at line {first}' if first else ''}"
        expected = "each key and table once ([[name]] for a list of tables)"
        column = len(line) - len(line.lstrip()) + 1
    elif message.startswith("Invalid date or datetime") or re.match(r"[^=]*=\s*\d{4}-\d", line):
        message, expected = "no such date", "a date such as 2026-01-31, without quotes"
    elif _HEADER.match(line) and "]" not in line:
        message, expected = "a table's name is left open here", "the closing bracket: [name]"
    faults.add(Place(file, index + 1, column, max(column + 1, len(line) + 1)), "", message, expected)
    return index, last


def _text_left_open(line: str) -> bool:
    """Whether a text in one pair of quotes starts on the line and does not end on it."""
    value = line.split("=", 1)[-1].strip()
    return value[:1] in ("'", '"') and value[:3] not in ("'''", '"""') and value.count(value[0]) == 1


def _left_open(lines: list[str], index: int) -> int | None:
    """The line at or before `index` where a quote, or the last bracket before it, was opened and never closed."""
    for i, line in enumerate(lines[: index + 1]):
        if _text_left_open(line):
            return i
    square = curly = 0
    for i in range(index, -1, -1):
        if not _HEADER.match(lines[i]):
            square += lines[i].count("[") - lines[i].count("]")
            curly += lines[i].count("{") - lines[i].count("}")
            if "=" in lines[i] and (square > 0 or curly > 0):
                return i
    return None


def _first_definition(lines: list[str], index: int) -> int | None:
    """The line, from 1, where the key or table on line `index` was written before."""
    head = lines[index].split("#")[0].split("=")[0].strip()
    for back in range(index - 1, -1, -1):
        if _HEADER.match(lines[back]) and not _HEADER.match(lines[index]):
            return None
        if lines[back].split("#")[0].split("=")[0].strip() == head:
            return back + 1
    return None


def _blank(lines: list[str], span: tuple[int, int]) -> None:
    """Take out broken lines; a broken table header takes the lines of its table along."""
    first, index = span
    header = _HEADER.match(lines[first]) is not None
    lines[first : index + 1] = [""] * (index + 1 - first)
    while header and index + 1 < len(lines) and not _HEADER.match(lines[index + 1]):
        index += 1
        lines[index] = ""


def _fill(root: Node, document: Syntax, source: _Source) -> None:
    for child in document.children:
        if child.type == "pair":
            _pair(root, child, source)
        elif child.type in ("table", "table_array_element"):
            keys = [part for part in child.named_children if part.type.endswith("_key")]
            table = _open(root, list(_parts(keys[0], source)), child.type == "table_array_element")
            for pair in child.named_children:
                if pair.type == "pair":
                    _pair(table, pair, source)


def _open(node: Node, parts: list[tuple[str, Place]], element: bool) -> Node:
    """The table a header or a dotted key names, made where it is new; for `[[...]]` a new element of its list."""
    for number, (name, place) in enumerate(parts):
        if isinstance(node.value, list):
            node = node.value[-1]
        assert isinstance(node.value, dict)  # tomllib has accepted the text
        path = f"{node.path}.{name}" if node.path else name
        last = number == len(parts) - 1
        if name not in node.value:
            node.value[name] = Node([] if element and last else {}, place, place, path, node.broken)
        node = node.value[name]
        if element and last:
            assert isinstance(node.value, list)
            node.value.append(Node({}, place, place, f"{path}[{len(node.value)}]", node.broken))
    return node.value[-1] if isinstance(node.value, list) else node


def _pair(table: Node, pair: Syntax, source: _Source) -> None:
    key, value = [child for child in pair.named_children if child.type != "comment"][:2]
    parts = list(_parts(key, source))
    table = _open(table, parts[:-1], False) if len(parts) > 1 else table
    name, place = parts[-1]
    assert isinstance(table.value, dict)
    table.value[name] = _value(value, source, place, f"{table.path}.{name}" if table.path else name, table.broken)


def _value(syntax: Syntax, source: _Source, key: Place, path: str, broken: bool) -> Node:
    place = _place(syntax, source)
    if syntax.type == "array":
        items = [child for child in syntax.named_children if child.type != "comment"]
        return Node(
            [_value(item, source, _place(item, source), f"{path}[{i}]", broken) for i, item in enumerate(items)],
            place,
            key,
            path,
            broken,
        )
    if syntax.type == "inline_table":
        node = Node({}, place, key, path, broken)
        for child in syntax.named_children:
            if child.type == "pair":
                _pair(node, child, source)
        return node
    assert syntax.text is not None
    return Node(tomllib.loads(f"v = {syntax.text.decode()}")["v"], place, key, path, broken)


def _parts(key: Syntax, source: _Source) -> Iterator[tuple[str, Place]]:
    if key.type == "dotted_key":
        for child in key.named_children:
            yield from _parts(child, source)
        return
    assert key.text is not None
    text = key.text.decode()
    yield (tomllib.loads(f"v = {text}")["v"] if key.type == "quoted_key" else text), _place(key, source)


def _place(syntax: Syntax, source: _Source) -> Place:
    start, end = syntax.start_point, syntax.end_point
    column = source.column(start.row, start.column)
    last = source.column(end.row, end.column) if end.row == start.row else column + 1
    return Place(source.file, start.row + 1, column, max(last, column + 1))
