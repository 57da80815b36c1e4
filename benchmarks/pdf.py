"""Invoices as PDF/A-3b beside WeasyPrint, on the same cores, from the same view; fresh data for every document.

WeasyPrint is not among our dependencies. It runs in a virtual environment of its own: the one whose Python stands in
`COULANCE_WEASYPRINT`, else one that is made for this run and thrown away (it wants Debian's libpango-1.0-0,
libpangoft2-1.0-0 and libharfbuzz-subset0). Where neither can be had, our own speed is shown without a rival.
Ours works in threads, since typst leaves the interpreter's lock; WeasyPrint gets a process a core. Both write tagged
PDF/A-3b with page numbers and an attachment.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

from tests.documents import samples

from benchmarks.harness import Result, timed
from coulance.invoicing import pdf
from coulance.invoicing.documents.view import view

VERSION = "70.0"
WORKERS = 2
TURNS = 3
OURS, RIVALS = 300, 8

_RIVAL = """
import json, sys, time
from multiprocessing import Pool
from weasyprint import Attachment, HTML

def one(page):
    attached = Attachment(string=page, name="calculation.json")
    return len(HTML(string=page).write_pdf(pdf_variant="pdf/a-3b", pdf_tags=True, attachments=[attached]))

if __name__ == "__main__":
    pages, workers = json.load(open(sys.argv[1])), int(sys.argv[2])
    with Pool(workers) as pool:
        pool.map(one, pages[:workers])  # fonts and imports are paid before the clock starts
        start = time.perf_counter()
        sizes = pool.map(one, pages[workers:], chunksize=1)
        print(json.dumps({"seconds": time.perf_counter() - start, "documents": len(sizes), "least": min(sizes)}))
"""


_STYLE = """
@page { size: A4; margin: 20mm; @bottom-right { content: counter(page) " of " counter(pages) }
        @bottom-left { content: string(who) } }
body { font: 10pt serif } h1 { string-set: who content() } svg { width: 170mm }
table { width: 100%; border-collapse: collapse }
td, th { padding: 3pt 0; text-align: left; border-bottom: .4pt solid #ddd }
.due { float: right; width: 76mm; background: #fdf1ea; border-left: 2.5pt solid #9a3412; padding: 10pt }
.due b { font-size: 25pt }
"""


def run() -> list[Result]:
    """One-page overage invoices, plain and with a usage picture, in turns with the rival: noise strikes both alike."""
    plain = [_invoice(i, picture=False) for i in range(OURS)]
    pictured = [_invoice(i, picture=True) for i in range(OURS, 2 * OURS)]
    with tempfile.TemporaryDirectory(prefix="coulance-weasyprint-") as folder:
        python = os.environ.get("COULANCE_WEASYPRINT") or _environment(Path(folder))
        ours: dict[str, float] = {"plain": 0.0, "pictured": 0.0}
        rival: dict[str, float] = {"plain": 0.0, "pictured": 0.0}
        why = "" if python else "WeasyPrint could not be installed"
        _ours(plain[:WORKERS])
        for turn in range(TURNS):
            for name, documents in (("plain", plain), ("pictured", pictured)):
                ours[name] += _ours(documents[turn::TURNS])
                if python and not why:
                    seconds, why = _rival(python, Path(folder), documents[turn::TURNS][: RIVALS + WORKERS])
                    rival[name] += seconds
    speed = {name: OURS / seconds for name, seconds in ours.items()}
    against = {name: None if why else TURNS * RIVALS / seconds for name, seconds in rival.items()}
    note = f"PDF/A-3b, {WORKERS} threads" + (f"; no rival: {why}" if why else "")

    def result(what: str, name: str, rival_name: str, beside: str, goal: float | None) -> Result:
        wanted = None if why else goal
        return Result(what, speed[name], "docs/s", rival_name, against[beside], goal=wanted, note=note)

    return [
        result("PDF plain", "plain", "WeasyPrint plain", "plain", 10.0),
        result("PDF with its picture", "pictured", "WeasyPrint plain", "plain", 5.0),
        result("PDF with its picture, both", "pictured", "WeasyPrint, same picture", "pictured", None),
    ]


def _ours(documents: list[dict[str, Any]]) -> float:
    """Seconds for these documents, in threads."""
    with ThreadPoolExecutor(WORKERS) as pool, timed() as watch:
        sizes = [len(made) for made in pool.map(pdf.render, documents)]
    assert min(sizes) > 10_000
    return watch.seconds


def _rival(python: str, folder: Path, documents: list[dict[str, Any]]) -> tuple[float, str]:
    """WeasyPrint's seconds for the same documents but the first of each worker, or why it could not be run."""
    script, pages = folder / "rival.py", folder / "pages.json"
    script.write_text(_RIVAL)
    pages.write_text(json.dumps([_html(document) for document in documents]))
    done = subprocess.run([python, script, pages, str(WORKERS)], capture_output=True, text=True, check=False)
    if done.returncode:
        return 0.0, f"WeasyPrint did not run ({done.stderr.strip().splitlines()[-1][:80]})"
    return float(json.loads(done.stdout)["seconds"]), ""


def _environment(folder: Path) -> str:
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-input", f"weasyprint=={VERSION}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-500:])
        return ""
    return str(python)


def _invoice(i: int, *, picture: bool) -> dict[str, Any]:
    """The i-th invoice: its own names, amounts and samples, so that nothing can be kept from the one before."""
    document = samples.overage_invoice()
    item = samples.quota_item(seed=i + 1, total=1100 + i * 1.7)
    item["service"] = {"id": f"vps-{i:05}", "name": f"web-{i:05}.example"}
    document["lines"] = [samples.overage_line(n, item, f"0.{10 + n}") for n in (1, 2, 3)]
    document["usage"] = [item] if picture else []
    document["number"] = f"O2026-{i:06}"
    document["buyer"] = samples.BUYER | {"name": f"Customer {i} B.V.", "external_id": f"C-{i}"}
    return document


def _html(document: dict[str, Any]) -> str:
    """The same view as plain HTML, for WeasyPrint."""
    shown = view(document)
    words = shown["words"]

    def row(cells: list[str], tag: str = "td") -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    keys = ("no", "description", "quantity", "price", "tax", "net")
    lines = "".join(row([r[k] for k in keys]) for group in shown["lines"] for r in group["rows"])
    totals = "".join(row([t["label"], t["amount"]]) for t in shown["totals"])
    steps = "".join(
        f"<h3>{escape(part['title'])}</h3><table>"
        + "".join(row([r["name"], r["how"], r["result"]]) for r in part["rows"])
        + "</table>"
        for part in shown["calculation"]
    )
    pictures = "".join(
        f"<h3>{escape(p['title'])}</h3>{p['svg']}<p>{escape(p['coverage'])}</p>" for p in shown["pictures"]
    )
    callout = shown["callout"]
    heads = row([words[k] for k in ("no", "description", "quantity", "unit_price", "tax", "amount")], "th")
    who = "<br>".join(map(escape, shown["buyer"]))
    how, meta = ("".join(row(list(pair)) for pair in pairs) for pairs in (callout["how"], shown["meta"]))
    reasons = "".join(f"<p>{escape(reason)}</p>" for reason in shown["why"]["reasons"])
    return f"""<html><head><title>x</title><style>{_STYLE}</style></head><body>
        <div class=due>{escape(callout["label"])}<br><b>{escape(callout["amount"])}</b><br>{escape(callout["by"])}
        <table>{how}</table></div>
        <h2>{escape(shown["seller"]["name"])}</h2><p>{who}</p>
        <h1>{escape(shown["title"])} {escape(shown["number"])}</h1><table>{meta}</table>
        <p>{escape(shown["why"]["about"])}</p>{reasons}
        <table>{heads}{lines}</table><table>{totals}</table>{pictures}{steps}
        <p>{escape(shown["disagree"])}</p></body></html>"""
