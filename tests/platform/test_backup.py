"""A backup is whole, says what it holds, and comes back elsewhere the same; a bad one touches nothing."""

import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coulance.platform import backup, secret_store
from coulance.platform.instance import Instance
from coulance.platform.postgres import EmbeddedPostgres
from tests.support.instances import coulance, coulance_many, new_home, ready_home

pytestmark = pytest.mark.slow


def _database(home: Path) -> EmbeddedPostgres:
    here = Instance(home)
    return EmbeddedPostgres(layout=here.database_layout(), password=here.secret("database_password") or "")


@contextmanager
def _instance(operator: str) -> Iterator[Path]:
    with ready_home() as home:
        coulance(home, "operator", "create", operator)
        yield home


@pytest.fixture(scope="module")
def original() -> Iterator[Path]:
    """An instance with an operator, the audit of their making, and two sealed segments."""
    with _instance("anna") as home:
        segments = home / "segments" / "2026" / "10"
        segments.mkdir(parents=True)
        (segments / "a.parquet").write_bytes(bytes(range(256)) * 1000)
        (segments / "b.parquet").write_bytes(b"")
        (segments / ".c.parquet.draft").write_bytes(b"half")
        yield home


@pytest.fixture(scope="module")
def file(original: Path) -> Iterator[Path]:
    path = original.with_suffix(".backup")
    try:
        said = coulance(original, "backup", str(path), "--with-secrets").stdout
        assert "2 segments, secrets;" in said
        yield path
    finally:
        path.unlink(missing_ok=True)


def _contents(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, as text, with the server started for the look."""
    server = _database(home)
    server.start()
    try:
        with server.connect() as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            rows = {
                table: connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1").fetchall()
                for (table,) in sorted(tables)
            }
            for what, query in {
                "sequences": "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1",
                "triggers": "SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname",
                "constraints": "SELECT conname, contype FROM pg_constraint ORDER BY 1, 2",
            }.items():
                rows[what] = connection.execute(query).fetchall()
        with server.connect("postgres") as connection:
            names = connection.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()
            assert names == [("coulance",), ("postgres",), ("template0",), ("template1",)]
        return rows
    finally:
        server.stop()


def _segments(home: Path) -> dict[str, bytes]:
    base = home / "segments"
    return {str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()}


def test_it_comes_back_elsewhere_the_same(original: Path, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with new_home() as elsewhere:
        coulance(elsewhere, "restore", str(file))
        before, after = _contents(original), _contents(elsewhere)
        assert before["platform_operator"]
        assert len(before) > 10
        assert after == before
        drafts = {name for name in _segments(original) if "draft" in name}
        assert drafts
        assert _segments(elsewhere) == {k: v for k, v in _segments(original).items() if k not in drafts}
        one, two = Instance(original), Instance(elsewhere)
        assert two.django_key() == one.django_key()
        assert two.secret("database_password") != one.secret("database_password")
        assert [path.name for path in elsewhere.iterdir() if path.name.startswith(".coulance")] == []


def test_an_instance_in_use_is_replaced_only_by_force_and_never_by_half(
    original: Path, file: Path, tmp_path: Path
) -> None:
    wrong = json.loads(_members(file)[0][1])["rows"] | {"platform_operator": 7}
    members = _members(file)
    newer = [*json.loads(members[0][1])["migrations"], "usage.0999_later"]
    cases = {
        file: "this instance is not empty (",
        _write(tmp_path / "server", _edited(members, server="99")): "was made on PostgreSQL 99",
        _write(tmp_path / "newer", _edited(members, migrations=newer)): "newer than this one (it has usage.0999_later",
        _write(tmp_path / "bucket", _edited(members, segments_elsewhere="s3://a/b")): "set COULANCE_SEGMENTS=s3://a/b",
        _write(tmp_path / "short", _edited(members, rows=wrong)): (
            "the restored table platform_operator has 1 rows, and the backup says 7"
        ),
    }
    with _instance("bert") as home:
        before = _contents(home)
        answers = coulance_many(
            home, *(("restore", *([] if path == file else ["--force"]), str(path)) for path in cases)
        )
        for (status, _, said), expected in zip(answers, cases.values(), strict=True):
            assert status == 1
            assert expected in said
        assert _contents(home) == before

        (home / "segments" / "mine").write_text("in the way")
        ((refused, _, why), (forced, _, _)) = coulance_many(
            home, ("restore", str(file)), ("restore", "--force", str(file))
        )
        assert (refused, forced) == (1, 0)
        assert "holds samples" in why
        assert _contents(home) == _contents(original) != before
        assert sorted(_segments(home)) == ["2026/10/a.parquet", "2026/10/b.parquet"]


def test_an_existing_file_is_not_overwritten(original: Path, file: Path) -> None:
    size = file.stat().st_size
    again = coulance(original, "backup", str(file), check=False)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert file.stat().st_size == size


def _members(file: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(file) as tar:
        return [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]


def _write(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for info, content in members:
            copy = tarfile.TarInfo(info.name)
            copy.size = len(content)
            tar.addfile(copy, io.BytesIO(content))
    return path


def _edited(whole: list[tuple[tarfile.TarInfo, bytes]], **changes: object) -> list[tuple[tarfile.TarInfo, bytes]]:
    manifest = {**json.loads(whole[0][1]), **changes}
    return [(whole[0][0], json.dumps(manifest).encode()), *whole[1:]]


def _with(whole: list[tuple[tarfile.TarInfo, bytes]], *names: str) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The backup with further members, each with an entry in the manifest."""
    members = json.loads(whole[0][1])["members"]
    more = [{"name": name, "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()} for name in names]
    return [*_edited(whole, members=[*members, *more]), *((tarfile.TarInfo(name), b"x") for name in names)]


def _without_dump(whole: list[tuple[tarfile.TarInfo, bytes]]) -> list[tuple[tarfile.TarInfo, bytes]]:
    members = [member for member in json.loads(whole[0][1])["members"] if member["name"] != "database.dump"]
    return [(i, c) for i, c in _edited(whole, members=members) if i.name != "database.dump"]


def test_damage_of_every_kind_is_told_before_anything_is_touched(file: Path, tmp_path: Path) -> None:
    members = _members(file)
    names = [info.name for info, _ in members]
    assert names[:2] == ["manifest.json", "database.dump"]
    flipped = [(i, c[:-1] + bytes([c[-1] ^ 1]) if i.name.endswith("a.parquet") else c) for i, c in members]
    evil = json.loads(members[0][1])["members"]
    evil[1] = {**evil[1], "name": "../../etc/passwd"}
    stranger = (tarfile.TarInfo("segments/stranger"), b"x")
    (tmp_path / "text").write_text("not a backup\n" * 1000)
    (tmp_path / "cut").write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    cases = {
        _write(tmp_path / "flipped", flipped): "a.parquet is not what its manifest says",
        _write(tmp_path / "short", members[:-1]): "is missing",
        _write(tmp_path / "more", [*members, stranger]): "segments/stranger, which its manifest doesn't name",
        _write(tmp_path / "headless", members[1:]): "doesn't begin with a manifest.json",
        _write(tmp_path / "future", _edited(members, schema="coulance.backup/9")): "of kind coulance.backup/9",
        _write(tmp_path / "evil", _edited(members, members=evil)): "which no backup of ours would",
        _write(tmp_path / "heartless", _without_dump(members)): "names no database.dump",
        _write(tmp_path / "odd", _edited(members, server="new")): "manifest that can't be read",
        **{
            _write(tmp_path / f"name-{i}", _with(members, *names)): "which no backup of ours would"
            for i, names in enumerate(
                (
                    [""],
                    ["segments"],
                    ["secrets"],
                    ["secrets/a/b"],
                    ["database.dump/x"],
                    ["segments//x"],
                    ["segments/x", "segments/x"],
                    ["segments/x", "segments/x/y"],
                    ["secrets/../x"],
                    ["/etc/x"],
                )
            )
        },
        tmp_path / "text": "is not a whole backup",
        tmp_path / "cut": "cut|damaged|whole",
        tmp_path / "absent": "there is no file",
    }
    for path, said in cases.items():
        with pytest.raises(backup.UnableToRestoreError, match=said):
            backup.check_backup(path)
    with new_home() as home:
        refused = coulance(home, "restore", str(tmp_path / "flipped"), check=False)
        assert refused.returncode == 1
        assert refused.stderr.startswith("Error: ")
        assert not home.exists()


def test_segments_on_another_disk_come_along_and_secrets_and_a_bucket_are_named(original: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir(mode=0o700)
    (far / "x.parquet").write_bytes(b"far away")
    secret_store.write(Instance(original), "mail", "smtp://me:pass-word@mail.example")
    coulance(original, "backup", str(tmp_path / "disk"), COULANCE_SEGMENTS=str(far))
    manifest = backup.check_backup(tmp_path / "disk")
    assert [member.name for member in manifest.members] == ["database.dump", "segments/x.parquet"]
    said = coulance(original, "backup", str(tmp_path / "bucket"), COULANCE_SEGMENTS="s3://kept/here").stdout
    assert "The segments lie in s3://kept/here and are not in the file" in said
    assert backup.check_backup(tmp_path / "bucket").segments_elsewhere == "s3://kept/here"
    assert backup.check_backup(tmp_path / "bucket").segments == 0
    with new_home() as home:
        near = tmp_path / "near"
        told = coulance(home, "restore", str(tmp_path / "disk"), COULANCE_SEGMENTS=str(near)).stdout
        assert "It holds no secrets" in told
        assert "to be set anew are: mail" in " ".join(told.split())
        assert Instance(home).secret("mail") is None
        assert (near / "x.parquet").read_bytes() == b"far away"
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".coulance")]


def test_segments_come_back_when_the_swap_of_the_database_fails() -> None:
    def swap_and_fail(here: Instance, unpacked: Path) -> None:
        with backup._swapped_segments(here, unpacked):
            assert _segments(here.home) == {"theirs": b"new"}
            raise RuntimeError("no swap")

    with new_home() as home:
        here = Instance(home)
        here.prepare()
        (here.segments_dir / "mine").write_text("kept")
        (home / "unpacked" / "segments").mkdir(parents=True)
        (home / "unpacked" / "segments" / "theirs").write_text("new")
        with pytest.raises(RuntimeError, match="no swap"):
            swap_and_fail(here, home / "unpacked")
        assert _segments(home) == {"mine": b"kept"}
