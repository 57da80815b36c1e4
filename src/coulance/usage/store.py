"""Where segments lie: a directory, or a bucket of an S3-like object store. Files are written once and never changed.

A local file is complete and on the disk (fsync, rename, fsync of its directory) before `put` returns; an object store
makes an object visible only when it is whole. So whatever the manifest names is there, whole, after any crash.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import fsspec
import pyarrow as pa
import pyarrow.fs
from fsspec.implementations.arrow import ArrowFSWrapper

from coulance.platform import instance
from coulance.usage.errors import UnableToReadSegmentError

VARIABLE = "COULANCE_SEGMENTS"
"""Environment: where segments lie, when not in the instance's own directory."""


@dataclass(frozen=True, slots=True)
class SegmentStore:
    """A folder of segments. `files` is any fsspec file system, `root` the folder in it; `local` when it is a disk."""

    files: Any
    root: str
    local: bool

    def _at(self, path: str) -> str:
        return f"{self.root}/{path}"

    def put(self, path: str, data: bytes | pa.Buffer) -> None:
        """Write a file, whole and durable when this returns. Writing the same path again replaces it by the same."""
        whole = self._at(path)
        if not self.local:
            with self.files.open(whole, "wb") as out:
                out.write(data)
            return
        target = Path(whole)
        fresh = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError:
            draft.unlink(missing_ok=True)  # on a full disk its rest would take what room there is
            raise
        for folder in {target.parent, *(folder.parent for folder in fresh)}:
            _sync_folder(folder)

    def open(self, path: str) -> Any:
        """The file to read at random, as Parquet does. Raises `UnableToReadSegmentError` when it is not there."""
        try:
            if self.local:
                return pa.memory_map(self._at(path))
            return pa.PythonFile(self.files.open(self._at(path), "rb"), mode="r")
        except OSError as fault:
            raise UnableToReadSegmentError(f"segment {path} can't be read: {fault}") from fault

    def size(self, path: str) -> int | None:
        """Its size in bytes; `None` when it is not there."""
        try:
            self.files.invalidate_cache()
            return int(self.files.size(self._at(path)))
        except FileNotFoundError:
            return None

    def sha256(self, path: str) -> bytes:
        """The hash of the file as it is now."""
        digest = hashlib.sha256()
        try:
            with self.files.open(self._at(path), "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as fault:
            raise UnableToReadSegmentError(f"segment {path} can't be read: {fault}") from fault
        return digest.digest()

    def delete(self, path: str) -> None:
        """Remove a file; it is no fault when it is gone already."""
        with contextlib.suppress(FileNotFoundError):
            self.files.rm_file(self._at(path))

    def list(self) -> Iterator[tuple[str, float]]:
        """Every file below the root, drafts too: (path, epoch seconds of its last change)."""
        self.files.invalidate_cache()
        try:
            found = self.files.find(self.root, detail=True)
        except FileNotFoundError:
            return
        for name, info in found.items():
            changed = info.get("mtime") or info.get("LastModified") or 0
            stamp = changed.timestamp() if hasattr(changed, "timestamp") else float(changed)
            yield name.removeprefix(f"{self.root}/"), stamp


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def store_at(url: str) -> SegmentStore:
    """The store at a path, or at `s3://bucket/prefix?endpoint=https://s3.example:9000&region=eu-1`.

    Keys for S3 come from where S3 tools look for them (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role).
    """
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        return SegmentStore(fsspec.filesystem("file"), str(Path(parts.path or url).absolute()), local=True)
    if parts.scheme == "s3":
        options = dict(parse_qsl(parts.query))
        endpoint = options.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL")
        region = options.get("region") or os.environ.get("AWS_REGION") or "us-east-1"
        whole = pyarrow.fs.S3FileSystem(
            region=region,
            **({"endpoint_override": endpoint, "scheme": urlsplit(endpoint).scheme} if endpoint else {}),
        )
        root = f"{parts.netloc}{parts.path}".rstrip("/")
        return SegmentStore(ArrowFSWrapper(whole), root, local=False)
    files, root = fsspec.core.url_to_fs(url)
    return SegmentStore(files, root.rstrip("/"), local=False)


@lru_cache(maxsize=8)
def _store(url: str, pid: int) -> SegmentStore:  # noqa: ARG001 - a forked process opens its own
    return store_at(url)


def current() -> SegmentStore:
    """The instance's store: COULANCE_SEGMENTS, or its own segments directory."""
    url = os.environ.get(VARIABLE) or str(instance.current().segments_dir)
    return _store(url, os.getpid())
