"""The pages keep their word: links resolve, commands exist, pictures are there and light, nothing local is named."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from coulance.cli.main import cli
from tests.support.database import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]
)
ROOMS = sorted((ROOT / "src").rglob("README.md"))
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
MOST = 200_000

everywhere = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings can be reached by."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links of a page's text that lead nowhere."""
    found = []
    for link in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            found.append(link)
    return found


def commands(text: str) -> Iterator[str]:
    """Every `coulance ...` shown: after a prompt, at the start of an indented line, or within backticks."""
    shell = text.replace("\\\n", " ")
    yield from re.findall(r"^(?:\$| {4}) *(coulance (?!\w+:).+)$", shell, re.M)
    yield from re.findall(r"\$\((coulance [^)]+)\)", shell)
    yield from re.findall(r"`(coulance [^`]+)`", FENCE.sub("", text).replace("\n", " "))


def fault_of(command: str) -> str | None:
    """What is wrong with a shown command: an unknown sub-command or option; None when nothing is."""
    words = shlex.split(command, comments=True)[1:]
    here: click.Command = cli
    while words:
        word = words.pop(0)
        if word in {"|", ">", "&&", ";"} or word.startswith("  "):
            break
        if word.startswith("-"):
            name = word.partition("=")[0]
            known = {name for one in here.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
            if name not in known:
                return f"{name} is no option of {here.name}"
            option = next((one for one in here.params if name in one.opts), None)
            if isinstance(option, click.Option) and not option.is_flag and "=" not in word and words:
                words.pop(0)
        elif isinstance(here, click.Group):
            if word == "...":
                break
            inner = here.get_command(click.Context(here), word)
            if inner is None:
                return f"{here.name} has no command {word}"
            here = inner
        elif not here.params:
            return f"{here.name} takes no argument {word}"
    return None


@everywhere
def test_relative_links_resolve(page: Path) -> None:
    assert broken_links(page, page.read_text()) == []


def test_links_that_lead_nowhere_are_seen() -> None:
    text = "[a](nowhere.md) [b](README.md#no-such-heading) [c](README.md#see-it) [d](https://example.org/x)"
    assert broken_links(ROOT / "README.md", text) == ["nowhere.md", "README.md#no-such-heading"]


@everywhere
def test_commands_shown_exist(page: Path) -> None:
    assert {shown: fault for shown in commands(page.read_text()) if (fault := fault_of(shown))} == {}


def test_commands_that_do_not_exist_are_seen() -> None:
    fenced = "```console\n$ coulance usage look\n$ X=$(coulance token create me --scoop a)\n```\n"
    text = fenced + "`coulance\nshut`; `coulance up`"
    assert [fault_of(shown) for shown in commands(text)] == [
        "usage has no command look",
        "--scoop is no option of create",
        "cli has no command shut",
        None,
    ]


def test_many_commands_are_looked_at() -> None:
    assert sum(1 for page in PAGES for _ in commands(page.read_text())) > 60


@everywhere
def test_make_targets_shown_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    shown = re.findall(r"(?:^\$ |`)make ([a-z-]+)", page.read_text(), re.M)
    assert set(shown) <= targets


def test_pictures_are_light_and_shown_pictures_are_pictures() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").iterdir())
    assert [file.name for file in pictures if file.stat().st_size >= MOST] == []
    assert [file.name for file in pictures if not file.read_bytes().startswith(b"\x89PNG\r\n")] == []
    assert len(re.findall(r"!\[[^\]]{20,}\]\(docs/pictures/", (ROOT / "README.md").read_text())) >= 2


@everywhere
def test_nothing_local_is_named(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"(?<![\w.])/(?:home|root|work|workspace|mnt|Users)/\S*", text) == []
    assert re.findall(r"\S*(?:pypi\.|registry\.[a-z-]+\.|artifactory|index-url)\S*", text) == []


@pytest.mark.parametrize("readme", ROOMS, ids=lambda page: str(page.parent.relative_to(ROOT)))
def test_files_that_a_room_names_exist(readme: Path) -> None:
    room = readme.parent
    named = set(re.findall(r"`((?:[\w./]+/)?\w+\.py)`", readme.read_text()))
    places = (room, room.parent, *(child for child in room.iterdir() if child.is_dir()))
    gone = {name for name in named if not any((place / name).exists() for place in (*places, ROOT))}
    assert gone - {"<topic>.py"} == set()


def test_every_room_says_what_it_owns() -> None:
    rooms = [path.parent for path in (ROOT / "src").glob("*/*/__init__.py")]
    assert len(rooms) > 15
    for room in rooms:
        words = (room / "README.md").read_text().lower()
        assert "own" in words, room


def test_indexes_leave_no_page_out() -> None:
    for index in (ROOT / "docs" / "README.md", ROOT / "docs" / "adr" / "README.md"):
        beside = {file.name for file in index.parent.glob("*.md")} - {index.name}
        assert beside - set(LINK.findall(index.read_text())) == set(), index
