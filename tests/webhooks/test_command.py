"""`coulance webhook`: every sub-command on an instance of its own, in one process."""

import json

from tests.support.instances import coulance_many, ready_home


def test_an_endpoint_is_kept_from_the_command() -> None:
    with ready_home() as home:
        [added] = coulance_many(home, ("webhook", "add", "https://example.org/hooks", "--event", "invoice.*", "-q"))
        key, secret = added[1].split()
        assert secret.startswith("whsec_")
        answers = coulance_many(
            home,
            ("webhook", "list", "--json"),
            ("webhook", "test", key),
            ("webhook", "deliveries", key, "--json"),
            ("webhook", "replay", key, "--since", "2026-01-01T00:00Z", "--reason", "lost"),
            ("webhook", "rotate", key, "--overlap", "0", "-q"),
            ("webhook", "enable", key, "--off"),
            ("webhook", "test", key),
            ("webhook", "list"),
            ("webhook", "events"),
            ("webhook", "remove", "ep_nothing"),
            ("webhook", "remove", key),
            ("webhook", "list"),
        )
    listed, tested, deliveries, replayed, rotated, disabled, refused, shown, events, unknown, gone, empty = answers
    assert json.loads(listed[1]) == [
        {"id": key, "url": "https://example.org/hooks", "events": ["invoice.*"], "state": "enabled"}
    ]
    event = tested[1].split()[0]
    assert json.loads(deliveries[1])["event_id"] == event
    assert replayed[:2] == (0, "0 event(s) are on their way again.\n")
    assert rotated[1].startswith("whsec_")
    assert rotated[1].strip() != secret
    assert disabled[0] == 0
    assert (refused[0], "is disabled; enable it first" in refused[2]) == (1, True)
    assert "disabled" in shown[1]
    assert secret not in shown[1]
    assert "invoice.issued" in events[1]
    assert (unknown[0], unknown[2]) == (1, "Error: there is no endpoint 'ep_nothing'; see: coulance webhook list\n")
    assert gone[0] == 0
    assert "There are no endpoints yet" in empty[1]
