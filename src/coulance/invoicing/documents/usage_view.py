"""The part of a document that shows use: a picture an item with what it says, and the table of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from coulance.invoicing import chart, svg
from coulance.invoicing.documents.calculation import View
from coulance.invoicing.documents.usage_items import item_of, pool_totals, positive, texts
from coulance.invoicing.documents.words import Words, ratio_percent
from coulance_core.kernel import exact

MOST_PICTURES = 24
"""Pictures on one document; further services stand in the table of use."""


@dataclass(frozen=True)
class UsageView:
    """Use as a document shows it, from its snapshot, in its language and time zone."""

    snapshot: Mapping[str, Any]
    words: Words
    zone: ZoneInfo

    def pictures(self, usage: Sequence[Mapping[str, Any]]) -> list[View]:
        """A picture a usage item, members of a pool on one; on an invoice only of what it charges, dearest first."""
        if self.snapshot["kind"] != "usage_statement":
            usage = sorted(usage, key=self._charged, reverse=True)
        shown: list[View] = []
        pools: dict[str, list[Mapping[str, Any]]] = {}
        for item in usage:
            if item.get("pool"):
                pools.setdefault(str(item["pool"]), []).append(item)
        done: set[str] = set()
        for item in usage:
            if len(shown) >= MOST_PICTURES:
                break
            name = str(item.get("pool") or "")
            if name and name not in done:
                done.add(name)
                model = chart.pool(pools[name], name=name, language=self.words.language)
                if model is not None:
                    shown.append(
                        self._picture(self._pool_item(name, pools[name]), model, self.words("pool", name=name))
                    )
                    continue
            elif name and (len(pools[name]) > 1):
                continue
            if self.snapshot["kind"] != "usage_statement" and not self._billed(item):
                continue
            model = chart.model(item, zone=self.zone, language=self.words.language)
            if model is not None:
                shown.append(self._picture(item, model, self._item_title(item)))
        return shown

    def _billed(self, item: Mapping[str, Any]) -> bool:
        """Whether a line of this document rests on the item."""
        return any(item_of(line, [item]) is not None for line in self.snapshot["lines"])

    def _charged(self, item: Mapping[str, Any]) -> Fraction:
        """What the document's lines charge for the item."""
        mine = [line for line in self.snapshot["lines"] if item_of(line, [item]) is not None]
        return sum((exact(str(line.get("net") or 0)) for line in mine), Fraction(0))

    def _item_title(self, item: Mapping[str, Any]) -> str:
        service = (item.get("service") or {}).get("name")
        return " – ".join(texts([service, item.get("charge")]))

    def _pool_item(self, name: str, members: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        used, allowance = pool_totals(members)
        over = exact(used) - exact(allowance)
        seen = [m.get("coverage") or {} for m in members]
        flags: dict[str, int] = {}
        for m in members:
            for flag, count in (m.get("flags") or {}).items():
                flags[flag] = flags.get(flag, 0) + int(count)
        return {
            "pool": name,
            "used": used,
            "allowance": allowance,
            "overage": str(over) if over > 0 else "0",
            "unit": members[0].get("unit"),
            "conventions": list(dict.fromkeys(c for m in members for c in m.get("conventions") or ())),
            "coverage": {k: sum(int(c.get(k) or 0) for c in seen) for k in ("seen", "expected")},
            "flags": flags,
            "measure": members[0].get("measure"),
            # What a pool absorbed stands beside each of its members.
            "absorbed": members[0].get("absorbed") or [],
        }

    def _picture(self, item: Mapping[str, Any], model: chart.ChartModel, title: str) -> View:
        return {"title": title, "said": self._said(item), "svg": svg.svg(model), "alt": model.alt} | self._provenance(
            item
        )

    def _said(self, item: Mapping[str, Any]) -> str:
        """What was used of what was included, and what of it is not charged, and why."""
        return "; ".join(texts([self._said_used(item), self._not_charged(item)]))

    def _not_charged(self, item: Mapping[str, Any]) -> str:
        w, unit = self.words, str(item.get("unit") or "")
        parts = [
            w("absorbed_part", quantity=w.amount_of(one["quantity"], unit), why=w(f"absorbed_{one['reason']}"))
            for one in item.get("absorbed") or ()
            if w.has(f"absorbed_{one['reason']}")
        ]
        return w("not_charged", parts="; ".join(parts)) if parts else ""

    def _said_used(self, item: Mapping[str, Any]) -> str:
        w, unit = self.words, str(item.get("unit") or "")
        if item.get("used") is None:
            return ""
        used = w.amount_of(item["used"], unit)
        over = w.amount_of(item["overage"], unit) if positive(item.get("overage")) else ""
        if item.get("commit"):
            limit = w.amount_of(item["commit"], unit)
            return (
                w("commit_over", used=used, allowance=limit, over=over)
                if over
                else w("commit_of", used=used, allowance=limit)
            )
        if item.get("allowance"):
            limit = w.amount_of(item["allowance"], unit)
            return (
                w("used_over", used=used, allowance=limit, over=over)
                if over
                else w("used_of", used=used, allowance=limit)
            )
        return w("used_plain", used=used)

    def _provenance(self, item: Mapping[str, Any]) -> View:
        """How complete the figure is, by which conventions, and what was odd in the samples."""
        w = self.words
        coverage = item.get("coverage") or {}
        said = ""
        if coverage.get("expected"):
            seen, expected = int(coverage.get("seen") or 0), int(coverage["expected"])
            said = w(
                "coverage_text",
                seen=w.number(seen),
                expected=w.number(expected),
                share=w.number(ratio_percent(seen, expected)),
            )
        measure = item.get("measure")
        how = [measure] if isinstance(measure, str) else []
        if isinstance(measure, Mapping):
            if measure.get("words"):
                how.append(str(measure["words"]))
            elif not item.get("conventions"):
                keys = (f"aggregation_{measure.get('aggregation')}", f"direction_{measure.get('direction')}")
                how.append(", ".join(w(k) for k in keys if w.has(k)))
        flags = [f"{str(k).replace('_', ' ').lower()} {w.number(v)}" for k, v in (item.get("flags") or {}).items() if v]
        return {
            "coverage": said,
            "conventions": list(dict.fromkeys(texts([*how, *(item.get("conventions") or ())]))),
            "flags": [*flags, *(str(note) for note in item.get("notes") or ())],
        }

    def rows(self, usage: Sequence[Mapping[str, Any]]) -> list[View]:
        """Every usage item as a row: nothing is left out where there are more items than pictures."""
        w = self.words
        rows: list[View] = []
        if len(usage) < 2:
            return rows
        for item in usage:
            unit = str(item.get("unit") or "")
            limit = item.get("allowance") or item.get("commit")
            coverage = item.get("coverage") or {}
            seen, expected = int(coverage.get("seen") or 0), int(coverage.get("expected") or 0)
            rows.append(
                {
                    "service": str((item.get("service") or {}).get("name") or item.get("pool") or w("account_lines")),
                    "charge": " · ".join(texts([item.get("charge"), w("pooled") if item.get("pool") else ""])),
                    "used": w.amount_of(item["used"], unit) if item.get("used") is not None else "–",
                    "included": w.amount_of(limit, unit) if limit else "–",
                    # A pool's member is over only where the pool is, which its own picture says.
                    "over": w.amount_of(item["overage"], unit)
                    if positive(item.get("overage")) and not item.get("pool")
                    else "–",
                    "coverage": f"{w.number(ratio_percent(seen, expected))} %" if expected else "–",
                }
            )
        return rows
