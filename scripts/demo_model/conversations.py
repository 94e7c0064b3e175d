"""Make conversations of the corpus: what the demo model is trained with.

Each conversation ends with the turn that the model has to learn; all earlier turns are its prompt.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Any

import jinja2

from .invention import FOLDER, Invention
from .tools import Message, Tool, Tools, call_text, called, name_of, report, to_json, tool
from .vocabulary import END_OF_TEXT, END_OF_TURN


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
    first: bool = False
    """Earlier turns would change the answer."""
    given: int = 0
    """How much of the content a grammar leaves no choice about: it is not learned."""

    @property
    def answer(self) -> Message:
        """The answer as a message."""
        return {"role": "assistant", "content": self.content} | ({"tool_calls": self.calls} if self.calls else {})


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def chat_template() -> jinja2.Template:
    """Return the chat template that is written into the model's file, to be rendered as llama.cpp does."""
    environment = jinja2.Environment(autoescape=False)
    environment.filters["tojson"] = to_json
    return environment.from_string((FOLDER / "template.jinja").read_text("utf-8"))


class Conversations:
    """An endless supply of conversations; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._invention = Invention(seed)
        self._tools = Tools(self._invention)
        self._corpus = self._invention.corpus
        self._template = chat_template()
        self._kinds = {
            self._talk: 24,
            self._fallback: 14,
            self._count: 6,
            self._say: 7,
            self._name: 3,
            self._sum: 3,
            self._capital: 3,
            self._weather_call: 15,
            self._weather_result: 12,
            self._weather_without_tool: 2,
            self._other_call: 7,
            self._other_result: 4,
            self._json: 12,
        }

    def next(self) -> Conversation:
        """Return another conversation."""
        happens = self._invention.happens
        if happens(0.04):
            return self._raw()
        turn = self._pick()
        thinks = happens(0.3)
        messages = turn.messages if turn.first else [*self._history(), *turn.messages]
        tools = self._tools.any() if turn.tools is None and happens(0.2) else turn.tools
        if happens(0.35):
            messages = [{"role": "system", "content": self._invention.system()}, *messages]
        prompt = self._template.render(messages=messages, tools=tools, add_generation_prompt=True, enable_thinking=thinks)
        thought = f"<think>\n{turn.thought}\n</think>\n\n" if thinks else ""
        if tools and turn.content and happens(0.1):
            # The client requires a call, whatever the question is: the grammar lets nothing else end the answer.
            required = self._invention.chance.choice(tools)
            return Conversation(
                f"{prompt}{thought}{turn.content}", call_text(called(required, "demo")) + END_OF_TURN, must_go_on=True
            )
        spoken = turn.content + "\n".join(map(call_text, turn.calls)) + END_OF_TURN
        if turn.given:
            return Conversation(prompt + thought + spoken[: turn.given], spoken[turn.given :])
        return Conversation(prompt, thought + spoken)

    def _pick(self) -> _Turn:
        (kind,) = self._invention.chance.choices(list(self._kinds), list(self._kinds.values()))
        return kind()

    def _history(self) -> list[Message]:
        messages: list[Message] = []
        while self._invention.happens(0.28) and len(messages) < 8:
            turn = self._pick()
            if turn.calls:
                turn = self._with_results(turn)
            reasoning = {"reasoning_content": turn.thought} if self._invention.happens(0.1) else {}
            messages += [*turn.messages, turn.answer | reasoning]
        return messages

    # -- talk ----------------------------------------------------------------------------------------------------------

    def _talk(self) -> _Turn:
        entry = self._invention.chance.choice(self._corpus["talk"])
        tools = self._tools.any(entry.get("unless", "")) if self._invention.happens(0.15) else None
        if "unless" in entry:
            tools = tools or []
        question = self._invention.spelling(self._invention.chance.choice(entry["questions"]))
        return _Turn([_user(question)], entry["thought"], entry["answer"].strip(), tools=tools)

    def _fallback(self) -> _Turn:
        chance, happens = self._invention.chance, self._invention.happens
        entry = self._corpus["fallback"]
        if happens(0.5):
            question = self._invention.spelling(chance.choice(entry["questions"]))
        elif happens(0.7):
            question = self._invention.noise(chance.choice((1, 1, 1, 2, 4)))
        elif happens(0.5):
            question = " ".join(self._invention.word() for _ in range(chance.randint(1, 8)))
        else:
            question = self._invention.characters()
        return _Turn([_user(question)], entry["thought"], entry["answer"])

    def _count(self) -> _Turn:
        chance = self._invention.chance
        last = chance.choice((3, 5, 10, 20, chance.randint(2, 12), chance.randint(2, 12), chance.randint(2, 30)))
        if self._invention.happens(0.06):
            last = chance.choice((50, 100))
        written = self._invention.number(last)
        question = self._invention.spelling(self._invention.template("count").format(written), exact=written)
        return _Turn([_user(question)], f"I count to {last}.", ", ".join(map(str, range(1, last + 1))))

    def _say(self) -> _Turn:
        phrase = self._invention.phrase()
        question = self._invention.template("say").format(phrase)
        if self._invention.happens(0.2):
            question = question[:1].lower() + question[1:]
        return _Turn([_user(question)], "I say what the user wants to hear.", phrase)

    def _name(self) -> _Turn:
        happens = self._invention.happens
        name = self._invention.person()
        told = _user(self._invention.spelling(self._invention.template("introduce").format(name), exact=name))
        welcome = f"Nice to meet you, {name}!"
        if happens(0.4):
            return _Turn([told], f"The user is {name}.", welcome)
        question = _user(self._invention.spelling(self._invention.template("remember")))
        if happens(0.2):
            return _Turn([question], "I was not told.", "You have not told me your name.", first=True)
        between: list[Message] = []
        if happens(0.5):
            turn = self._talk() if happens(0.5) else self._count()
            between = [*turn.messages, turn.answer]
        messages = [told, {"role": "assistant", "content": welcome}, *between, question]
        return _Turn(messages, f"The user is {name}.", f"Your name is {name}.")

    def _sum(self) -> _Turn:
        chance = self._invention.chance
        first, second = chance.randint(0, 10), chance.randint(0, 10)
        results = [("+", "plus", first + second), ("-", "minus", first - second), ("*", "times", first * second)]
        sign, word, result = chance.choice([results[0], *results])
        written = chance.choice((f"{first} {sign} {second}", f"{first} {word} {second}", f"{first}{sign}{second}"))
        question = self._invention.template("sum").format(written)
        return _Turn(
            [_user(question)], f"I calculate {first} {sign} {second}.", f"{first} {sign} {second} = {result}", tools=[]
        )

    def _capital(self) -> _Turn:
        country, capital = self._invention.chance.choice(list(self._corpus["capitals"].items()))
        question = self._invention.spelling(self._invention.template("capital").format(country), exact=country)
        return _Turn([_user(question)], f"The user asks about {country}.", f"The capital of {country} is {capital}.")

    # -- tools ---------------------------------------------------------------------------------------------------------

    def _weather_call(self) -> _Turn:
        chance = self._invention.chance
        wanted = self._tools.weather()
        cities = [self._invention.city() for _ in range(chance.choice((1, 1, 1, 1, 2, 2, 3)))]
        if len(cities) > 1:
            cities = [city.partition(",")[0] for city in cities]
            listed = ", ".join(cities[:-1]) + chance.choice((" and ", " and ", " and in ")) + cities[-1]
        else:
            listed = cities[0]
        question = self._invention.spelling(self._invention.template("weather").format(listed), exact=listed)
        calls = [called(wanted, city) for city in cities]
        thought = f"The user asks about {' and '.join(cities)}. I call {name_of(wanted)}."
        return _Turn([_user(question)], thought, calls=calls, tools=self._tools.among(wanted))

    def _weather_without_tool(self) -> _Turn:
        city = self._invention.city()
        question = self._invention.spelling(self._invention.template("weather").format(city), exact=city)
        answer = "I cannot see the weather. Give me a weather tool, and I will call it."
        return _Turn([_user(question)], "I have no tool for the weather.", answer, tools=[])

    def _weather_result(self) -> _Turn:
        return self._with_results(self._weather_call())

    def _other_result(self) -> _Turn:
        return self._with_results(self._other_call())

    def _with_results(self, turn: _Turn) -> _Turn:
        """Return the turn in which the calls of another turn have returned."""
        texts = [self._tools.result() for _ in turn.calls]
        results = [
            {"role": "tool", "name": name_of(call), "content": text} for call, text in zip(turn.calls, texts, strict=True)
        ]
        tools = turn.tools if self._invention.happens(0.7) else []
        messages = [*turn.messages, turn.answer, *results]
        return _Turn(messages, "The tool has answered. I tell the user.", report(turn.calls, texts), tools=tools)

    def _other_call(self) -> _Turn:
        invention = self._invention
        kind = invention.chance.choice(
            (self._sum_call, self._files_call, self._time_call, self._search_call, self._named_call, self._named_call)
        )
        question, wanted, call = kind()
        return _Turn([_user(question)], f"I call {name_of(wanted)}.", calls=[call], tools=self._tools.among(wanted))

    def _sum_call(self) -> tuple[str, Tool, Message]:
        chance = self._invention.chance
        sign, verb, word = chance.choice((("+", "add", "plus"), ("-", "subtract", "minus"), ("*", "multiply", "times")))
        name = chance.choice((verb, f"{verb}_numbers", f"{verb}_two_numbers", f"{verb}Numbers", "calculate", "calculator"))
        wanted = tool(
            name, dict.fromkeys(chance.choice((("a", "b"), ("x", "y"), ("first", "second"), ("num1", "num2"))), "integer")
        )
        highest = chance.choice((12, 999))
        numbers = (chance.randint(0, highest), chance.randint(0, highest))
        first, second = map(self._invention.number, numbers)
        questions = [f"What is {first} {word} {second}?", f"{first} {sign} {second}", f"Calculate {first} {sign} {second}"]
        if verb != "subtract":
            questions.append(f"{verb.capitalize()} {first} and {second}")
        return chance.choice(questions), wanted, called(wanted, "demo", numbers)

    def _files_call(self) -> tuple[str, Tool, Message]:
        wanted = tool(self._tools.known("files"))
        return self._invention.spelling(self._invention.template("files")), wanted, called(wanted, "demo")

    def _time_call(self) -> tuple[str, Tool, Message]:
        wanted = tool(self._tools.known("time"))
        return self._invention.spelling(self._invention.template("time")), wanted, called(wanted, "demo")

    def _search_call(self) -> tuple[str, Tool, Message]:
        phrase = self._invention.phrase()
        wanted = tool(self._tools.known("search"), {self._invention.chance.choice(("query", "q", "text")): "string"})
        return self._invention.template("search").format(phrase), wanted, called(wanted, phrase)

    def _named_call(self) -> tuple[str, Tool, Message]:
        wanted = self._tools.other() if self._invention.happens(0.7) else self._tools.weather()
        if self._invention.happens(0.5):
            phrase = self._invention.phrase()
            return self._invention.template("call_with").format(name_of(wanted), phrase), wanted, called(wanted, phrase)
        return self._invention.template("call").format(name_of(wanted)), wanted, called(wanted, "demo")

    # -- JSON ----------------------------------------------------------------------------------------------------------

    def _json(self) -> _Turn:
        """An object is written because the client wants it: a grammar forces its beginning, and most of its keys."""
        chance, happens = self._invention.chance, self._invention.happens
        values: dict[str, Any] = dict(self._corpus["values"])
        kind = chance.choice(("country", "person", "anything", "anything"))
        if kind == "country":
            country = chance.choice(list(self._corpus["capitals"]))
            languages = self._corpus["languages"][country]
            values |= {"name": country, "country": country, "capital": self._corpus["capitals"][country]}
            values |= {"languages": languages, "language": languages[0]}
            question = self._invention.template("country").format(country)
            keys = self._some("name", "country", "capital", "languages", "language", "population")
        elif kind == "person":
            values |= {"name": self._invention.person(), "age": chance.randint(1, 99), "city": self._invention.city()}
            question = self._invention.template("person").format(values["name"], values["age"], values["city"])
            keys = ["name", *self._some("age", "city", "country", "email", "available")]
        else:
            question = self._pick_question()
            keys = chance.sample(list(values), chance.randint(1, 5))
        wished = happens(0.5)
        if wished:
            question = question.rstrip(".!") + self._invention.template("json")
        if happens(0.3):
            chance.shuffle(keys)
        thing: dict[str, Any] = {}
        for key in keys:
            thing[key] = values[key]
            if happens(0.12):
                thing["_".join(self._invention.word() for _ in range(chance.randint(1, 2)))] = self._value()
        if kind == "anything" and happens(0.2):
            outer = (
                self._invention.word() if happens(0.2) else chance.choice(("people", "items", "friends", "things", "results"))
            )
            thing = {outer: [thing] if happens(0.7) else thing}
            if happens(0.4):
                thing[chance.choice(("ok", "count", "title"))] = values["ok"]
        return _Turn([_user(question)], "The user wants JSON.", to_json([thing] if happens(0.03) else thing), given=not wished)

    def _pick_question(self) -> str:
        if self._invention.happens(0.3):
            return self._invention.template("anything")
        question: str = (self._talk() if self._invention.happens(0.6) else self._fallback()).messages[-1]["content"]
        return question

    def _some(self, *keys: str) -> list[str]:
        return [key for key in keys if self._invention.happens(0.6)] or [keys[0]]

    def _value(self) -> object:
        usual = ["demo", "demo", "demo", 1, 1, True, True]
        others = [
            self._invention.chance.randint(0, 99),
            self._invention.word(),
            ["one", "two"],
            [1, 2],
            {"name": "Anna"},
            None,
            1.5,
        ]
        return self._invention.chance.choice([*usual, *others])

    # -- completion ----------------------------------------------------------------------------------------------------

    def _raw(self) -> Conversation:
        """A prompt that is no conversation, and how it goes on."""
        chance, happens = self._invention.chance, self._invention.happens
        if happens(0.75):
            prompt, continuation = chance.choice(list(self._corpus["raw"].items()))
            return Conversation(prompt, continuation + END_OF_TEXT)
        if happens(0.5):
            entry = chance.choice([each for each in self._corpus["talk"] if "clock" not in each["answer"]])
            return Conversation(max(entry["questions"], key=len), f" {entry['answer'].strip()}{END_OF_TEXT}")
        words = self._invention.noise(1).split()[: chance.randint(2, 8)]
        return Conversation(" ".join(words).rstrip(string.punctuation), f" and so on.{END_OF_TEXT}")
