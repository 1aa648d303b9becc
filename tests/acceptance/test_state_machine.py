"""Whatever is done in which order, the service agrees with the model: versions, contents, numbers, runs, totals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.acceptance.machine.pipeline_rules import PipelineRules
from tests.acceptance.machine.run_rules import RunRules
from tests.acceptance.machine.version_rules import VersionRules
from tests.acceptance.machine.world import World
from tests.examples import DEFAULT, examples

EXAMPLES, STEPS = 3, 14
THOROUGH_STEPS = 40


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("machine"))
    yield world
    world.close()


def machine_over(world: World) -> type[RuleBasedStateMachine]:
    class Machine(PipelineRules, RunRules, VersionRules):
        def __init__(self) -> None:
            super().__init__(world)

    return Machine


@pytest.mark.slow
def test_the_service_agrees_with_the_model(world: World, request: pytest.FixtureRequest) -> None:
    thorough = settings().max_examples > DEFAULT
    chosen = settings(
        examples(EXAMPLES, suppress=list(HealthCheck)),
        stateful_step_count=THOROUGH_STEPS if thorough else STEPS,
        phases=(Phase.reuse, Phase.generate),  # a smaller failure is not worth hours
    )
    run_state_machine_as_test(machine_over(world), settings=chosen)
    world.served.log()
    assert world.unsound() == []
