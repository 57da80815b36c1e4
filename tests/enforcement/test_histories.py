"""Random histories of restrictions, outages, reboots and deaths: in the end the network is what the register says."""

from typing import Any

from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from coulance.enforcement import executing, operations, queries
from coulance_core.enforcement.restrictions import FREE, Action, Desired, Source
from tests.enforcement.world import ACTOR, Clock, Network, make_services, reach

NAMES = ("vps-1", "vps-2")
sources = st.sampled_from([Source.OVERAGE, Source.ARREARS, Source.SECURITY])
names = st.sampled_from(NAMES)


class Register(RuleBasedStateMachine):
    """The register beside a model that is a set of causes; the network beside both."""

    services: dict[str, int]

    @initialize()
    def begin(self) -> None:
        self.model: set[tuple[str, Source, str, Action]] = set()
        self.network, self.clock = Network(), Clock()
        self.dead = 0

    @rule(
        name=names, source=sources, ref=st.sampled_from("ab"), action=st.sampled_from([Action.PAUSE, Action.THROTTLE])
    )
    def place(self, name: str, source: Source, ref: str, action: Action) -> None:
        operations.place(
            service=self.services[name],
            source=source,
            ref=ref,
            reason="a reason",
            action=action,
            rate_bps=256_000 if action is Action.THROTTLE else None,
            actor="worker",
            at=self.clock.tick(),
        )
        self.model.add((name, source, ref, action))

    @rule(name=names, source=sources, ref=st.sampled_from([None, "a", "b"]))
    def lift(self, name: str, source: Source, ref: str | None) -> None:
        gone = {m for m in self.model if m[0] == name and m[1] is source and (ref is None or m[2] == ref)}
        lifted = operations.lift(
            service=self.services[name], source=source, ref=ref, actor=ACTOR, reason="paid", at=self.clock.tick()
        )
        assert lifted == len(gone)
        self.model -= gone

    @rule()
    def work(self) -> None:
        executing.round_of({"router": self.network}, worker="w1", now=self.clock)
        self.clock.tick()

    @rule()
    def dies_after_claiming(self) -> None:
        executing.claim(most=1, worker="dead", at=self.clock.tick())

    @rule(finish=st.booleans())
    def dies_after_acting(self, finish: bool) -> None:
        for claimed in executing.claim(most=2, worker="dead", at=self.clock.tick()):
            outcomes = [executing.act_on(t, self.network, claimed.desired, "k", self.clock) for t in claimed.targets]
            if finish:
                executing.finish(claimed, outcomes, worker="dead", at=self.clock())

    @rule(down=st.booleans(), deaf=st.booleans())
    def trouble(self, down: bool, deaf: bool) -> None:
        self.network.down, self.network.deaf = down, deaf

    @precondition(lambda self: self.network.states)
    @rule()
    def reboot(self) -> None:
        self.network.states.clear()
        operations.look_again(services=queries.reached_services(), at=self.clock.tick())

    @invariant()
    def the_register_is_the_model(self) -> None:
        for name, service in getattr(self, "services", {}).items():
            held = {m for m in self.model if m[0] == name}
            rate = 256_000 if any(m[3] is Action.THROTTLE for m in held) else None
            assert queries.desired(service) == Desired(any(m[3] is Action.PAUSE for m in held), rate)

    def teardown(self) -> None:
        if not hasattr(self, "network"):
            return
        self.network.down = self.network.deaf = False
        for _ in range(4):
            self.clock.tick(400)
            executing.round_of({"router": self.network}, worker="w1", now=self.clock)
        assert queries.waiting() == []
        for name, service in self.services.items():
            assert self.network.states.get(name, FREE) == queries.desired(service)


def test_in_the_end_the_network_is_what_the_register_says(db: Any) -> None:
    services = make_services(*NAMES)
    reach(services)

    class Rolled(Register):
        def __init__(self) -> None:
            super().__init__()
            self.services = services
            self.point = transaction.savepoint()

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                transaction.savepoint_rollback(self.point)

    run_state_machine_as_test(
        Rolled, settings=settings(max_examples=25, stateful_step_count=20, suppress_health_check=list(HealthCheck))
    )
