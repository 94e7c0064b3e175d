"""The state that a server wants back survives the way to the client and back."""

from ollama_openai_proxy.translate.events import ReasoningState, ToolCallBegin
from ollama_openai_proxy.translate.opaque_state import decode_state, split_id
from ollama_openai_proxy.translate.writers.carried_state import id_of_call, seal_reasoning

DETAILS = [{"type": "reasoning.encrypted", "data": "x"}]
SIGNED = {"google": {"thought_signature": "y"}}


def test_an_id_carries_both_states() -> None:
    call = ToolCallBegin(0, "call_1", "look", SIGNED)
    assert split_id(id_of_call(call, ReasoningState(DETAILS))) == (
        "call_1",
        {"extra_content": SIGNED, "reasoning_details": DETAILS},
    )
    assert split_id(id_of_call(call, None)) == ("call_1", {"extra_content": SIGNED})


def test_an_id_without_state_stays() -> None:
    assert id_of_call(ToolCallBegin(0, "call_1", "look"), None) == "call_1"


def test_reasoning_is_sealed() -> None:
    assert decode_state(seal_reasoning(ReasoningState(DETAILS))) == {"reasoning_details": DETAILS}
