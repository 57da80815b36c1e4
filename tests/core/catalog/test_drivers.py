"""Drivers as terms: what they may say, and that they read back equal."""

from typing import Any

import pytest

from coulance_core.catalog.terms import Driver, DriverKind, TermsError, from_json, to_json

TOKEN = {"url": "https://pve1.example.net:8006", "secret": "pve"}
HOOK = {"url": "https://a.example.net/x", "read_url": "https://a.example.net/y?z=1", "secret": "hook"}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("nftables", {"prefix": ("ssh", "router"), "keep": ("192.0.2.0/28", "2001:db8::1"), "reconcile_s": 60}),
        ("proxmox", TOKEN),
        ("webhook", {**HOOK, "networks": ("10.0.0.0/8",)}),
        ("command", {"command": ("/usr/local/bin/restrict", "--now")}),
        ("record", {}),
    ],
)
def test_a_driver_reads_back_equal(kind: str, said: dict[str, Any]) -> None:
    made = Driver("one", DriverKind(kind), **said)
    assert from_json(Driver, to_json(made)) == made


@pytest.mark.parametrize(
    ("kind", "said", "fault"),
    [
        ("nftables", {"keep": ("192.0.2.1; flush",)}, "keep"),
        ("nftables", {"table": "x; flush ruleset"}, "table"),
        ("nftables", {"timeout_s": 30}, "timeout_s"),
        ("nftables", {"reconcile_s": 1}, "reconcile_s"),
        ("record", {"at_once": 0}, "at_once"),
        ("proxmox", {**TOKEN, "secret": ""}, "secret"),
        ("proxmox", {**TOKEN, "url": "http://pve1:8006"}, "https"),
        ("proxmox", {**TOKEN, "url": "pve1"}, "url"),
        ("webhook", {**HOOK, "read_url": ""}, "read_url"),
        ("webhook", {**HOOK, "networks": ("ten",)}, "networks"),
        ("command", {}, "command"),
        ("command", {"command": ("restrict",)}, "whole path"),
    ],
)
def test_what_a_driver_may_not_say(kind: str, said: dict[str, Any], fault: str) -> None:
    with pytest.raises(TermsError, match=fault):
        Driver("one", DriverKind(kind), **said)
