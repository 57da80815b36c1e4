# ruff: noqa: E501 - a table reads best with a case a line
"""Proxmox VE against a strict fake: fields kept, units right, the identity first, every wrong answer named."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance.drivers.proxmox import Proxmox, parse_net, rate_bps, rate_text, with_fields
from coulance.enforcement import executing
from coulance.enforcement.ports import DriverError, TargetRow, WrongTargetError
from coulance_core.enforcement.restrictions import FREE, Desired
from tests.drivers.proxmox_fake import TOKEN, Cluster, Guest
from tests.enforcement.world import T0

NET0 = "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=7,mtu=1500"
NET1 = "virtio=BC:24:11:00:00:02,bridge=vmbr9,trunks=2;3"
UUID = "3a0c5d1e-5a4f-4a83-9c58-0b4f6c7d8e9f"
PAUSED = Desired(paused=True)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(
        {
            101: Guest("pve1", "qemu", {"name": "web1", "net0": NET0, "net1": NET1, "smbios1": f"uuid={UUID},manufacturer=x"}),
            200: Guest("pve2", "lxc", {"hostname": "ct1", "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:03,ip=dhcp,type=veth"}),
        }
    )  # fmt: skip


def driver(cluster: Cluster, token: str = TOKEN) -> Proxmox:
    return Proxmox(
        url="https://pve1.example.net:8006", token=lambda: token, transport=httpx.MockTransport(cluster.handle)
    )


def target(identity: str = "101/web1", **parameters: Any) -> TargetRow:
    return TargetRow("vps-1", "pve", identity, {"node": "pve1", "vmid": 101, **parameters})


def test_a_pause_takes_the_link_down_and_its_reversal_leaves_no_trace(cluster: Cluster) -> None:
    pve, vps = driver(cluster), target()
    assert pve.read(vps).state == FREE
    pve.write(vps, PAUSED, key="k")
    assert pve.read(vps).state == PAUSED
    assert cluster.guests[101].config["net0"] == f"{NET0},link_down=1"
    pve.write(vps, FREE, key="k")
    assert pve.read(vps).state == FREE
    assert (cluster.guests[101].config["net0"], cluster.guests[101].config["net1"]) == (NET0, NET1)
    assert set(cluster.guests[101].config) == {"name", "net0", "net1", "smbios1"}


def test_writing_twice_is_writing_once(cluster: Cluster) -> None:
    pve = driver(cluster)
    pve.write(target(), PAUSED, key="k")
    pve.write(target(), PAUSED, key="k")
    assert len(cluster.puts) == 1


def test_only_the_interfaces_that_are_named(cluster: Cluster) -> None:
    pve, vps = driver(cluster), target(interfaces=["net0"])
    pve.write(vps, PAUSED, key="k")
    assert cluster.guests[101].config["net1"] == NET1
    assert pve.read(vps).state == PAUSED
    assert not pve.read(target()).whole, "all interfaces: half of a pause is to be written again"


def test_a_throttle_is_policed_in_the_hypervisors_own_units(cluster: Cluster) -> None:
    pve, vps = driver(cluster), target(usual_rate="125", interfaces=["net0"])
    cluster.guests[101].config["net0"] = cluster.guests[101].running["net0"] = f"{NET0},rate=125"
    assert pve.read(vps).state == FREE, "its usual rate is no throttle"
    wanted = pve.nearest(Desired(rate_bps=10_000_000))
    assert wanted.rate_bps is not None
    assert 10_000_000 - 8192 < wanted.rate_bps <= 10_000_000
    pve.write(vps, wanted, key="k")
    assert cluster.guests[101].policed_bytes("net0") == wanted.rate_bps // 8
    assert pve.read(vps).state == wanted
    pve.write(vps, FREE, key="k")
    assert cluster.guests[101].config["net0"] == f"{NET0},rate=125"


def test_without_a_usual_rate_rates_are_left_alone(cluster: Cluster) -> None:
    pve = driver(cluster)
    cluster.guests[101].config["net0"] = cluster.guests[101].running["net0"] = f"{NET0},rate=125"
    pve.write(target(), PAUSED, key="k")
    pve.write(target(), FREE, key="k")
    assert cluster.guests[101].config["net0"] == f"{NET0},rate=125"
    with pytest.raises(DriverError, match="usual_rate"):
        pve.write(target(), Desired(rate_bps=8192), key="k")


def test_a_container_and_a_guest_that_migrated(cluster: Cluster) -> None:
    pve = driver(cluster)
    container = TargetRow("ct-1", "pve", "200/ct1", {"vmid": 200, "type": "lxc"})
    pve.write(container, PAUSED, key="k")
    assert cluster.guests[200].config["net0"].endswith("type=veth,link_down=1")
    cluster.guests[101].node = "pve3"
    assert pve.read(target()).identity == "101/web1"
    assert ("GET", "/api2/json/cluster/resources") in cluster.requests


@pytest.mark.parametrize("identity", ["101/web2", "101/uuid=00000000-0000-4000-8000-000000000000", "102/web1"])
def test_another_guest_is_left_alone(cluster: Cluster, identity: str) -> None:
    pve = driver(cluster)
    outcome = executing.act_on(target(identity), pve, PAUSED, "k", lambda: T0)
    assert outcome.outcome == "refused"
    with pytest.raises(WrongTargetError):
        pve.write(target(identity), PAUSED, key="k")
    assert cluster.puts == []


def test_the_uuid_of_smbios_is_an_identity(cluster: Cluster) -> None:
    assert driver(cluster).read(target(f"101/uuid={UUID}")).identity == f"101/uuid={UUID}"


def test_somebody_elses_change_in_between_is_not_lost(cluster: Cluster) -> None:
    pve = driver(cluster)

    def other(guest: Guest) -> None:
        guest.config["net0"] = guest.running["net0"] = NET0.replace("tag=7", "tag=8")

    cluster.meanwhile = other
    with pytest.raises(DriverError, match="changed by other user"):
        pve.write(target(), PAUSED, key="k")
    cluster.meanwhile = None
    pve.write(target(), PAUSED, key="k")
    assert "tag=8" in cluster.guests[101].config["net0"]


def test_a_change_that_waits_for_the_next_start_is_not_believed(cluster: Cluster) -> None:
    cluster.guests[101].hotplug = False
    outcome = executing.act_on(target(), driver(cluster), PAUSED, "k", lambda: T0)
    assert (outcome.outcome, "shows free" in outcome.fault) == ("failed", True)


def test_a_blackhole_is_a_routers(cluster: Cluster) -> None:
    wanted = Desired(paused=True, blackholed=frozenset({"192.0.2.7"}))
    assert driver(cluster).nearest(wanted) == PAUSED
    with pytest.raises(DriverError, match="router"):
        driver(cluster).write(target(), wanted, key="k")


def test_the_token_is_in_no_message(cluster: Cluster) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={"message": f"no permission for {request.headers['Authorization']}"})

    cluster.wrong = echo
    with pytest.raises(DriverError) as caught:
        driver(cluster).read(target())
    assert TOKEN not in str(caught.value)
    assert "VM.Config.Network" in str(caught.value)


def _answer(status: int = 200, **more: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(status, **more)


def _raise(fault: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def fail(request: httpx.Request) -> httpx.Response:
        raise fault

    return fail


def _config(**changed: Any) -> Callable[[httpx.Request], httpx.Response]:
    held = {"name": "web1", "net0": NET0, "digest": "a" * 40} | changed
    return _answer(json={"data": {k: v for k, v in held.items() if v is not None}})


WRONG = [
    ("an unknown token", _answer(401, json={"message": "authentication failure"}), "refuses the token"),
    ("no permission", _answer(403, json={"message": "Permission check failed (/vms/101, VM.Audit)"}), "VM.Audit"),
    ("a fault of its own", _answer(500, json={"message": "got no worker upid"}), "500"),
    ("a proxy's page", _answer(502, text="<html>Bad Gateway</html>"), "502"),
    ("a node that is down", _answer(595, json={"message": "No route to host"}), "595"),
    ("no guest of that number", _answer(500, json={"message": "Configuration file 'x' does not exist"}), "does not exist"),
    ("somewhere else", _answer(302, headers={"Location": "https://evil.example"}), "302"),
    ("a page", _answer(text="<html>sign in</html>"), "no JSON"),
    ("half a page", _answer(content=b'{"data": {"net0": "virt'), "no JSON"),
    ("no UTF-8", _answer(content=b"\xff\xfe\x00"), "no JSON"),
    ("a list", _answer(json=[1, 2]), "no data"),
    ("no data", _answer(json={"success": 1}), "no data"),
    ("data that is nothing", _answer(json={"data": None}), "no configuration"),
    ("data that is a list", _answer(json={"data": []}), "no configuration"),
    ("data with errors", _answer(json={"data": {}, "errors": {"vmid": "too small"}}), "too small"),
    ("no digest", _config(digest=None), "without a digest"),
    ("a digest that is a number", _config(digest=7), "without a digest"),
    ("a digest that is a word", _config(digest="none"), "without a digest"),
    ("no interface", _config(net0=None), "no network interface"),
    ("an interface that is a number", _config(net0=1), "no text"),
    ("an interface that is a table", _config(net0={"model": "virtio"}), "no text"),
    ("an empty interface", _config(net0=""), "can't be read"),
    ("an interface with a hole", _config(net0="virtio=BC:24:11:00:00:01,,bridge=vmbr0"), "can't be read"),
    ("a field twice", _config(net0=f"{NET0},link_down=1,link_down=0"), "twice"),
    ("a link neither up nor down", _config(net0=f"{NET0},link_down=maybe"), "link_down"),
    ("a rate in words", _config(net0=f"{NET0},rate=fast"), "rate"),
    ("a rate below zero", _config(net0=f"{NET0},rate=-1"), "rate"),
    ("a rate without end", _config(net0=f"{NET0},rate=1e99"), "rate"),
    ("a rate that is empty", _config(net0=f"{NET0},rate="), "rate"),
    ("too much", _answer(content=b'{"data": "' + b"x" * 1_100_000 + b'"}'), "more than"),
    ("silence", _raise(httpx.ReadTimeout("slow")), "did not answer"),
    ("no connection", _raise(httpx.ConnectError("refused")), "can't be reached"),
    ("another certificate", _raise(httpx.ConnectError("CERTIFICATE_VERIFY_FAILED")), "CERTIFICATE"),
    ("a broken answer", _raise(httpx.RemoteProtocolError("peer closed")), "can't be reached"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "says"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_answer_changes_nothing_and_is_named(
    cluster: Cluster, wrong: Callable[[httpx.Request], httpx.Response], says: str
) -> None:
    cluster.wrong = wrong
    outcome = executing.act_on(target(usual_rate="none"), driver(cluster), PAUSED, "k", lambda: T0)
    assert outcome.outcome == "failed"
    assert says in outcome.fault
    assert not [method for method, _ in cluster.requests if method == "PUT"]


OTHERS = [
    ("a cluster without it", [], "no qemu guest 101"),
    ("a container of its number", [{"vmid": 101, "type": "lxc", "node": "pve2"}], "no qemu guest 101"),
    ("a number as a text", [{"vmid": "101", "type": "qemu", "node": "pve2"}], "no qemu guest 101"),
    ("a guest without a node", [{"vmid": 101, "type": "qemu"}], "no qemu guest 101"),
    ("rows that are none", [None, 7, "x"], "no qemu guest 101"),
    ("no list", {"vmid": 101}, "no list of guests"),
]


@pytest.mark.parametrize(("rows", "says"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
def test_a_wrong_list_of_guests(cluster: Cluster, rows: Any, says: str) -> None:
    cluster.wrong = _answer(json={"data": rows})
    with pytest.raises(DriverError, match=says):
        driver(cluster).read(TargetRow("vps-1", "pve", "101/web1", {"vmid": 101}))


@pytest.mark.parametrize(
    "parameters",
    [{"vmid": None}, {"vmid": True}, {"vmid": 7}, {"vmid": "101; rm"}, {"type": "docker"}, {"node": 3},
     {"interfaces": "net0"}, {"interfaces": ["eth0"]}, {"interfaces": ["net5"]}, {"usual_rate": "fast"}],
)  # fmt: skip
def test_parameters_that_cannot_be(cluster: Cluster, parameters: dict[str, Any]) -> None:
    with pytest.raises(DriverError):
        driver(cluster).read(target(**parameters))


def test_a_secret_that_is_no_token(cluster: Cluster) -> None:
    with pytest.raises(DriverError, match="USER@REALM!TOKENID=UUID"):
        driver(cluster, "password").read(target())
    assert cluster.requests == []


@given(st.integers(1, 10**12))
def test_rates_there_and_back(steps: int) -> None:
    rate = steps % (10**7) * 8192
    assert rate_bps(rate_text(rate)) == rate


FIELDS = st.lists(
    st.tuples(
        st.from_regex(r"\A[a-z][a-z0-9]{0,7}\Z"), st.none() | st.from_regex(r"\A[A-Za-z0-9:;./_-]{0,12}\Z")
    ),
    min_size=1, max_size=8, unique_by=lambda one: one[0],
)  # fmt: skip


@given(FIELDS)
def test_every_other_field_stays_as_it_is(fields: list[tuple[str, str | None]]) -> None:
    text = ",".join(name if value is None else f"{name}={value}" for name, value in fields)
    assert parse_net(text) == fields
    assert with_fields(text) == text
    down = parse_net(with_fields(text, linkdown9="1"))
    assert [f for f in down if f[0] != "linkdown9"] == [f for f in fields if f[0] != "linkdown9"]
    assert json.dumps(down)
