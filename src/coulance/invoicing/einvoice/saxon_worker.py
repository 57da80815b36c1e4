"""The program of the validation process: reads documents from its input, answers with what the official rules found.

Run as a program of its own, never imported by the rest: saxonche crashes when several processors work in threads, and
a crash here costs a restart and not the service. It knows nothing of Django and opens no file but the rules'.

A frame is four bytes of length (big end first) and that much JSON: in, `{"rules": path, "xml": text}`; out,
`{"found": [[id, flag, location, text], ...]}` or `{"error": text}`. Ends when its input does.
"""

import json
import struct
import sys
import xml.etree.ElementTree as ET
from typing import Any, BinaryIO

_SVRL = "{http://purl.oclc.org/dsdl/svrl}"


def read_frame(stream: BinaryIO) -> Any:
    """The next frame's value; none at the end."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    (size,) = struct.unpack(">I", head)
    body = stream.read(size)
    return json.loads(body) if len(body) == size else None


def write_frame(stream: BinaryIO, value: Any) -> None:
    """Send one frame."""
    body = json.dumps(value).encode()
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


def findings(svrl: str) -> list[list[str]]:
    """Failed rules in a schematron report: id, flag, location, text. Raises when it is no such report."""
    root = ET.fromstring(svrl)  # noqa: S314 - written by the transformation, not by a stranger
    if root.tag != _SVRL + "schematron-output" or root.find(_SVRL + "active-pattern") is None:
        raise ValueError("the transformation gave no schematron report")
    out = []
    for tag in ("failed-assert", "successful-report"):
        for one in root.iter(_SVRL + tag):
            text = " ".join(" ".join(one.itertext()).split())
            named = text[1:].partition("]")[0] if text.startswith("[") else ""
            flag = one.get("flag") or one.get("role") or "fatal"
            out.append([one.get("id") or named, flag, one.get("location") or "", text])
    return out


def main() -> None:
    """Serve until the input ends."""
    import saxonche

    source, sink = sys.stdin.buffer, sys.stdout.buffer
    compiled: dict[str, Any] = {}
    with saxonche.PySaxonProcessor(license=False) as processor:
        transformer = processor.new_xslt30_processor()
        while (request := read_frame(source)) is not None:
            try:
                rules = request["rules"]
                if rules not in compiled:
                    compiled[rules] = transformer.compile_stylesheet(stylesheet_file=rules)
                node = processor.parse_xml(xml_text=request["xml"])
                svrl = compiled[rules].transform_to_string(xdm_node=node)
                answer: dict[str, Any] = {"found": findings(svrl or "")}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
            write_frame(sink, answer)


if __name__ == "__main__":
    main()
