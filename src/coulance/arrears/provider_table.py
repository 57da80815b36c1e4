"""The `[arrears]` table of a provider's file: policies and law packs, beside those that are shipped.

    [arrears]                 # without this table nothing is done about debts: the provider's own way goes on
    mode = "observe"          # or "enforce"; stands above the policies' own
    no_data = ["colo"]        # kinds of services of which we hold no data, so that they need no backup
    overage_restricts = false # whether the contract says expressly that unpaid overage restricts the service
    [[arrears.policy]]        # without one, the default policy that is shipped
    [arrears.backups.KEY]     # how services are backed up: see backup_terms
    [arrears.deletion.KEY]    # what deletes their data, once that is decided: see deletion_terms
    [arrears.prevention]      # what is done before anybody is late: see prevention_terms
    [[arrears.pack]]          # a further country's law, or another for one of those that are shipped

Policies and packs are parsed by core, which names every fault by its field.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from coulance.arrears.backup_terms import judge_backups
from coulance.arrears.deletion_terms import judge_deletion
from coulance.arrears.prevention_terms import PreventionTerms, judge_prevention, read_prevention
from coulance_core.arrears import LawPack, Mode, Policy, parse_pack, parse_policy
from coulance_core.arrears.default_policy import DEFAULT_POLICY
from coulance_core.catalog.faults import Fault, TermsError

_KEYS = {"mode", "no_data", "overage_restricts", "policy", "pack", "backups", "deletion", "prevention"}
_PACKS = Path(__file__).parent / "packs"


@dataclass(frozen=True)
class Settings:
    """What the table says. `tables` are the policies as they stand in the file, by version."""

    policies: tuple[Policy, ...]
    packs: tuple[LawPack, ...]
    tables: Mapping[str, Mapping[str, Any]]
    no_data: frozenset[str]
    overage_restricts: bool
    prevention: PreventionTerms = field(default_factory=PreventionTerms)

    def pinned(self, version: str, table: Mapping[str, Any]) -> Policy:
        """The policy of a case as it was pinned, in the mode that its name is in today (observe where it is gone)."""
        policy = _policy(json.dumps(table, sort_keys=True, default=str))
        today = [one for one in self.policies if one.name == policy.name]
        newest = max(today, key=lambda one: one.valid_from, default=None)
        assert policy.version == version
        return replace(policy, mode=Mode.OBSERVE if newest is None else newest.mode)


def judge(data: Mapping[str, Any]) -> Iterable[Fault]:
    """Every fault of the table, by its field."""
    yield from _plain_faults(data)
    yield from judge_backups(data.get("backups", {}))
    yield from judge_deletion(data.get("deletion", {}))
    yield from judge_prevention(data.get("prevention", {}))
    for kind, parse in (("policy", parse_policy), ("pack", parse_pack)):
        rows = data.get(kind, [])
        seen: dict[str, int] = {}
        for n, row in enumerate(rows if isinstance(rows, list) else []):
            if not isinstance(row, dict):
                yield Fault(f"{kind}[{n}]", "expected a table")
                continue
            try:
                made: Policy | LawPack = parse(row)
            except TermsError as error:
                for fault in error.faults:
                    yield fault.under(f"{kind}[{n}]")
            else:
                if made.version in seen:
                    yield Fault(f"{kind}[{n}].from", f"{made.version} is there twice: a change is a new day")
                seen[made.version] = n
        if kind == "policy":
            names = {pack.name for pack in shipped_packs()} | _named(data.get("pack", []))
            for n, row in enumerate(rows if isinstance(rows, list) else []):
                law = row.get("law", "") if isinstance(row, dict) else ""
                if law and law not in names:
                    yield Fault(
                        f"policy[{n}].law", f"there is no law pack {law!r}: there are {', '.join(sorted(names))}"
                    )


def _plain_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    for key in data:
        if key not in _KEYS:
            yield Fault(key, f"arrears doesn't know it; it knows {', '.join(sorted(_KEYS))}")
    if data.get("mode", "enforce") not in [mode.value for mode in Mode]:
        yield Fault("mode", 'expected "observe" or "enforce"')
    kinds = data.get("no_data", [])
    if not isinstance(kinds, list) or any(not isinstance(kind, str) for kind in kinds):
        yield Fault("no_data", 'expected kinds of services, such as ["colo"]')
    if not isinstance(data.get("overage_restricts", False), bool):
        yield Fault("overage_restricts", "expected true or false")
    for key in ("policy", "pack"):
        if not isinstance(data.get(key, []), list):
            yield Fault(key, f"expected tables: [[arrears.{key}]]")


def _named(rows: Any) -> set[str]:
    return {str(row.get("name")) for row in rows if isinstance(row, dict)} if isinstance(rows, list) else set()


def settings_of(data: Mapping[str, Any]) -> Settings | None:
    """What a table that was applied says; None for none: arrears is off."""
    return _settings(json.dumps(data, sort_keys=True, default=str)) if data else None


@lru_cache(maxsize=16)
def _settings(text: str) -> Settings:
    """Once for the same words: policies are long, and every account is judged by them."""
    data: dict[str, Any] = json.loads(text)
    rows = list(data.get("policy", [])) or default_rows()
    mode = Mode(data["mode"]) if "mode" in data else None
    policies = [parse_policy(row) for row in rows]
    tables = {policy.version: row for policy, row in zip(policies, rows, strict=True)}
    if mode is not None:
        policies = [replace(policy, mode=mode) for policy in policies]
    own = tuple(parse_pack(row) for row in data.get("pack", []))
    names = {pack.name for pack in own}
    packs = (*own, *(pack for pack in shipped_packs() if pack.name not in names))
    return Settings(
        tuple(policies), packs, tables, frozenset(data.get("no_data", [])), bool(data.get("overage_restricts", False)),
        read_prevention(data.get("prevention", {}))[0],
    )  # fmt: skip


@lru_cache(maxsize=64)
def _policy(text: str) -> Policy:
    return parse_policy(json.loads(text))


@cache
def shipped_packs() -> tuple[LawPack, ...]:
    """The law packs that come with the program. Not legal advice."""
    return tuple(parse_pack(_toml(path.read_text("utf-8"))) for path in sorted(_PACKS.glob("*.toml")))


def default_rows() -> list[dict[str, Any]]:
    """The default policy as a file's tables."""
    rows: list[dict[str, Any]] = _toml(DEFAULT_POLICY)["arrears"]["policy"]
    return rows


def _toml(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)
