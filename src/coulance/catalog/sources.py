"""The files of a provider file: the root and what it includes, merged into one tree, with every text kept."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coulance.catalog.faults import Faults, Place
from coulance.catalog.toml_tree import Node, parse_toml

_LISTS = ("tax",)
_SINGLE = ("provider", "series", "sending", "overage", "advice", "goodwill", "payments")


@dataclass(frozen=True, slots=True)
class Sources:
    """The texts of a provider file by name, the root first; names are relative to the root's folder."""

    texts: tuple[tuple[str, str], ...]

    @property
    def root(self) -> str:
        """The name of the root file."""
        return self.texts[0][0]

    @property
    def digest(self) -> str:
        """SHA-256 over names and texts, in hex. The same file again has the same."""
        hashed = hashlib.sha256()
        for name, text in self.texts:
            for part in (name, text):
                encoded = part.encode()
                hashed.update(len(encoded).to_bytes(8, "big") + encoded)
        return hashed.hexdigest()

    def line(self, place: Place) -> str:
        """The source line of a place, or nothing where there is none."""
        lines = dict(self.texts).get(place.file, "").splitlines()
        return lines[place.line - 1] if 0 < place.line <= len(lines) else ""


def load(path: Path, faults: Faults) -> tuple[Node, Sources]:
    """Read a file and all it includes from disk. What cannot be read is a fault."""
    folder = path.parent

    def read(name: str, at: Place) -> str | None:
        try:
            return (folder / name).read_text("utf-8")
        except UnicodeDecodeError as error:
            where = at if at.line else Place(name)
            faults.add(where, "", f"{name} is not UTF-8 (byte {error.start + 1})", "UTF-8 text")
        except OSError as error:
            where = at if at.line else Place(name)
            faults.add(where, "", f"{name}: {error.strerror or error}", "a file that can be read")
        return None

    def find(pattern: str, base: str) -> list[str]:
        start = folder / Path(base).parent
        found = sorted(match for match in start.glob(pattern) if match.is_file())
        return [match.relative_to(folder).as_posix() for match in found]

    return _merge(path.name, read, find, faults)


def from_texts(sources: Sources, faults: Faults) -> Node:
    """The merged tree of texts that were kept, without a disk."""
    texts = dict(sources.texts)

    def find(pattern: str, base: str) -> list[str]:
        folder = Path(base).parent
        return sorted(name for name in texts if Path(name).match((folder / pattern).as_posix()) and name != base)

    return _merge(sources.root, lambda name, _: texts.get(name), find, faults)[0]


def _merge(
    root_name: str,
    read: Callable[[str, Place], str | None],
    find: Callable[[str, str], list[str]],
    faults: Faults,
) -> tuple[Node, Sources]:
    texts: dict[str, str] = {}
    merged: dict[str, Node] = {}
    root = Node(merged, Place(root_name, 1, 1, 2), Place(root_name, 1, 1, 2))

    def take(name: str, at: Place, chain: tuple[str, ...]) -> None:
        if name in chain:
            faults.add(at, "include", f"{name} includes itself: {' > '.join((*chain, name))}", "no circles")
            return
        if name in texts:
            faults.add(at, "include", f"{name} is already included", "each file once")
            return
        text = read(name, at)
        if text is None:
            return
        texts[name] = text
        tree = parse_toml(text, name, faults)
        root.broken = root.broken or tree.broken
        assert isinstance(tree.value, dict)
        for key, node in tree.value.items():
            if key == "include":
                _include(node, name, (*chain, name))
            else:
                _join(merged, key, node, faults)

    def _include(node: Node, name: str, chain: tuple[str, ...]) -> None:
        if not isinstance(node.value, list):
            faults.add(node.place, "include", node.kind, 'a list of paths: ["plans/*.toml"]')
            return
        for item in node.value:
            if not isinstance(item.value, str) or not item.value.strip():
                faults.add(item.place, item.path, item.kind, 'a path, such as "plans/*.toml"')
                continue
            pattern = item.value
            if pattern.startswith("/") or ".." in Path(pattern).parts or ":" in pattern or "\\" in pattern:
                faults.add(item.place, item.path, repr(pattern), "a path below this file's folder, with /")
                continue
            found = find(pattern, name)
            if not found:
                faults.add(item.place, item.path, f"no file is called {pattern!r}", "a file beside or below this one")
            for each in found:
                take(each, item.place, chain)

    take(root_name, Place(root_name), ())
    if not texts:
        texts[root_name] = ""
        root.broken = True
    return root, Sources(tuple(texts.items()))


def _join(merged: dict[str, Node], key: str, node: Node, faults: Faults) -> None:
    """Put a file's top-level table beside those of the files before it."""
    have = merged.get(key)
    if have is None:
        merged[key] = node
    elif key in _LISTS and isinstance(have.value, list) and isinstance(node.value, list):
        for item in node.value:
            item.path = f"{key}[{len(have.value)}]"
            have.value.append(item)
    elif key not in _SINGLE and isinstance(have.value, dict) and isinstance(node.value, dict):
        for name, child in node.value.items():
            if name in have.value:
                first = have.value[name].key
                faults.add(child.key, child.path, f"{child.path} is already defined at {first}", "each name once")
            else:
                have.value[name] = child
        have.broken = have.broken or node.broken
    else:
        faults.add(node.key, key, f"[{key}] is already defined at {have.key}", "it once, in one of the files")
