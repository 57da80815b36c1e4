"""Where the links that we send lead to."""

import pytest

from coulance.platform import address, instance, supervisor


@pytest.mark.parametrize(
    ("said", "serves", "running", "leads"),
    [
        ("https://billing.polder.example/", "", None, "https://billing.polder.example"),
        ("https://billing.polder.example", "http://127.0.0.1:9000", None, "https://billing.polder.example"),
        ("", "http://127.0.0.1:9000", None, "http://127.0.0.1:9000"),  # coulance up --port 9000, and its parts
        ("", "", {"address": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000"),  # a command beside it
        ("", "", None, "http://127.0.0.1:8000"),
    ],
)
def test_links_lead_to_where_we_are(
    monkeypatch: pytest.MonkeyPatch, said: str, serves: str, running: dict[str, str] | None, leads: str
) -> None:
    monkeypatch.setenv("COULANCE_URL", said)
    monkeypatch.setenv("COULANCE_SERVES", serves)
    monkeypatch.setattr(supervisor, "state", lambda here: running if here == instance.current() else None)
    assert address.public() == leads
