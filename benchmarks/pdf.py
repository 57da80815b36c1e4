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
OURS, RIVALS = 400, 24

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
    """One-page overage invoices, plain and with a usage picture; three lines' worth of text on each."""
    plain = [_invoice(i, picture=False) for i in range(OURS)]
    pictured = [_invoice(i, picture=True) for i in range(OURS)]
    pdf.render(plain[0])
    ours_plain, ours_pictured = _ours(plain), _ours(pictured)
    rival_plain, why = _rival(plain[: RIVALS + WORKERS])
    rival_pictured, _ = _rival(pictured[: RIVALS + WORKERS]) if rival_plain else (None, "")
    note = f"PDF/A-3b, {WORKERS} threads" + (f"; no rival: {why}" if why else "")
    goal = {"goal": 10.0} if rival_plain else {}
    goal_pictured = {"goal": 5.0} if rival_plain else {}
    return [
        Result("PDF plain", ours_plain, "docs/s", "WeasyPrint plain", rival_plain, note=note, **goal),
        Result(
            "PDF with its picture", ours_pictured, "docs/s", "WeasyPrint plain", rival_plain, note=note, **goal_pictured
        ),
        Result(
            "PDF with its picture, both", ours_pictured, "docs/s", "WeasyPrint, same picture", rival_pictured, note=note
        ),
    ]


def _ours(documents: list[dict[str, Any]]) -> float:
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(pdf.render, documents[:WORKERS]))
        with timed() as watch:
            sizes = [len(made) for made in pool.map(pdf.render, documents[WORKERS:])]
    assert min(sizes) > 10_000
    return len(sizes) / watch.seconds


def _rival(documents: list[dict[str, Any]]) -> tuple[float | None, str]:
    """WeasyPrint's documents a second on the same documents, or why it could not be run."""
    with tempfile.TemporaryDirectory(prefix="coulance-weasyprint-") as folder:
        python = os.environ.get("COULANCE_WEASYPRINT") or _environment(Path(folder))
        if not python:
            return None, "WeasyPrint could not be installed"
        script, pages = Path(folder) / "rival.py", Path(folder) / "pages.json"
        script.write_text(_RIVAL)
        pages.write_text(json.dumps([_html(document) for document in documents]))
        done = subprocess.run([python, script, pages, str(WORKERS)], capture_output=True, text=True, check=False)
        if done.returncode:
            return None, f"WeasyPrint did not run ({done.stderr.strip().splitlines()[-1][:80]})"
        answer = json.loads(done.stdout)
        return answer["documents"] / answer["seconds"], ""


def _environment(folder: Path) -> str:
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    os.environ["COULANCE_WEASYPRINT"] = ""
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
