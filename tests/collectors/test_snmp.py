# ruff: noqa: E501 - a table reads best with a case a line
"""SNMP: a real snmpd, recorded walks of real switches, and what devices do to their counters over the years."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coulance.integrations.collectors import runner
from coulance.integrations.collectors.snmp import NARROW, Snmp
from coulance.usage import queries
from coulance.usage.collecting import Progress
from coulance_core.catalog.collectors import Collector, CollectorKind, CollectorRule, SnmpVersion
from tests.collectors.agent import Agent
from tests.collectors.world import NOW, used
from tests.support.instances import free_port

SNMP = """
[collectors.switch]
kind = "snmp"
targets = ["TARGET"]
secret = "snmp"
timeout = "2 s"

[[collectors.switch.rules]]
series = "{sysname}:{ifname}"
meter = "port"
"""
UPTIME, NAME, HOST = "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.25.1.1.0"
BOOTS, ENGINE = "1.3.6.1.6.3.10.2.1.2.0", "1.3.6.1.6.3.10.2.1.3.0"
IF_DESCR, IF_IN, IF_OUT = (f"1.3.6.1.2.1.2.2.1.{n}" for n in (2, 10, 16))
IF_NAME, HC_IN, HC_OUT, ALIAS, BROKE = (f"1.3.6.1.2.1.31.1.1.1.{n}" for n in (1, 6, 10, 18, 19))


class Switch(Agent):
    """A switch with ports; time passes, counters run, and it starts again when told to."""

    def __init__(self) -> None:
        super().__init__("s3cret")
        self.ticks = 10**7
        self.set(NAME, "4", "sw1")
        self.set(UPTIME, "67", self.ticks)
        self.counts: dict[str, list[int]] = {}
        self.index: dict[str, int] = {}

    def port(self, name: str, index: int, v_in: int = 10**12, v_out: int = 2 * 10**12) -> None:
        self.counts[name], self.index[name] = [v_in, v_out], index
        self.write()

    def write(self, wide: bool = True) -> None:
        for base in (IF_DESCR, IF_IN, IF_OUT, IF_NAME, HC_IN, HC_OUT, BROKE):
            for key in self.column(base):
                del self.values[*(int(n) for n in base.split(".")), *key]
        for name, index in self.index.items():
            v_in, v_out = self.counts[name]
            self.set(f"{IF_DESCR}.{index}", "4", f"Port {name}")
            self.set(f"{IF_NAME}.{index}", "4", name)
            self.set(f"{IF_IN}.{index}", "65", v_in % 2**32)
            self.set(f"{IF_OUT}.{index}", "65", v_out % 2**32)
            if wide:
                self.set(f"{HC_IN}.{index}", "70", v_in % 2**64)
                self.set(f"{HC_OUT}.{index}", "70", v_out % 2**64)
                self.set(f"{BROKE}.{index}", "67", 0)

    def passes(self, seconds: int, used: int = 0) -> None:
        self.ticks += 100 * seconds
        self.set(UPTIME, "67", self.ticks % 2**32)
        for name in self.counts:
            self.counts[name] = [value + used for value in self.counts[name]]
        self.write()


@pytest.fixture
def switch() -> Iterator[Switch]:
    agent = Switch()
    with agent.serving():
        yield agent


@pytest.fixture
def ask(asking: Callable[..., Any], switch: Switch) -> Any:
    return asking(SNMP.replace("TARGET", switch.target), ["sw1:ge-1", "sw1:ge-2"], snmp="s3cret")


def test_ports_count_in_64_bits(ask: Any, switch: Switch) -> None:
    switch.port("ge-1", 1, 2**64 - 500, 2**63)
    switch.port("ge-2", 2)
    assert ask.go().error == ""
    switch.passes(300, 1500)
    assert ask.go(300).error == ""
    assert used("sw1:ge-1") == (2, 1500, 1500), "past the top of 64 bits"
    assert used("sw1:ge-2") == (2, 1500, 1500)


def test_another_index_after_a_restart_is_the_same_port(ask: Any, switch: Switch) -> None:
    switch.port("ge-1", 1)
    switch.port("ge-2", 2, 5000, 5000)
    ask.go()
    switch.passes(300, 700)
    switch.index = {"ge-1": 20, "ge-2": 1}
    switch.write()
    ask.go(300)
    assert (used("sw1:ge-1"), used("sw1:ge-2")) == ((2, 700, 700), (2, 700, 700))


RESTARTS = [
    # what                                          ticks then  ticks now       boots      engine s        host then, now          is it a restart?
    ("it ran on",                                   10**7,      10**7 + 30_000, None,      None,           None,                   False),
    ("its clock drifts by a second",                10**7,      10**7 + 30_100, None,      None,           None,                   False),
    ("sysUpTime wrapped at 497 days",               2**32 - 50, 29_950,         None,      None,           None,                   False),
    ("it started again",                            10**7,      5000,           None,      None,           None,                   True),
    ("it started again, with more on its counters", 10**7,      12_000,         None,      None,           None,                   True),
    ("sysUpTime jumped, its engine ran on",         10**7,      5000,           (4, 4),    (10**6, 10**6 + 300), None,             False),
    ("its engine booted again",                     10**7,      5000,           (4, 5),    (10**6, 50),    None,                   True),
    ("only its agent started again",                10**7,      5000,           (4, 5),    (10**6, 50),    (10**8, 10**8 + 30_000), False),
    ("the host started again, and its agent",       10**7,      5000,           (4, 5),    (10**6, 50),    (10**8, 6000),          True),
    ("the host's uptime wrapped",                   10**7,      5000,           None,      None,           (2**32 - 100, 29_900),  False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("then", "now", "boots", "engine", "host", "restarted"), [c[1:] for c in RESTARTS], ids=[c[0] for c in RESTARTS]
)
def test_reset_or_wrap(
    ask: Any, switch: Switch, then: int, now: int, boots: Any, engine: Any, host: Any, restarted: bool
) -> None:
    """In all of them the counters show more than before; only the clocks tell whether the difference was used."""
    for step, ticks in enumerate((then, now)):
        switch.port("ge-1", 1, 10**6 + 4000 * step, 10**6 + 4000 * step)
        switch.set(UPTIME, "67", ticks)
        for name, pair, kind in ((BOOTS, boots, "2"), (ENGINE, engine, "2"), (HOST, host, "67")):
            if pair:
                switch.set(name, kind, pair[step])
        ask.go(300)
    assert used("sw1:ge-1") == ((2, 0, 0) if restarted else (2, 4000, 4000))


def test_one_ports_discontinuity_is_its_own(ask: Any, switch: Switch) -> None:
    for name, index in (("ge-1", 1), ("ge-2", 2)):
        switch.port(name, index)
    ask.go()
    switch.passes(300, 900)
    switch.set(f"{BROKE}.1", "67", switch.ticks - 100 * 60)  # its card was changed a minute ago
    ask.go(300)
    assert (used("sw1:ge-1"), used("sw1:ge-2")) == ((2, 0, 0), (2, 900, 900))
    switch.passes(300, 900)
    switch.set(f"{BROKE}.1", "67", switch.ticks - 100 * 360)
    ask.go(300)
    assert used("sw1:ge-1") == (3, 900, 900)


def test_32_bit_counters_never_mix_with_64_bit_ones(ask: Any, switch: Switch) -> None:
    switch.port("ge-1", 1)
    ask.go()
    switch.passes(300, 400)
    switch.write(wide=False)  # a software fault: the 64-bit columns are gone
    ask.go(300)
    assert "no 64-bit counters (ge-1)" in " ".join(ask.health().notes)
    switch.passes(300, 400)
    ask.go(300)
    assert used("sw1:ge-1") == (2, 800, 800)
    assert [one.key for one in queries.quarantined()] == [f"sw1:ge-1{NARROW}"]


def test_devices_of_32_bits_when_that_is_what_is_said(asking: Callable[..., Any], switch: Switch) -> None:
    ask = asking(
        SNMP.replace("TARGET", switch.target).replace('timeout = "2 s"', "bits = 32"), ["sw1:ge-1"], snmp="s3cret"
    )
    switch.port("ge-1", 1, 2**33 + 5, 7)
    switch.write(wide=False)
    ask.go()
    switch.passes(300, 60)
    switch.write(wide=False)
    ask.go(300)
    assert used("sw1:ge-1") == (2, 60, 60)


SILENT = [
    # what                          the agent does                        what is said
    ("a wrong community",           lambda agent: setattr(agent, "community", "other"),  "is the community right?"),
    ("nobody there",                lambda agent: setattr(agent, "instead", lambda _: None), "No SNMP response"),
    ("nonsense",                    lambda agent: setattr(agent, "instead", lambda _: b"nonsense"), "No SNMP response"),
    ("no sysUpTime",                lambda agent: agent.values.pop(tuple(map(int, UPTIME.split(".")))), "no sysUpTime"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "says"), [c[1:] for c in SILENT], ids=[c[0] for c in SILENT])
def test_devices_that_do_not_answer(
    asking: Callable[..., Any], switch: Switch, fault: Callable[[Any], None], says: str
) -> None:
    ask = asking(SNMP.replace("TARGET", switch.target).replace("2 s", "1 s"), ["sw1:ge-1"], snmp="s3cret")
    switch.port("ge-1", 1)
    fault(switch)
    error = ask.go().error
    assert says in error
    assert "s3cret" not in error


RECORDED = ["cisco-n5000-uk9.snmprec", "cisco-n5000.snmprec"]


def test_walks_of_a_real_switch_147_days_apart(cases: Path, asking: Callable[..., Any], switch: Switch) -> None:
    """Every port with 64-bit counters is read as it was recorded, and the device is seen to have run on."""
    ask = asking(SNMP.replace("TARGET", switch.target).replace("{sysname}", "{target}"), snmp="s3cret")
    collector = runner.asked_collectors()["switch"]
    walks = []
    for name in RECORDED:
        switch.load(cases / "traffic" / "snmp" / name)
        walks.append((int(switch.values[tuple(map(int, UPTIME.split(".")))][1]), dict(switch.values)))
    before = Progress("switch", switch.target)
    began = 0
    for ticks, values in sorted(walks, key=lambda walk: walk[0]):
        switch.values = values
        ask.at = NOW + timedelta(seconds=(ticks - began) // 100 if began else 0)
        began = began or ticks
        harvest = Snmp().ask(collector, switch.target, before, ask.now, {"snmp": "s3cret"})
        before = replace(before, state=harvest.state)
        assert harvest.columns is not None
        assert not any("began anew" in note for note in harvest.notes)
        names, outs = switch.column(IF_NAME), switch.column(HC_OUT)
        wide = {f"127.0.0.1:{names[i]}": (int(v_in), int(outs[i])) for i, v_in in switch.column(HC_IN).items()}
        columns = harvest.columns
        rows = zip(columns.series.tolist(), columns.v_in.tolist(), columns.v_out.tolist(), strict=True)
        found = {columns.keys.names[code]: (v_in, v_out) for code, v_in, v_out in rows}
        assert len(wide) > 40
        assert {key: value for key, value in found.items() if not key.endswith(NARROW)} == wide
    assert ask.at - NOW > timedelta(days=140)


# The real thing


@pytest.fixture
def snmpd(tmp_path: Path) -> Iterator[int]:
    """A snmpd of the test's own, on a loopback port."""
    program = shutil.which("snmpd") or shutil.which("/usr/sbin/snmpd")
    if program is None or not sys.platform.startswith("linux"):
        pytest.skip("there is no snmpd here; install Debian's snmpd to run this")
    where = free_port()
    config = tmp_path / "snmpd.conf"
    config.write_text(
        f"agentaddress udp:127.0.0.1:{where}\nrocommunity s3cret 127.0.0.1\nsysName test-host\n"
        'createUser meter SHA-256 "authpass-9876" AES "privpass-1234"\nrouser meter authpriv\n'
    )
    process = subprocess.Popen(
        [program, "-f", "-Lo", "-C", "-c", str(config), "-I", "-smux", "-p", str(tmp_path / "pid")],
        env={"SNMP_PERSISTENT_DIR": str(tmp_path / "state"), "MIBS": "", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield where
    finally:
        process.terminate()
        process.wait(10)


def _loopback() -> int:
    text = Path("/proc/net/dev").read_text()
    return next(int(line.split(":")[1].split()[0]) for line in text.splitlines() if line.strip().startswith("lo:"))


@pytest.mark.parametrize("version", list(SnmpVersion))
def test_a_real_snmpd(snmpd: int, version: SnmpVersion) -> None:
    rule = CollectorRule("port", "{sysname}:{ifname}", include=(("ifname", "lo"),))
    collector = Collector(
        "host", CollectorKind.SNMP, (rule,), targets=(f"127.0.0.1:{snmpd}",), timeout_s=6, version=version,
        secret="community", user="meter", auth_secret="auth", privacy_secret="privacy",
    )  # fmt: skip
    secrets = {"community": "s3cret", "auth": "authpass-9876", "privacy": "privpass-1234"}
    before = _loopback()
    give_up = time.monotonic() + 20
    while True:  # it takes a moment to start
        try:
            harvest = Snmp().ask(
                collector, collector.targets[0], Progress("host", collector.targets[0]), lambda: NOW, secrets
            )
            break
        except Exception:
            if time.monotonic() > give_up:
                raise
    columns = harvest.columns
    assert columns is not None
    assert columns.keys.names == ["test-host:lo"]
    assert before <= int(columns.v_in[0]) <= _loopback()
    clock = harvest.state["clock"]
    assert clock["ticks"] < 100 * 60
    assert clock["host_ticks"] is not None
    assert harvest.notes == []


def test_a_wrong_password_is_told(snmpd: int) -> None:
    rule = CollectorRule("port", "{sysname}:{ifname}")
    collector = Collector(
        "host", CollectorKind.SNMP, (rule,), targets=(f"127.0.0.1:{snmpd}",), timeout_s=3, version=SnmpVersion.V3,
        user="meter", auth_secret="auth", privacy_secret="privacy",
    )  # fmt: skip
    give_up = time.monotonic() + 20
    said = ""
    while "digest" not in said.lower() and time.monotonic() < give_up:
        with pytest.raises(Exception) as told:
            Snmp().ask(
                collector, collector.targets[0], Progress("host", collector.targets[0]), lambda: NOW,
                {"auth": "wrong-password", "privacy": "privpass-1234"},
            )  # fmt: skip
        said = str(told.value)
    assert "digest" in said.lower()
    assert "wrong-password" not in said
