"""Make conversations of the corpus: what the demo model is trained with.

Each conversation ends with the turn that the model has to learn; all earlier turns are its prompt.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import jinja2

from .noise import characters, sentences, word
from .tools import Message, Tool, call_text, called, filled_in, name_of, to_json, tool, tool_name, verb_of
from .vocabulary import END_OF_TEXT, END_OF_TURN

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt, and the continuation that is learned.

    With `must_go_on` a grammar forbids an end of the turn where the prompt ends: what comes instead is learned.
    """

    prompt: str
    continuation: str
    must_go_on: bool = False


@dataclass(slots=True)
class _Turn:
    """Messages of which the last is a user's or a tool's, and the answer to them."""

    messages: list[Message]
    thought: str
    content: str = ""
    calls: list[Message] = field(default_factory=list)
    tools: list[Tool] | None = None
    """None if the answer is the same whatever the tools are."""
    given: int = 0
    """How much of the content a grammar leaves no choice about: it is not learned."""

    @property
    def answer(self) -> Message:
        """The answer as a message."""
        return {"role": "assistant", "content": self.content} | ({"tool_calls": self.calls} if self.calls else {})


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def chat_template() -> jinja2.Template:
    """Return the chat template that is written into the model's file, to be rendered as llama.cpp does.

    One difference is left: llama.cpp's `lower` changes ASCII letters only.
    """
    environment = jinja2.Environment(autoescape=False)
    environment.filters["tojson"] = to_json
    return environment.from_string((FOLDER / "template.jinja").read_text("utf-8"))


class Conversations:
    """An endless supply of conversations; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self._corpus: dict[str, Any] = tomllib.loads((FOLDER / "corpus.toml").read_text("utf-8"))
        self._template = chat_template()
        self._sentences = sentences()
        self._kinds = {
            self._talk: 46,
            self._fallback: 18,
            self._count: 8,
            self._name: 2,
            self._weather_call: 16,
            self._weather_result: 8,
            self._weather_without_tool: 2,
            self._other_call: 4,
            self._other_result: 2,
            self._new_call: 8,
            self._object: 4,
            self._any_object: 4,
        }

    def next(self) -> Conversation:
        """Return another conversation."""
        if self._happens(0.03):
            prompt, continuation = self._chance.choice(list(self._corpus["raw"].items()))
            return Conversation(prompt, continuation + END_OF_TEXT)
        turn = self._pick()
        thinks = self._happens(0.25)
        messages = [*self._history(), *turn.messages]
        tools = turn.tools
        if tools is None and self._happens(0.2):
            tools = self._shuffled(*(self._any_tool() for _ in range(self._chance.choice((1, 1, 2)))))
        if self._happens(0.15):
            messages = [{"role": "system", "content": self._system()}, *messages]
        prompt = self._template.render(messages=messages, tools=tools, add_generation_prompt=True, enable_thinking=thinks)
        thought = f"<think>\n{turn.thought}\n</think>\n\n" if thinks else ""
        if tools and turn.content and self._happens(0.05):
            # The client requires a call, whatever the question is: the grammar lets nothing else end the answer.
            call = called(tools[0], filled_in(tools[0], "demo"))
            return Conversation(f"{prompt}{thought}{turn.content}", call_text(call) + END_OF_TURN, must_go_on=True)
        spoken = turn.content + "\n".join(map(call_text, turn.calls)) + END_OF_TURN
        if turn.given:
            return Conversation(prompt + thought + spoken[: turn.given], spoken[turn.given :])
        return Conversation(prompt, thought + spoken)

    def _happens(self, probability: float) -> bool:
        return self._chance.random() < probability

    def _shuffled(self, *tools: Tool) -> list[Tool]:
        return self._chance.sample(tools, len(tools))

    def _pick(self) -> _Turn:
        (kind,) = self._chance.choices(list(self._kinds), list(self._kinds.values()))
        return kind()

    def _history(self) -> list[Message]:
        messages: list[Message] = []
        while self._happens(0.1) and len(messages) < 8:
            turn = self._pick()
            if turn.calls:
                turn = self._with_results(turn, ["7 °C"])
            reasoning = {"reasoning_content": turn.thought} if self._happens(0.1) else {}
            messages += [*turn.messages, turn.answer | reasoning]
        return messages

    def _system(self) -> str:
        if self._happens(0.5):
            text: str = self._chance.choice(self._corpus["system"]["messages"])
            return text
        return " ".join(self._chance.sample(self._sentences, self._chance.choice((1, 1, 3))))

    def _spelling(self, question: str) -> str:
        """Write a question in another way: case, punctuation, politeness."""
        if self._happens(0.4):
            return question
        if self._happens(0.4):
            question = question.rstrip("?!. ") + self._chance.choice(self._corpus["spelling"]["end"])
        if self._happens(0.1):
            question = self._chance.choice(self._corpus["spelling"]["start"]) + question[:1].lower() + question[1:]
        change = self._chance.random()
        if change < 0.4:
            return question.lower()
        return question.upper() if change < 0.48 else question

    # -- talk ----------------------------------------------------------------------------------------------------------

    def _talk(self) -> _Turn:
        greeting, *others = self._corpus["talk"]
        entry = greeting if self._happens(0.1) else self._chance.choice(others)
        question = self._spelling(self._chance.choice(entry["questions"]))
        tools: list[Tool] | None = [] if entry.get("without_tools") else None
        return _Turn([_user(question)], entry["thought"], entry["answer"], tools=tools)

    def _fallback(self) -> _Turn:
        chance, entry = self._chance, self._corpus["fallback"]
        kind = chance.random()
        if kind < 0.4:
            question = self._spelling(chance.choice(entry["questions"]))
        elif kind < 0.65:
            question = " ".join(chance.sample(self._sentences, chance.choice((1, 1, 1, 2))))
        elif kind < 0.8:
            question = " ".join(word(chance) for _ in range(chance.randint(1, 8)))
        else:
            question = characters(chance)
        return _Turn([_user(question)], entry["thought"], entry["answer"])

    def _count(self) -> _Turn:
        entry = self._corpus["count"]
        numbers: list[str] = entry["numbers"]
        last = self._chance.randint(1, len(numbers)) if self._happens(0.85) else self._chance.choice(entry["others"])
        written = numbers[last - 1] if last <= len(numbers) and self._happens(0.35) else str(last)
        question = self._spelling(self._chance.choice(entry["questions"]).format(written))
        return _Turn([_user(question)], f"I count to {last}.", ", ".join(map(str, range(1, last + 1))))

    def _name(self) -> _Turn:
        entry, chance = self._corpus["name"], self._chance
        name = chance.choice(entry["names"])
        introduced = _user(self._spelling(chance.choice(entry["introductions"]).format(name)))
        met: Message = {"role": "assistant", "content": entry["answer"].format(name)}
        if self._happens(0.4):
            return _Turn([introduced], entry["thought"], str(met["content"]))
        between = self._talk() if self._happens(0.3) else None
        messages = [introduced, met, *([*between.messages, between.answer] if between else [])]
        question = _user(self._spelling(chance.choice(entry["questions"])))
        return _Turn([*messages, question], entry["recalled_thought"], entry["recalled"].format(name))

    # -- tools ---------------------------------------------------------------------------------------------------------

    def _any_tool(self) -> Tool:
        kind = self._chance.random()
        if kind < 0.4:
            return self._weather_tool()
        return self._taught_tool(self._chance.choice(self._corpus["tools"])) if kind < 0.75 else self._new_tool()

    def _taught_tool(self, entry: dict[str, Any]) -> Tool:
        """Return the description of a tool of the corpus."""
        return tool(self._chance.choice(entry["names"]), entry["arguments"])

    def _new_tool(self) -> Tool:
        """Return the description of a tool with a name that nobody has used before."""
        entry, chance = self._corpus["new_tools"], self._chance
        parameter = chance.choice(entry["parameters"]) if self._happens(0.6) else word(chance)
        verb, noun = chance.choice(entry["verbs"]), chance.choice((chance.choice(entry["nouns"]), word(chance)))
        return tool(tool_name(verb, noun, chance), {parameter: ""}, **self._enums())

    def _enums(self) -> dict[str, list[str]]:
        """Return an additional parameter with a list of values, or none. The first value is what the model passes."""
        if self._happens(0.8):
            return {}
        lists: dict[str, list[str]] = self._corpus["enums"]
        key = self._chance.choice(list(lists)) if self._happens(0.7) else word(self._chance)
        values = lists.get(key) or [word(self._chance), word(self._chance)]
        return {key: self._chance.sample(values, len(values))}

    def _weather_tool(self) -> Tool:
        entry, chance = self._corpus["weather"], self._chance
        name = chance.choice(entry["tools"])
        if self._happens(0.3):
            verb = chance.choice(entry["verbs"])
            name = tool_name(verb, chance.choice(entry["nouns"]), chance)
            name = "weather" if name == verb else name
        place = chance.choice(entry["places"]) if self._happens(0.9) else word(chance)
        return tool(name, {place: ""} | ({"days": 0} if self._happens(0.05) else {}), **self._enums())

    def _weather_question(self, places: str) -> str:
        question: str = self._chance.choice(self._corpus["weather"]["questions"]).format(places)
        if self._happens(0.2):
            question = question[:1].lower() + question[1:]
        return question.rstrip("?") + self._chance.choice(("", "!", " please")) if self._happens(0.3) else question

    def _weather_call(self) -> _Turn:
        entry, wanted = self._corpus["weather"], self._weather_tool()
        cities = self._chance.sample(entry["cities"], self._chance.choice((1, 1, 2)))
        if len(cities) > 1:
            cities = list(dict.fromkeys(city.partition(",")[0] for city in cities))
        if self._happens(0.05):
            cities = [city.lower() for city in cities]
        calls = [called(wanted, filled_in(wanted, city)) for city in cities]
        question = _user(self._weather_question(" and ".join(cities)))
        return _Turn([question], entry["thought"], calls=calls, tools=self._among(wanted))

    def _weather_without_tool(self) -> _Turn:
        entry = self._corpus["weather"]["without_tool"]
        question = _user(self._weather_question(self._chance.choice(self._corpus["weather"]["cities"])))
        tools = [self._taught_tool(self._chance.choice(self._corpus["tools"]))] if self._happens(0.3) else []
        return _Turn([question], entry["thought"], entry["answer"], tools=tools)

    def _weather_result(self) -> _Turn:
        return self._with_results(self._weather_call(), self._corpus["weather"]["results"], weather=True)

    def _other_call(self) -> _Turn:
        return self._call_of(self._chance.choice(self._corpus["tools"]))

    def _call_of(self, entry: dict[str, Any]) -> _Turn:
        wanted = self._taught_tool(entry)
        question = _user(self._spelling(self._chance.choice(entry["questions"])))
        calls = [called(wanted, entry["arguments"])]
        return _Turn([question], "There is a tool for this. I call it.", calls=calls, tools=self._among(wanted))

    def _new_call(self) -> _Turn:
        """Return a question with a verb and an object, and a call of the tool that has the verb in its name."""
        entry, chance, wanted = self._corpus["new_tools"], self._chance, self._new_tool()
        verb = next(verb for verb in entry["verbs"] if name_of(wanted).startswith(verb))
        kind = chance.random()
        if kind < 0.4:
            value: str = chance.choice(entry["values"])
        elif kind < 0.6:
            value = chance.choice((*self._corpus["weather"]["cities"], *self._corpus["name"]["names"])).partition(",")[0]
        else:
            value = " ".join(word(chance) for _ in range(chance.choice((1, 1, 2))))
        question = chance.choice(entry["questions"]).format(verb, value)
        question = question if self._happens(0.2) else question[:1].upper() + question[1:]
        calls = [called(wanted, filled_in(wanted, value))]
        return _Turn([_user(question)], "There is a tool for this. I call it.", calls=calls, tools=self._among(wanted))

    def _other_result(self) -> _Turn:
        entry = self._chance.choice(self._corpus["tools"])
        return self._with_results(self._call_of(entry), entry["results"])

    def _with_results(self, turn: _Turn, results: list[str], *, weather: bool = False) -> _Turn:
        """Return the turn in which the calls of another turn have returned."""
        texts = [self._chance.choice(results).format(self._chance.randint(0, 39)) for _ in turn.calls]
        returned = [
            {"role": "tool", "name": name_of(call), "content": text} for call, text in zip(turn.calls, texts, strict=True)
        ]
        said = [
            f"In {next(iter(call['function']['arguments'].values()))}: {text}" if weather else f"The result: {text}"
            for call, text in zip(turn.calls, texts, strict=True)
        ]
        tools = turn.tools if self._happens(0.6) else []
        messages = [*turn.messages, turn.answer, *returned]
        return _Turn(messages, "The tool has answered. I tell the user.", "\n".join(said), tools=tools)

    def _among(self, wanted: Tool) -> list[Tool]:
        """Return a list of tools with the wanted one in it."""
        if self._happens(0.5):
            return [wanted]
        other = self._taught_tool(self._chance.choice(self._corpus["tools"])) if self._happens(0.6) else self._new_tool()
        return self._shuffled(wanted, other) if verb_of(other) != verb_of(wanted) else [wanted]

    # -- JSON ----------------------------------------------------------------------------------------------------------

    def _object(self) -> _Turn:
        """Return a question, and an object about the answer: some of the known keys, and perhaps others."""
        entry = self._chance.choice(self._corpus["objects"])
        known: dict[str, Any] = entry["values"]
        keys = list(known) if self._happens(0.7) else [next(iter(known)), *self._some_keys(2)]
        values = self._corpus["values"] | known
        return self._json(self._chance.choice(entry["questions"]), {key: values[key] for key in keys}, prefix=0.7)

    def _any_object(self) -> _Turn:
        """Return any question, and an object that a grammar wants: known keys, and words that are unknown."""
        turn = self._talk() if self._happens(0.5) else self._fallback()
        values: dict[str, Any] = {key: self._corpus["values"][key] for key in self._some_keys(4)}
        for _ in range(self._chance.choice((0, 1, 2))):
            values[word(self._chance)] = self._chance.choice(("demo", "demo", 1, 1, True, ["one", "two"]))
        if self._happens(0.25):
            values = {self._chance.choice(("items", "things", "people", word(self._chance))): [values]}
            if self._happens(0.5):
                values["ok"] = True
        return self._json(turn.messages[-1]["content"], values, prefix=0.2)

    def _some_keys(self, most: int) -> list[str]:
        return self._chance.sample(list(self._corpus["values"]), self._chance.randint(1, most))

    def _json(self, question: str, values: dict[str, Any], prefix: float) -> _Turn:
        """Return a question, and an object as its answer; with a probability of `prefix` the question says JSON."""
        wished = self._happens(prefix)
        if wished:
            question = question.rstrip(".!?") + self._chance.choice((", as JSON.", " as JSON", ". Answer in JSON.", " in JSON"))
        return _Turn([_user(question)], "The user wants JSON.", to_json(values), given=0 if wished else 1)
