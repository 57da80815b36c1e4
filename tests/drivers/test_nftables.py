"""nftables for real: a router between two network namespaces, with traffic before, during and after each act."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from coulance.drivers.nftables import Nftables
from coulance.enforcement import executing, operations, queries
from coulance.enforcement.executor import Executor
from coulance.enforcement.ports import DriverError, TargetRow, WrongTargetError
from coulance_core.catalog.terms import Driver, DriverKind
from coulance_core.enforcement.restrictions import FREE, Action, Desired, Source
from tests.enforcement.world import ACTOR, make_services

CUSTOMER, OTHER, WORLD, MANAGEMENT = "10.81.1.2", "10.81.1.3", "10.81.2.2", "10.81.2.9"


def now() -> datetime:
    return datetime.now(UTC)


def until(condition: Callable[[], bool], within: float = 15) -> None:
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, "it never came to be"
        time.sleep(0.02)


def run(*command: str, given: str | None = None) -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=20).stdout


def _possible() -> str:
    if os.geteuid() != 0:
        return "network namespaces want root"
    for tool in ("nft", "ip"):
        if not shutil.which(tool):
            return f"{tool} is not installed (Debian: nftables, iproute2)"
    probe_name = f"coulance-probe-{os.getpid()}"  # other workers try at the same time
    probe = subprocess.run(["ip", "netns", "add", probe_name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", probe_name], capture_output=True, check=False)
    return "" if probe.returncode == 0 else "network namespaces are not allowed here"


pytestmark = pytest.mark.skipif(bool(_possible()), reason=_possible())

SERVER = """
import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], 8181)); s.listen(16); print("ready", flush=True)
block = b"x" * 65536
while True:
    c, _ = s.accept()
    try:
        left = int(c.recv(32) or b"0")
        while left > 0:
            left -= c.send(block[: min(left, 65536)])
    except OSError:
        pass
    c.close()
"""
CLIENT = """
import socket, sys, time
start = time.monotonic(); got = 0
try:
    s = socket.create_connection((sys.argv[1], 8181), timeout=float(sys.argv[3]))
    s.settimeout(float(sys.argv[3])); s.sendall(sys.argv[2].encode())
    while (b := s.recv(65536)):
        got += len(b)
except OSError:
    pass
print(got, time.monotonic() - start)
"""


@dataclass
class Net:
    """Two namespaces, `inside` with the customer's addresses and `outside` with the world's, and a router between."""

    name: str

    @property
    def prefix(self) -> list[str]:
        return ["ip", "netns", "exec", f"{self.name}-r"]

    def driver(self, **more: object) -> Nftables:
        return Nftables(prefix=self.prefix, keep=[MANAGEMENT], **more)  # type: ignore[arg-type]

    def get(self, source: str, size: int = 1000, wait: float = 0.7) -> tuple[int, float]:
        """How much of `size` bytes the world receives from an address inside, and in how many seconds."""
        client = ["ip", "netns", "exec", f"{self.name}-o", sys.executable, "-c", CLIENT, source, str(size), str(wait)]
        got, seconds = run(*client).split()
        return int(got), float(seconds)

    def manage(self) -> bool:
        """Whether the management address still reaches the customer's."""
        where = f"('{CUSTOMER}', 8181), timeout=1, source_address=('{MANAGEMENT}', 0)"
        script = f"import socket; socket.create_connection({where})"
        done = subprocess.run(
            ["ip", "netns", "exec", f"{self.name}-o", sys.executable, "-c", script], capture_output=True, check=False
        )
        return done.returncode == 0

    def nft(self, *words: str) -> str:
        return run("ip", "netns", "exec", f"{self.name}-r", "nft", *words)


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    name = f"cl{os.getpid() % 100000}"
    router, inside, outside = f"{name}-r", f"{name}-i", f"{name}-o"
    servers: list[subprocess.Popen[str]] = []
    try:
        for space in (router, inside, outside):
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        for space, mine, theirs, net_of in ((inside, "i", "ri", "10.81.1"), (outside, "o", "ro", "10.81.2")):
            run(
                "ip",
                "link",
                "add",
                f"{name}{mine}",
                "netns",
                space,
                "type",
                "veth",
                "peer",
                f"{name}{theirs}",
                "netns",
                router,
            )
            run("ip", "-n", router, "addr", "add", f"{net_of}.1/24", "dev", f"{name}{theirs}")
            run("ip", "-n", router, "link", "set", f"{name}{theirs}", "up")
            run("ip", "-n", space, "link", "set", f"{name}{mine}", "up")
        for address in (CUSTOMER, OTHER):
            run("ip", "-n", inside, "addr", "add", f"{address}/24", "dev", f"{name}i")
        for address in (WORLD, MANAGEMENT):
            run("ip", "-n", outside, "addr", "add", f"{address}/24", "dev", f"{name}o")
        run("ip", "-n", inside, "route", "add", "default", "via", "10.81.1.1")
        run("ip", "-n", outside, "route", "add", "default", "via", "10.81.2.1")
        run("ip", "netns", "exec", router, sys.executable, "-c", "open('/proc/sys/net/ipv4/ip_forward','w').write('1')")
        for address in (CUSTOMER, OTHER):
            server = subprocess.Popen(
                ["ip", "netns", "exec", inside, sys.executable, "-c", SERVER, address],
                stdout=subprocess.PIPE,
                text=True,
            )
            servers.append(server)
            assert server.stdout is not None
            assert server.stdout.readline().strip() == "ready"
        yield Net(name)
    finally:
        for server in servers:
            server.kill()
            server.communicate()
        for space in (router, inside, outside):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def target(identity: str = "vps-1", *addresses: str) -> TargetRow:
    return TargetRow(identity, "router", identity, {"addresses": list(addresses) or [CUSTOMER]})


@pytest.fixture
def driver(net: Net) -> Iterator[Nftables]:
    made = net.driver()
    made.prepare()
    yield made
    subprocess.run(["ip", "netns", "exec", f"{net.name}-r", "nft", "delete", "table", "inet", "coulance"], check=False)


def test_a_pause_stops_one_service_and_its_reversal_frees_it(net: Net, driver: Nftables) -> None:
    vps = target()
    assert net.get(CUSTOMER)[0] == 1000
    assert driver.read(vps).state == FREE
    driver.write(vps, Desired(paused=True), key="1")
    assert driver.read(vps).state == Desired(paused=True)
    assert net.get(CUSTOMER)[0] == 0
    assert net.get(OTHER)[0] == 1000, "another service goes on"
    assert net.manage(), "management stays within reach"
    driver.write(vps, FREE, key="2")
    assert driver.read(vps).state == FREE
    assert net.get(CUSTOMER)[0] == 1000


def test_a_throttle_holds_the_rate(net: Net, driver: Nftables) -> None:
    vps, size = target(), 3_000_000
    fast, seconds = net.get(CUSTOMER, size, 5)
    assert fast == size
    assert seconds < 1
    slow = Desired(rate_bps=4_000_000)  # 500 kB a second
    driver.write(vps, slow, key="1")
    assert driver.read(vps).state == slow
    got, seconds = net.get(CUSTOMER, size, 2)
    # An nft limit passes its burst and a full first second; then what is asked, less what TCP gives away.
    assert got / seconds < 800_000
    driver.write(vps, FREE, key="2")
    assert net.get(CUSTOMER, size, 5)[0] == size


def test_a_blackhole_takes_one_address_of_two(net: Net, driver: Nftables) -> None:
    both = target("vps-1", CUSTOMER, OTHER)
    driver.write(both, Desired(blackholed=frozenset({OTHER})), key="1")
    assert driver.read(both).state == Desired(blackholed=frozenset({OTHER}))
    assert net.get(OTHER)[0] == 0
    assert net.get(CUSTOMER)[0] == 1000
    with pytest.raises(WrongTargetError, match=r"192\.0\.2\.1"):
        driver.write(both, Desired(blackholed=frozenset({"192.0.2.1"})), key="2")


def test_writing_twice_is_writing_once(driver: Nftables, net: Net) -> None:
    vps, state = target("vps-1", CUSTOMER, "2001:db8::5"), Desired(paused=True, rate_bps=8_000_000)
    driver.write(vps, state, key="1")
    first = net.nft("-j", "list", "table", "inet", "coulance")
    driver.write(vps, state, key="1")
    assert driver.read(vps).state == state

    def shape(listing: str) -> list[object]:
        items = json.loads(listing)["nftables"]
        return [
            {k: v for k, v in i["rule"].items() if k not in ("handle", "expr")} if "rule" in i else i for i in items
        ]

    assert sorted(map(str, shape(first))) == sorted(map(str, shape(net.nft("-j", "list", "table", "inet", "coulance"))))


def test_another_services_address_is_refused(driver: Nftables) -> None:
    driver.write(target("vps-1"), Desired(paused=True), key="1")
    wrong = target("vps-2", CUSTOMER)
    assert driver.read(wrong).identity != "vps-2"
    with pytest.raises(WrongTargetError, match="vps-1"):
        driver.write(wrong, FREE, key="2")
    assert driver.read(target("vps-1")).state == Desired(paused=True)


def test_a_manual_change_is_seen(driver: Nftables, net: Net) -> None:
    vps = target()
    driver.write(vps, Desired(paused=True), key="1")
    net.nft("flush", "set", "inet", "coulance", "paused4")
    assert driver.read(vps).state == FREE
    driver.write(vps, Desired(paused=True), key="2")
    assert driver.read(vps).state == Desired(paused=True)


def test_a_rebooted_router_starts_without_a_table(driver: Nftables, net: Net) -> None:
    net.nft("delete", "table", "inet", "coulance")
    assert driver.read(target()).state == FREE
    driver.write(target(), Desired(paused=True), key="1")
    assert net.get(CUSTOMER)[0] == 0
    assert net.manage()


def test_half_of_a_pause_is_written_again(driver: Nftables, net: Net) -> None:
    both = target("vps-1", CUSTOMER, OTHER)
    driver.write(both, Desired(paused=True), key="1")
    net.nft("delete", "element", "inet", "coulance", "paused4", "{", OTHER, "}")
    assert not driver.read(both).whole
    free = executing.act_on(both, driver, FREE, "k", now)
    assert (free.outcome, net.get(CUSTOMER)[0]) == ("done", 1000), "the other half doesn't stay behind"


def test_addresses_of_before_are_let_go(driver: Nftables, net: Net) -> None:
    driver.write(target("vps-1", CUSTOMER, OTHER), Desired(paused=True), key="1")
    moved = target("vps-1", CUSTOMER)
    assert executing.act_on(moved, driver, Desired(paused=True), "k", now).outcome == "done"
    assert (net.get(CUSTOMER)[0], net.get(OTHER)[0]) == (0, 1000)


def test_what_is_kept_is_put_right_again(driver: Nftables, net: Net) -> None:
    driver.write(target(), Desired(paused=True), key="1")
    net.nft("flush", "set", "inet", "coulance", "keep4")
    assert not net.manage()
    driver.read(target())
    assert net.manage()
    wide = net.driver(table="wide")
    Nftables(prefix=net.prefix, table="wide", keep=["10.0.0.0/8", "10.1.0.0/16", "10.1.0.7"]).prepare()
    wide.prepare()
    net.nft("delete", "table", "inet", "wide")


def test_many_are_written_in_one_transaction_and_one_that_is_refused_alone(driver: Nftables) -> None:
    jobs = [(target(f"vps-{i}", f"10.82.0.{i}"), Desired(paused=True), f"k{i}") for i in range(1, 60)]
    outcomes = executing.act_on_many(jobs, driver, now)
    assert {outcome.outcome for outcome in outcomes} == {"done"}
    assert {o.outcome for o in executing.act_on_many(jobs, driver, now)} == {"unchanged"}
    mixed = [
        (target("vps-1", "10.82.0.1"), FREE, "a"),
        (target("vps-99", "10.82.0.2"), Desired(paused=True), "b"),
        (target("vps-3", "10.82.0.3"), Desired(blackholed=frozenset({"192.0.2.1"})), "c"),
        (target("vps-4", "10.82.0.4"), FREE, "d"),
    ]
    assert [o.outcome for o in executing.act_on_many(mixed, driver, now)] == ["done", "refused", "refused", "done"]
    assert driver.read(target("vps-3", "10.82.0.3")).state == Desired(paused=True)


def test_from_the_register_to_the_wire_and_back_also_after_a_reboot(
    committed_db: object, driver: Nftables, net: Net
) -> None:
    services = make_services("vps-1")
    (vps,) = services.values()
    terms = {"router": Driver("router", DriverKind.NFTABLES, reconcile_s=30)}
    shift = [0.0]

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=shift[0])

    operations.set_target(
        service=vps, driver="router", identity="vps-1", parameters={"addresses": [CUSTOMER]}, actor=ACTOR, at=clock()
    )
    running = Executor(
        worker="test:1", now=clock, terms=lambda: terms, build=lambda some: dict.fromkeys(some, driver), poll_s=0.2
    )
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        assert net.get(CUSTOMER)[0] == 1000
        operations.place(
            service=vps, source=Source.SECURITY, ref="a", reason="spam", action=Action.PAUSE, actor=ACTOR, at=clock()
        )
        until(lambda: bool(acts := queries.acts(vps)) and acts[0].after == Desired(paused=True))
        assert net.get(CUSTOMER)[0] == 0
        assert net.manage()
        net.nft("delete", "table", "inet", "coulance")  # what a reboot leaves
        assert net.get(CUSTOMER)[0] == 1000
        before = len(queries.acts(vps))
        shift[0] += 31
        until(lambda: len(queries.acts(vps)) > before)
        assert net.get(CUSTOMER)[0] == 0, "found by the regular look, and mended"
        operations.lift(service=vps, source=Source.SECURITY, actor=ACTOR, reason="over", at=clock())
        until(lambda: queries.acts(vps)[0].after == FREE)
        assert net.get(CUSTOMER)[0] == 1000
    finally:
        running.stop()
        thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("identity", ['x" accept comment "y', "a b", "", "x" * 80, "vps;flush ruleset"])
def test_names_that_nft_could_misread_are_refused(driver: Nftables, identity: str) -> None:
    with pytest.raises(WrongTargetError):
        driver.write(TargetRow("s", "router", identity, {"addresses": [CUSTOMER]}), Desired(paused=True), key="1")


@pytest.mark.parametrize("addresses", [None, [], "10.0.0.1", ["10.0.0.300"], ["10.0.0.1; drop"]])
def test_addresses_that_cannot_be_are_refused(driver: Nftables, addresses: object) -> None:
    with pytest.raises(DriverError):
        driver.read(TargetRow("s", "router", "s", {"addresses": addresses}))


def test_trouble_has_words() -> None:
    with pytest.raises(DriverError, match="cannot be run"):
        Nftables(nft="/nowhere/nft").read(target())
    with pytest.raises(DriverError, match="within"):
        Nftables(prefix=[sys.executable, "-c", "import time; time.sleep(5)"], timeout_s=0.2).read(target())
