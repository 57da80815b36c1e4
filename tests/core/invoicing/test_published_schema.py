"""The schema of a snapshot that we publish is the one we hold ourselves to."""

import json
from pathlib import Path

from coulance_core.invoicing import SCHEMA

PUBLISHED = Path(__file__).resolve().parents[3] / "docs" / "document.schema.json"


def test_the_published_schema_is_the_one_in_use() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == dict(SCHEMA), (
        "docs/document.schema.json is behind: write json.dumps(SCHEMA, indent=2) to it"
    )
