"""`coulance up` as a person runs it: started, each part killed, killed itself, stopped; nothing is lost or left."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import psutil
import pytest

from tests.support.database import TEMPLATE, Server, WorkerDatabase
from tests.support.instances import Up, coulance, environment, free_port, new_home, ready_home, remains

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """One running instance for the tests of this module, in their order."""
    with ready_home() as home:
        running = Up(home, free_port()).start()
        try:
            running.await_health(60)
            yield running
        finally:
            running.clean_up()


def _await(condition: object, within_s: float = 20) -> None:
    give_up = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < give_up, "did not come about"
        time.sleep(0.05)


def _is_gone(up: Up) -> bool:
    """Whether no process is left, nor what one held: an exiting process loses its memory, by which we know it, a moment
    before its sockets."""
    if remains(up.home):
        return False
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", up.port)) != 0


def test_it_serves_and_says_where(up: Up) -> None:
    assert up.health() == {"ok": True, "web": "ok", "database": "ok", "migrations": "ok", "worker": "ok"}
    assert f"running at http://127.0.0.1:{up.port} with its data in {up.home}" in up.log.read_text()


def test_a_second_one_on_the_same_instance_is_refused(up: Up) -> None:
    second = coulance(up.home, "up", "--port", str(free_port()), check=False)
    assert second.returncode == 1
    assert second.stderr.startswith(f"Error: Coulance is already running in {up.home} (process {up.state()['pid']} at ")
    assert "stop that one first: kill" in second.stderr
    assert up.health()["ok"]


def test_another_on_the_same_port_is_refused(up: Up) -> None:
    with new_home() as other:
        second = coulance(other, "up", "--port", str(up.port), check=False)
        assert second.returncode == 1
        assert f"can't listen on 127.0.0.1 port {up.port}" in second.stderr
        assert remains(other) == []


@pytest.mark.parametrize("part", ["web", "worker", "database"])
def test_a_part_killed_with_9_comes_back(up: Up, part: str) -> None:
    before = up.state()[part]
    os.kill(before, signal.SIGKILL)
    assert up.await_new(part, before) != before
    up.await_health()
    others = {"web", "worker", "database"} - {part}
    assert all(psutil.pid_exists(up.state()[other]) for other in others)


def test_the_nursery_killed_with_9_comes_back_with_its_parts(up: Up) -> None:
    before = up.state()
    os.kill(before["nursery"], signal.SIGKILL)
    for part in ("nursery", "web", "worker"):
        up.await_new(part, before[part])
    up.await_health()
    assert up.state()["database"] == before["database"]


def test_a_web_child_killed_with_9_comes_back(up: Up) -> None:
    (child,) = psutil.Process(up.state()["web"]).children()
    child.kill()
    _await(lambda: not child.is_running())
    up.await_health()


def test_jobs_still_run_after_all_that(up: Up) -> None:
    # Deferred from outside, as any command does it; the worker that came back must be listening.
    program = (
        "from coulance.cli.session import working_database\n"
        "with working_database():\n"
        "    from procrastinate.contrib.django import app\n"
        "    print(app.configure_task('builtin:procrastinate.builtin_tasks.remove_old_jobs').defer(max_hours=1))\n"
        "    import time; from django.db import connection\n"
        "    for _ in range(400):\n"
        "        with connection.cursor() as c:\n"
        "            c.execute('SELECT status FROM procrastinate_jobs ORDER BY id DESC LIMIT 1')\n"
        "            status = c.fetchone()[0]\n"
        "        if status == 'succeeded': break\n"
        "        time.sleep(0.05)\n"
        "    print(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(up.home),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split()[-1] == "succeeded", done.stdout + done.stderr + up.log.read_text()


def test_the_doctor_finds_it_well(up: Up) -> None:
    seen = coulance(up.home, "doctor")
    assert "0 fault(s)" in seen.stdout
    assert f"ok     up: process {up.state()['pid']} at http://127.0.0.1:{up.port}" in seen.stdout
    assert "ok     health: web, database and worker answer" in seen.stdout
    assert "ok     worker: alive" in seen.stdout


def test_a_backup_is_taken_meanwhile_and_a_restore_is_refused(up: Up) -> None:
    file = up.home.with_suffix(".backup")
    try:
        assert "rows in" in coulance(up.home, "backup", str(file)).stdout
        refused = coulance(up.home, "restore", "--force", str(file), check=False)
        assert refused.returncode == 1
        assert f"Coulance is already running in {up.home}" in refused.stderr
        assert up.health()["ok"]
    finally:
        file.unlink(missing_ok=True)


def test_static_files_are_served(up: Up) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/static/ninja/swagger-ui.css", timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith("text/css")
        assert len(answer.read()) > 1000


def test_the_database_listens_on_no_network(up: Up) -> None:
    family = {up.state()["database"], *(c.pid for c in psutil.Process(up.state()["database"]).children())}
    listening = [c for pid in family for c in psutil.Process(pid).net_connections("inet") if c.status == "LISTEN"]
    assert listening == []


def test_killed_itself_it_leaves_nothing_and_starts_again(up: Up) -> None:
    assert up.process is not None
    up.process.kill()
    up.process.wait()
    _await(lambda: _is_gone(up))
    up.start()
    up.await_health()


def test_killed_together_with_the_web_server_it_leaves_nothing(up: Up) -> None:
    # The web server's child would keep the port if only its parents looked after it.
    assert up.process is not None
    web = up.state()["web"]
    os.kill(up.process.pid, signal.SIGKILL)
    os.kill(web, signal.SIGKILL)
    up.process.wait()
    _await(lambda: _is_gone(up))
    up.start()
    up.await_health()


def test_stopping_finishes_the_request_at_hand(up: Up) -> None:
    # A body that is still arriving when the stop comes; the answer must come all the same.
    answers: list[bytes] = []
    with socket.create_connection(("127.0.0.1", up.port), timeout=20) as slow:
        slow.sendall(b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(0.3)
        status: list[int] = []
        stopping = threading.Thread(target=lambda: status.append(up.stop()))
        stopping.start()
        time.sleep(0.3)
        slow.sendall(b"cd")
        while block := slow.recv(65536):
            answers.append(block)
        stopping.join()
    assert b"".join(answers).startswith(b"HTTP/1.1 ")
    assert status == [0]
    assert remains(up.home) == []
    assert not (up.home / "run" / "supervisor.json").exists()
    assert up.log.read_text().rstrip().endswith("coulance: stopped")


def test_another_server_of_the_providers_own_is_used(worker_database: WorkerDatabase) -> None:
    name = f"{worker_database.name}_own"
    worker_database.server.make_database(name, template=TEMPLATE)
    with new_home() as home:
        own = Up(home, free_port(), {"DATABASE_URL": worker_database.server.url(name)}).start()
        try:
            own.await_health(60)
            assert "database" not in own.state()
            assert not (home / "postgres").exists()
            with urllib.request.urlopen(f"http://127.0.0.1:{own.port}/healthz", timeout=5) as answer:
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert own.stop() == 0
        finally:
            own.clean_up()
            with worker_database.server.connect() as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_what_keeps_it_from_beginning_is_said_and_leaves_nothing(worker_database: WorkerDatabase) -> None:
    where = worker_database.server
    with new_home() as home:
        for told, extra in (
            ("COULANCE_LOG is 'loud'; it may be debug, info, warning or error", {"COULANCE_LOG": "loud"}),
            ("the database doesn't answer: ", {"DATABASE_URL": Server(where.host, where.user, "wrong").url("none")}),
        ):
            refused = coulance(home, "up", "--port", str(free_port()), check=False, **extra)
            assert refused.returncode == 1
            assert refused.stderr.startswith(f"Error: {told}")
            assert "Traceback" not in refused.stderr
            assert remains(home) == []
