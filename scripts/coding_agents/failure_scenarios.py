"""What is tried when something goes wrong: refusals, a conversation that is too long, and a user who interrupts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scripts.coding_agents.scenarios import scenario
from scripts.coding_agents.stage import CLIENT_KEY, KEY, end, ends, interrupt
from scripts.coding_agents.task_scenarios import TASK, check_done
from tests.patience import PATIENCE
from tests.standins.coding_model import Manner, Refusal

if TYPE_CHECKING:
    from scripts.coding_agents.stage import Stage

MOST_REFUSED = 6
"""How often a program may try what is refused: Codex tries all but a status 400 again, five times within seconds; Claude Code
leaves out one of its newer features after the other.
"""
MOST_CALLS_TOO_LONG = 20
_TOO_LONG = re.compile(r"context|too long|compact", re.IGNORECASE)


@scenario("A refused key of the back end ends the run, with the reason")
def _wrong_key(stage: Stage) -> None:
    with stage.user() as user:
        stage.model.key = "another-key"
        try:
            run = user.run(TASK)
        finally:
            stage.model.key = KEY
    assert not (user.work / "notes.txt").exists()
    assert stage.model.refused <= MOST_REFUSED, f"the key was tried {stage.model.refused} times"
    assert "Incorrect API key provided." in " ".join(run.output.split()), run.output[-600:]
    assert KEY not in run.output
    assert CLIENT_KEY not in run.output


@scenario("An error 500 is got over")
def _one_error(stage: Stage) -> None:
    error = {"message": "The server had an error.", "type": "server_error"}
    with stage.user(Manner(refusals=[Refusal(500, error, times=1)])) as user:
        check_done(user.run(TASK), user)
    assert stage.model.refused == 1


@scenario("A refused request ends the run, with the reason")
def _refused(stage: Stage) -> None:
    error = {"message": "Nobody works on Sundays.", "type": "invalid_request_error", "code": "sunday"}
    with stage.user(Manner(refusals=[Refusal(400, error)])) as user:
        run = user.run(TASK)
    assert stage.model.refused <= MOST_REFUSED, f"the request was sent {stage.model.refused} times"
    assert error["message"] in " ".join(run.output.split()), run.output[-600:]


@scenario("A conversation that is too long is compacted, or said to be too long")
def _too_long(stage: Stage) -> None:
    with stage.user(Manner(longest=0)) as user:
        run = user.run(TASK)
        calls = len(stage.model.calls)
        assert calls <= MOST_CALLS_TOO_LONG, f"{calls} calls"
        # A summary may have lost the task, which then cannot be done.
        if not (stage.model.summaries or _TOO_LONG.search(run.output)):
            check_done(run, user)


@scenario("An interrupted run frees the back end, and ends")
def _interrupted(stage: Stage) -> None:
    with stage.user(Manner(silence=10 * PATIENCE, silent="within")) as user:
        process = user.start(TASK)
        try:
            assert stage.model.wait_until_silent(), "the model was not asked"
            interrupt(process)
            assert stage.model.wait_for_disconnect() is not None, "the back end was not freed"
            assert ends(process), "the run did not end"
        finally:
            end(process)
