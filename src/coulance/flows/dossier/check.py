#!/usr/bin/env python3
"""Check a dossier, without the one who made it. Python 3.8 or newer and nothing else; it opens no connection.

    python3 check.py dossier.pdf        reads what is attached to the PDF
    python3 check.py folder             or what you saved from it into a folder

It recomputes: the hash of every part; the ledger's chain, its sums and its place in a sealed day; the evidence's chain;
the general terms that were agreed to, and their chain; every line, invoice, payment and what it was set against, cost
and day of interest. It names the part that doesn't fit, and ends with status 1.
"""

# Written for whatever Python its reader has, to be read by them; so without annotations and newer ways.
# mypy: ignore-errors
import hashlib
import json
import os
import re
import sys
import zlib
from fractions import Fraction

GENESIS = "00" * 32


class Wrong(Exception):
    """A part, and what doesn't fit."""


def sha(data):
    return hashlib.sha256(data).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


# --- the parts, from a folder or out of a PDF


def parts_of(path):
    if os.path.isdir(path):
        found = {}
        for name in os.listdir(path):
            with open(os.path.join(path, name), "rb") as file:
                found[name] = file.read()
        return found
    with open(path, "rb") as file:
        return attached(file.read())


def attached(pdf):
    """What is embedded in a PDF, by name: as the file's own objects say, also those in object streams."""
    objects = {}
    for match in re.finditer(rb"(\d+) 0 obj\b", pdf):
        end = pdf.find(b"endobj", match.end())
        objects[int(match.group(1))] = pdf[match.end() : end]
    for body in list(objects.values()):
        if b"/ObjStm" in body:
            count, first = number(body, b"/N"), number(body, b"/First")
            text = inflated(body)
            heads = text[:first].split()
            for n in range(count):
                start = first + int(heads[2 * n + 1])
                stop = first + int(heads[2 * n + 3]) if n + 1 < count else len(text)
                objects[int(heads[2 * n])] = text[start:stop]
    found = {}
    for body in objects.values():
        if b"/Filespec" in body and b"/EF" in body:
            name = re.search(rb"/UF?\s*\(((?:[^()\\]|\\.)*)\)", body) or re.search(
                rb"/F\s*\(((?:[^()\\]|\\.)*)\)", body
            )
            ref = re.search(rb"/EF\s*<<[^>]*?/U?F\s+(\d+)\s+0\s+R", body)
            if name and ref:
                found[name.group(1).decode("latin-1")] = inflated(objects[int(ref.group(1))])
    return found


def number(body, key):
    return int(re.search(key + rb"\s+(\d+)", body).group(1))


def inflated(body):
    head, _, rest = body.partition(b"stream")
    rest = rest[2:] if rest.startswith(b"\r\n") else rest[1:]
    length = re.search(rb"/Length\s+(\d+)(?!\s+\d+\s+R)", head)
    data = rest[: int(length.group(1))] if length else rest[: rest.rfind(b"endstream")]
    return zlib.decompress(data) if b"/FlateDecode" in head else data


# --- hashes


def check_manifest(parts):
    faults = []
    if "manifest.json" not in parts:
        return ["manifest.json: is missing, so nothing can be checked"]
    manifest = load(parts, "manifest.json")
    sealed = {key: value for key, value in manifest.items() if key != "seal"}
    if sha(canonical(sealed)) != manifest.get("seal"):
        faults.append("manifest.json: its content does not give its seal")
    listed = {one["name"]: one for one in manifest["parts"]}
    for name, one in listed.items():
        if name not in parts:
            faults.append(name + ": is missing")
        elif sha(parts[name]) != one["sha256"] or len(parts[name]) != one["size"]:
            faults.append(name + ": is not what the manifest says: it was changed")
    for name in sorted(set(parts) - set(listed) - {"manifest.json"}):
        faults.append(name + ": is not in the manifest: it was added")
    return faults


# --- the ledger


def check_ledger(parts):
    ledger = load(parts, "ledger.json")
    salt, previous, links = bytes.fromhex(ledger["salt"]), GENESIS, {}
    for n, one in enumerate(ledger["entries"], 1):
        where = "entry %d" % one["seq"]
        need(one["seq"] == n, "%s: expected number %d: entries are missing or were moved" % (where, n))
        need(one["previous"] == previous, where + ": does not name the entry before it")
        lines = [
            "coulance.entry/1", "party " + ledger["party"], "seq %d" % one["seq"], "kind " + one["kind"],
            "source " + one["source_hash"], "effective " + one["effective_on"], "recorded " + one["recorded_at"],
            "reverses " + one["reverses"], "previous " + one["previous"],
        ]  # fmt: skip
        lines += ["%s %d %s" % tuple(leg) for leg in one["postings"]]
        need(sha(("\n".join(lines) + "\n").encode()) == one["hash"], where + ": its content does not give its hash")
        if one["source"]:
            digest = sha(salt + b"\x00" + one["source"].encode())
            need(digest == one["source_hash"], where + ": its source does not give its hash")
        sums = {}
        for _, amount, code in one["postings"]:
            sums[code] = sums.get(code, 0) + amount
        need(not any(sums.values()), where + ": its postings do not sum to zero")
        previous = links[one["seq"]] = one["hash"]
    sealed = ledger["sealed"]
    if sealed:
        link = sha(b"\x00" + bytes.fromhex(links[sealed["seq"]]))
        for side, other in sealed["proof"]:
            pair = (other, link) if side == "left" else (link, other)
            link = sha(b"\x01" + bytes.fromhex(pair[0]) + bytes.fromhex(pair[1]))
        need(link == sealed["root"], "entry %d does not lead to the root of %s" % (sealed["seq"], sealed["day"]))
        text = "coulance.day/1\nday %s\nentries %d\nroot %s\nprevious %s\n" % (
            sealed["day"], sealed["entries"], sealed["root"], sealed["previous"],
        )  # fmt: skip
        need(sha(text.encode()) == sealed["seal"], "the seal of %s is not of its root" % sealed["day"])


# --- the evidence


def check_evidence(parts):
    evidence = load(parts, "evidence.json")
    salt, previous, told = bytes.fromhex(evidence["salt"]), GENESIS, {}
    for n, one in enumerate(evidence["pieces"], 1):
        where = "piece %d" % one["seq"]
        need(one["seq"] == n, "%s: expected number %d: pieces are missing or were moved" % (where, n))
        need(one["previous"] == previous, where + ": does not name the piece before it")
        if one["personal"] is not None:
            digest = sha(salt + b"\x00" + canonical(one["personal"]))
            need(digest == one["personal_hash"], where + ": its personal part does not give its hash")
        text = (
            "coulance.evidence/1\nparty %s\nseq %d\nmessage %s\ndelivery %s\nkind %s\nat %s\nrecorded %s\n"
            "fact %s\npersonal %s\nprevious %s\n"
        ) % (
            evidence["party"], one["seq"], json.dumps(one["message"]), json.dumps(one["delivery"]),
            json.dumps(one["kind"]), one["at"], one["recorded_at"], canonical(one["fact"]).decode(),
            one["personal_hash"], one["previous"],
        )  # fmt: skip
        need(sha(text.encode()) == one["hash"], where + ": its content does not give its hash")
        previous = one["hash"]
        told.setdefault(one["message"], set()).add(one["delivery"])
    for message in load(parts, "messages.json")["messages"]:
        for sent in message["deliveries"]:
            known = sent["id"] in told.get(message["key"], ())
            need(known, "delivery %s of %s is not in the chain" % (sent["id"], message["key"]))


# --- the general terms, and who agreed to them


def check_terms(parts):
    terms = load(parts, "terms.json")
    texts, previous = {}, GENESIS
    for one in terms["documents"]:
        where = "general terms %s (%s)" % (one["version"], one["language"])
        need(sha(one["text"].encode("utf-8")) == one["sha256"], where + ": the text does not give its hash")
        texts[(one["version"], one["language"])] = one["sha256"]
    for n, one in enumerate(terms["acceptances"], 1):
        where = "acceptance %d" % one["seq"]
        need(one["seq"] == n, "%s: expected number %d: acceptances are missing or were moved" % (where, n))
        need(one["previous"] == previous, where + ": does not name the one before it")
        need(texts.get((one["version"], one["language"])) == one["sha256"], where + ": its text is not here")
        need(one["party"] == terms["party"], where + ": is of somebody else")
        if one["personal"] is not None:
            digest = sha(bytes.fromhex(one["salt"]) + b"\x00" + canonical(one["personal"]))
            need(digest == one["personal_hash"], where + ": its personal part does not give its hash")
        link = {key: value for key, value in one.items() if key not in ("salt", "personal", "hash")}
        need(
            sha(b"coulance.terms/1\n" + canonical(link)) == one["hash"], where + ": its content does not give its hash"
        )
        previous = one["hash"]


# --- the arithmetic


def rounded(value, digits, rule):
    value = value * 10**digits
    floor = value.numerator // value.denominator
    twice = 2 * (value - floor)
    if twice == 0 or rule == "floor" or (rule == "down" and value >= 0) or (rule == "up" and value < 0):
        whole = floor
    elif rule in ("ceiling", "up", "down"):
        whole = floor + 1
    elif twice != 1:
        whole = floor + (twice > 1)
    else:
        whole = floor + (floor & 1 if rule == "half_even" else value >= 0)
    return Fraction(int(whole), 1) / 10**digits


def apply(op, values):
    if op == "add":
        return sum(values, Fraction(0))
    if op == "subtract":
        return values[0] - values[1]
    if op == "multiply":
        product = Fraction(1)
        for value in values:
            product *= value
        return product
    if op == "divide":
        return values[0] / values[1]
    if op == "min":
        return min(values)
    if op == "max":
        return max(values)
    if op == "ceil_divide":
        return Fraction(-((-values[0]) // values[1]))
    if op == "floor_divide":
        return Fraction(values[0] // values[1])
    if op == "negate":
        return -values[0]
    raise Wrong("no operation " + op)


def recompute(explanation):
    """Do an explanation's arithmetic again; gives every number by its name."""
    for child in explanation.get("children", []):
        recompute(child)
    known = {}
    for name, value, _, _ in explanation.get("facts", []):
        try:
            known[name] = Fraction(value)
        except ValueError:
            pass  # a word
    for name, op, operands, result, _ in explanation.get("steps", []):
        if op == "round":
            value = rounded(get(known, operands[0]), int(get(known, operands[1])), operands[2])
        else:
            value = apply(op, [get(known, one) for one in operands])
        need(value == Fraction(result), "%s: %s is stated as %s" % (explanation["rule"], name, result))
        known[name] = value
    return known


def get(known, operand):
    return known[operand] if operand in known else Fraction(operand)


def check_invoice(document):
    total = Fraction(0)
    for line in document["lines"]:
        recompute(line["explanation"])
        total += Fraction(line["net"])
    totals = document["totals"]
    need(total == Fraction(totals["net"]), "its lines do not sum to %s" % totals["net"])
    need(Fraction(totals["net"]) + Fraction(totals["tax"]) == Fraction(totals["gross"]), "net and tax are not gross")


def check_payments(parts):
    """What each receipt was set against is what its explanation comes to."""
    paid = load(parts, "payments.json")
    known = {one["id"]: recompute(one["explanation"]) for one in paid["receipts"] if one["explanation"]}
    total = {}
    for row in paid["allocations"]:
        if row["reversed_on"] is None and Fraction(row["amount"]) > 0:
            found = known.get(row["receipt"], {}).get(row["explained_as"])
            need(
                found == Fraction(row["amount"]),
                "receipt %s: %s to %s is not what is explained" % (row["receipt"], row["amount"], row["number"]),
            )
            total[row["receipt"]] = total.get(row["receipt"], Fraction(0)) + Fraction(row["amount"])
    for one in paid["receipts"]:
        if one["id"] in total:
            where = "receipt %s: " % one["id"]
            need(
                known[one["id"]]["allocated"] == total[one["id"]],
                where + "more was set against debts than is explained",
            )
            if Fraction(one["amount"]):
                need(known[one["id"]]["received"] == Fraction(one["amount"]), where + "another amount is explained")


def check_claim(parts):
    claim = load(parts, "claim.json")
    invoices = {one["number"]: one for one in (load(parts, name) for name in parts if name.startswith("invoice-"))}
    paid = {}
    for row in load(parts, "payments.json")["allocations"]:
        if row["reversed_on"] is None:
            paid[row["ref"]] = paid.get(row["ref"], Fraction(0)) + Fraction(row["amount"])
    credited = {}
    for row in load(parts, "payments.json")["credit_notes"]:
        note = load(parts, "credit-%s.json" % re.sub(r"[^A-Za-z0-9._-]", "_", row["number"]))
        need(note["totals"]["gross"] == row["gross"], row["number"] + ": payments and the credit note differ")
        need(note["references"]["invoice"] == row["invoice"], row["number"] + ": is a credit note on another invoice")
        credited[row["invoice"]] = credited.get(row["invoice"], Fraction(0)) + abs(Fraction(row["gross"]))
    principal = interest = costs = Fraction(0)
    for debt in claim["debts"]:
        where = debt["number"]
        if where in invoices:
            need(
                Fraction(invoices[where]["totals"]["gross"]) == Fraction(debt["gross"]),
                where + ": the claim and the invoice differ",
            )
        before = Fraction(debt["paid_before"])
        need(before == 0 or debt["ref"].startswith("opening/"), where + ": was never another system's")
        settled = before + paid.get(debt["ref"], Fraction(0)) + credited.get(where, Fraction(0))
        left = Fraction(debt["gross"]) - settled
        need(left == Fraction(debt["open"]), "%s: gross less payments and credit is %s" % (where, float(left)))
        need(
            Fraction(debt["claimed"]) == Fraction(debt["open"]) - Fraction(debt["disputed"]),
            where + ": what is claimed is not what is open and undisputed",
        )
        principal += Fraction(debt["claimed"])
        if debt["interest"]:
            run = recompute(debt["interest"]["explanation"])
            exact = sum(
                (Fraction(s["principal"]) * Fraction(s["percent"]) * s["days"] / 36500)
                for s in debt["interest"]["stretches"]
                if not s["rest"]
            )
            need(run["exact"] == exact, where + ": the days of interest do not give its sum")
            accrued = Fraction(debt["interest"]["accrued"])
            need(run["interest"] == accrued, where + ": interest is not its explanation's")
            rest = accrued - Fraction(debt["interest"]["charged"])
            need(Fraction(debt["interest"]["claimed"]) == max(rest, Fraction(0)), where + ": interest claimed")
            interest += Fraction(debt["interest"]["claimed"])
    if claim["costs"]:
        known = recompute(claim["costs"]["explanation"])
        need(known["costs"] == Fraction(claim["costs"]["amount"]), "the costs are not their explanation's")
        costs = Fraction(claim["costs"]["claimed"])
        need(costs in (0, known["costs"]), "other costs are claimed than were computed")
    totals = claim["totals"]
    for name, value in (("principal", principal), ("interest", interest), ("costs", costs)):
        need(value == Fraction(totals[name]), "%s does not sum to %s" % (name, totals[name]))
    need(principal + interest + costs == Fraction(totals["claim"]), "the claim is not the sum of its parts")


def check_balance(parts):
    """What the ledger says is owed is what the claim says is owed, open or disputed, and what isn't claimed here."""
    claim, minor = load(parts, "claim.json"), 0
    for one in load(parts, "ledger.json")["entries"]:
        for account, amount, code in one["postings"]:
            if account == claim["receivable"] and code == claim["currency"]:
                minor += amount
    owed = Fraction(minor, 10 ** claim["exponent"])
    need(owed == Fraction(claim["owed"]), "the ledger's receivable is %s, not %s" % (float(owed), claim["owed"]))


# --- all of it


def need(holds, what):
    if not holds:
        raise Wrong(what)


def load(parts, name):
    return json.loads(parts[name].decode("utf-8"))


def faults_of(parts):
    faults = check_manifest(parts)
    known = {one.split(":")[0] for one in faults}
    checks = [
        ("ledger.json", check_ledger), ("evidence.json", check_evidence), ("claim.json", check_claim),
        ("ledger.json", check_balance), ("terms.json", check_terms), ("payments.json", check_payments),
    ]  # fmt: skip
    for name in sorted(name for name in parts if name.startswith(("invoice-", "credit-"))):
        checks.append((name, lambda parts, name=name: check_invoice(load(parts, name))))
    for name, check in checks:
        try:
            check(parts)
        except Wrong as wrong:
            if name not in known:
                faults.append("%s: %s" % (name, wrong))
        except (KeyError, ValueError, TypeError, IndexError, ZeroDivisionError, AttributeError) as wrong:
            if name not in known and "manifest.json" not in known:
                faults.append("%s: can't be read (%s: %s)" % (name, type(wrong).__name__, wrong))
    return faults


def main(arguments):
    if len(arguments) != 1:
        print(__doc__)
        return 2
    parts = parts_of(arguments[0])
    if not parts:
        print("Nothing is attached to %s: save the attachments into a folder and name that." % arguments[0])
        return 1
    faults = faults_of(parts)
    for fault in faults:
        print("WRONG  " + fault)
    if faults:
        return 1
    manifest, claim = load(parts, "manifest.json"), load(parts, "claim.json")
    print("All %d parts are whole; all chains and all arithmetic hold." % len(manifest["parts"]))
    print(
        "Claim of %s on %s: %s %s" % (manifest["creditor"], claim["as_of"], claim["totals"]["claim"], claim["currency"])
    )
    print("Seal  %s" % manifest["seal"])
    print("Compare the seal with the one on the first page, and with the one its maker gave you by another way.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
