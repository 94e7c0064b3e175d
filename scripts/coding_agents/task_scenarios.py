"""What is tried when all goes well: one task, two turns, two calls at once, reasoning, and answers that take long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.coding_agents.scenarios import scenario
from scripts.coding_agents.stage import FILE, TEXT
from tests.standins.coding_model import DONE, Manner

if TYPE_CHECKING:
    from scripts.coding_agents.stage import Run, Stage, User

TASK = f"write {TEXT} into {FILE} and read it back"
MOST_CALLS = 5
"""Three for the task; some programs also want a title."""
SECOND_TEXT, SECOND_FILE = "nine green doors", "second.txt"


def check_done(run: Run, user: User, text: str = TEXT, file: str = FILE) -> None:
    """Make sure that a run has written a file, read the file, and named what is in there."""
    said = " ".join(run.output.split())
    assert DONE.format(file=file, text=text) in said, f"status {run.status}: {said[-600:]}"
    assert run.status == 0, f"status {run.status}: {said[-600:]}"
    assert (user.work / file).read_text("utf-8") == f"{text}\n"


def _check_calls(stage: Stage, most: int = MOST_CALLS) -> None:
    """Make sure that no other model was asked for, and that no call was made in vain."""
    assert {call["model"] for call in stage.model.calls} == {stage.model.model}
    assert len(stage.model.calls) <= most, f"{len(stage.model.calls)} calls"
    assert stage.model.refused == 0, f"{stage.model.refused} calls were refused"


def _check_tools(stage: Stage) -> None:
    assert any(call.get("tools") for call in stage.model.calls), "the program offers no tools"


@scenario("A file is written, read back, and named in the answer")
def _task(stage: Stage) -> None:
    with stage.user() as user:
        check_done(user.run(TASK), user)
    _check_calls(stage)


@scenario("Two tools are called at once")
def _parallel(stage: Stage) -> None:
    with stage.user(Manner(parallel=True)) as user:
        run = user.run(TASK)
        _check_tools(stage)
        check_done(run, user)
        assert (user.work / f"second-{FILE}").read_text("utf-8") == " ".join(reversed(TEXT.split())) + "\n"
    called = stage.model.tools_called
    assert len(called) == 4, f"tools called: {called}"
    _check_calls(stage)


@scenario("A second turn knows the first")
def _second_turn(stage: Stage) -> None:
    with stage.user() as user:
        check_done(user.run(TASK), user)
        check_done(
            user.run(f"write {SECOND_TEXT} into {SECOND_FILE} and read it back", again=True), user, SECOND_TEXT, SECOND_FILE
        )
    last = str(stage.model.calls[-1]["messages"])
    assert DONE.format(file=FILE, text=TEXT) in last, "the first answer is not in the conversation"
    _check_calls(stage, 2 * MOST_CALLS)


@scenario("Reasoning that the back end wants back with tool calls")
def _reasoning(stage: Stage) -> None:
    with stage.user(Manner(reasons=True)) as user:
        check_done(user.run(TASK), user)


@scenario("Each tool call comes back with the model's own reasoning")
def _own_reasoning(stage: Stage) -> None:
    with stage.user(Manner(reasons=True)) as user:
        check_done(user.run(TASK), user)
    _check_tools(stage)
    back = stage.model.reasoning_back
    assert back, "no reasoning came back"
    assert set(back) <= set(stage.model.reasoning), f"other reasoning came back: {back}"


@scenario("A first byte after 40 s, with half as much patience")
def _late(stage: Stage) -> None:
    with stage.user(Manner(silence=stage.seconds), patience=stage.seconds / 2) as user:
        check_done(user.run(TASK), user)
    _check_calls(stage)


@scenario("A silence of 40 s within a tool's arguments, with half as much patience")
def _slow(stage: Stage) -> None:
    with stage.user(Manner(silence=stage.seconds, silent="within"), patience=stage.seconds / 2) as user:
        check_done(user.run(TASK), user)
    _check_calls(stage)
