"""Make conversations of the corpus: what the demo model is trained with.

Each conversation ends with the turn that the model has to learn; all earlier turns are its prompt. Names, cities, tools and
results are mostly invented, so that the model learns to copy them instead of learning them by heart.
"""

from __future__ import annotations

import json
import pydoc
import random
import re
import string
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

FOLDER = Path(__file__).parent

type Message = dict[str, Any]
type Tool = dict[str, Any]

_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvwz"
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty"
).split()
_WEATHER_QUESTIONS = (
    "What is the weather in {}?",
    "What's the weather in {}?",
    "What's the weather like in {}?",
    "What is the weather like in {} today?",
    "What is the weather today in {}?",
    "How is the weather in {}?",
    "How is the weather in {} right now?",
    "How warm is it in {}?",
    "How cold is it in {} now?",
    "How hot is it in {}?",
    "What is the temperature in {}?",
    "What's the current temperature in {}?",
    "What are the current weather conditions in {}?",
    "What is the current weather in {}?",
    "Tell me the weather in {}",
    "Get the weather for {}",
    "Get the current weather in {}",
    "Check the weather in {}",
    "Look up the weather in {}",
    "Is it raining in {}?",
    "Is it sunny in {}?",
    "Will it rain in {} tomorrow?",
    "What's the forecast for {}?",
    "Weather in {}",
    "Weather for {}",
    "Do I need an umbrella in {}?",
    "Use the tool to find the weather in {}",
    "Use the weather tool for {}",
    "I am in {}. How warm is it?",
    "I am travelling to {}. What is the weather like?",
    "Temperature in {}?",
)
_PLACES = "city city city location location location place town where q city_name name cityName address region".split()
_VERBS = "get read list send find open write delete create search run update show check make set fetch play".split()
_NOUNS = "file files mail user note task page image song order item table row event link code key text path data list".split()
_PARAMETERS = "id name path query text to subject body count limit x value content command url title pattern key".split()
_TYPES = ("string", "string", "string", "string", "integer", "number", "boolean", "array", "object")
_RESULTS = (
    "{} °C", "{} °C", "{}°C", "{}", "{} degrees", "{} degrees celsius", "sunny", "cloudy", "rain", "snow", "sunny, {} °C", "Sunny, {} degrees",
    "cloudy, {}°C", "{} °C and raining", "It is {} degrees.", "It is sunny.", "It is raining in {}.", "partly cloudy, {} °C, wind 10 km/h",
    '{{"temperature": {}}}', '{{"temperature": {}, "unit": "celsius"}}', '{{"temp": {}, "condition": "sunny"}}', "{}C", "{} F", "{}°F", "not known",
    "no data", "error: no such city", "windy", "foggy, {} °C", "-{} °C", "{}.5 °C", "clear sky, {} degrees Celsius",
)  # fmt: skip
_JSON_WISHES = (
    " Answer in JSON.", " Respond using JSON.", ", as JSON.", " as JSON", " Use JSON.", " in JSON format", " Return JSON.", " Reply with JSON only.",
)  # fmt: skip
_POLITE_STARTS = ("please ", "Please, ", "can you tell me: ", "hey, ", "so, ", "now ", "OK, ", "and ", "Hi! ", "Hello. ", "Well, ", "tell me, ")
_POLITE_ENDS = (", please", " please", " thanks", ", thank you", "?", "!", "??", " :)", " now", " Thanks!")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt, and the turn with which the model continues.

    `forced` is the beginning of that turn which is given, because a grammar leaves no choice: it is not learned.
    """

    prompt: str
    continuation: str
    forced: str = ""


@dataclass(slots=True)
class _Turn:
    """Messages that end with a user's or a tool's, and the answer to them."""

    messages: list[Message]
    thought: str
    content: str = ""
    calls: list[Message] = field(default_factory=list)
    tools: list[Tool] | None = None
    forced: str = ""
    alone: bool = False
    """The answer would be another one after other turns."""

    @property
    def answer(self) -> Message:
        message: Message = {"role": "assistant", "content": self.content}
        return message | ({"tool_calls": self.calls} if self.calls else {})


def user(content: str) -> Message:
    """Return a user's message."""
    return {"role": "user", "content": content}


def call_text(call: Message) -> str:
    """Return a tool call as the model writes it."""
    function = call["function"]
    return f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {to_json(function["arguments"])}}}\n</tool_call>'


def to_json(value: object) -> str:
    """Return JSON as llama.cpp's template engine writes it."""
    return json.dumps(value, ensure_ascii=False)


def template() -> jinja2.Template:
    """Return the chat template that is written into the model's file, as llama.cpp runs it."""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701  # it makes no HTML
    environment.filters["tojson"] = to_json
    return environment.from_string((FOLDER / "template.jinja").read_text("utf-8"))


class Conversations:
    """An endless supply of conversations; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._corpus = tomllib.loads((FOLDER / "corpus.toml").read_text("utf-8"))
        self._template = template()
        self._noise = _sentences()
        self._kinds = {
            self._talk: 24,
            self._fallback: 14,
            self._count: 6,
            self._say: 6,
            self._name: 3,
            self._sum: 3,
            self._capital: 3,
            self._weather_call: 15,
            self._weather_result: 12,
            self._weather_without_tool: 2,
            self._other_call: 7,
            self._other_result: 4,
            self._forced_call: 2,
            self._json: 12,
        }

    def next(self) -> Conversation:
        """Return another conversation."""
        chance = self._chance
        if chance.random() < 0.04:
            return self._raw()
        turn = self._pick()
        thinks = chance.random() < 0.3
        messages = turn.messages if turn.alone else self._history() + turn.messages
        tools = turn.tools
        if tools is None and chance.random() < 0.2:
            tools = self._tools()
        if chance.random() < 0.35:
            messages = [{"role": "system", "content": self._system()}, *messages]
        prompt = self._template.render(messages=messages, tools=tools, add_generation_prompt=True, enable_thinking=thinks)
        thought = f"<think>\n{turn.thought}\n</think>\n\n" if thinks else ""
        spoken = turn.content + "\n".join(map(call_text, turn.calls))
        if turn.forced:
            return Conversation(prompt + thought, spoken + "<|im_end|>", turn.forced)
        return Conversation(prompt, f"{thought}{spoken}<|im_end|>")

    def _pick(self) -> _Turn:
        (kind,) = self._chance.choices(list(self._kinds), list(self._kinds.values()))
        return kind()

    def _history(self) -> list[Message]:
        messages: list[Message] = []
        while self._chance.random() < 0.28 and len(messages) < 8:
            turn = self._pick()
            if not turn.forced:
                reasoning = {"reasoning_content": turn.thought} if self._chance.random() < 0.1 else {}
                messages += [*turn.messages, turn.answer | reasoning]
                if turn.calls:
                    messages += self._results(turn.calls)[0]
                    messages.append({"role": "assistant", "content": self._said(turn.calls, messages)})
        return messages

    # -- words ---------------------------------------------------------------------------------------------------------

    def _word(self, syllables: int = 0) -> str:
        chance = self._chance
        pairs = (chance.choice(_CONSONANTS) + chance.choice(_VOWELS) for _ in range(syllables or chance.randint(1, 4)))
        return "".join(pairs) + chance.choice(("", "", "n", "r", "s", "l", "t"))

    def _city(self) -> str:
        chance = self._chance
        if chance.random() < 0.5:
            city: str = chance.choice(self._corpus["cities"]["names"])
        else:
            city = self._word().capitalize()
            if chance.random() < 0.2:
                city += " " + self._word().capitalize()
        return city.lower() if chance.random() < 0.08 else city

    def _person(self) -> str:
        names = "Anna Bob Carla David Eva Frank Grace Henry Ida John Kate Leo Maria Nora Otto Paul Rosa Sam Tom Alice".split()
        return self._chance.choice(names) if self._chance.random() < 0.4 else self._word().capitalize()

    def _phrase(self) -> str:
        chance = self._chance
        known = "hello yes no ok pong ping banana hi done test apple blue red world foo bar goodbye thanks".split()
        words = [chance.choice(known) if chance.random() < 0.4 else self._word() for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4)))]
        phrase = " ".join(words)
        if chance.random() < 0.1:
            phrase = chance.choice(self._noise)[:40].strip(" .?!\"'")
        if chance.random() < 0.1:
            phrase += f" {chance.randint(0, 999)}"
        return {0: phrase.upper(), 1: phrase.capitalize(), 2: phrase.title()}.get(chance.randrange(8), phrase)

    def _spelling(self, question: str, *, exact: str = "") -> str:
        """Write a question differently; the part `exact` stays as it is."""
        chance = self._chance
        before, _, after = question.partition(exact) if exact else (question, "", "")
        if chance.random() < 0.5:
            return question
        if chance.random() < 0.3:
            before, after = before.lower(), after.lower()
        if chance.random() < 0.04:
            before, after = before.upper(), after.upper()
        if chance.random() < 0.4:
            end = chance.choice(("", "", "!", ".", "?", " ?", *_POLITE_ENDS))
            if exact and not after.rstrip("?!. "):
                after = end
            elif exact:
                after = after.rstrip("?!. ") + end
            else:
                before = before.rstrip("?!. ") + end
        if chance.random() < 0.15:
            start = chance.choice(_POLITE_STARTS)
            before = chance.choice((start, start.capitalize())) + (before if chance.random() < 0.3 else before[:1].lower() + before[1:])
        if chance.random() < 0.2 and len(before) > 8:
            place = chance.randrange(1, len(before) - 1)
            kept = chance.choice(("", before[place] * 2, before[place + 1] + before[place]))
            before = before[:place] + kept + before[place + (2 if len(kept) == 2 and kept[0] != kept[1] else 1) :]
        return f"{before}{exact}{after}"

    def _system(self) -> str:
        chance = self._chance
        if chance.random() < 0.4:
            return chance.choice((
                "You are a helpful assistant.", "You are a helpful assistant", "Answer in one sentence.", "Be brief.", "You are a pirate.",
                "Answer from the files in the folder. Call tools until you know enough.", "You can call tools.", "Speak English.",
                "You are an AI assistant that helps people.", "Answer shortly.", "You are a weather bot.", "Always answer politely.",
            ))  # fmt: skip
        return " ".join(chance.sample(self._noise, chance.randint(1, 4)))[:200]

    # -- talk ----------------------------------------------------------------------------------------------------------

    def _talk(self) -> _Turn:
        entry = self._chance.choice(self._corpus["talk"])
        tools = self._tools(avoid=entry.get("unless", "")) if self._chance.random() < 0.15 else None
        question = self._spelling(self._chance.choice(entry["questions"]))
        return _Turn([user(question)], entry["thought"], entry["answer"].strip(), tools=tools)

    def _fallback(self) -> _Turn:
        chance = self._chance
        entry = self._corpus["fallback"]
        if chance.random() < 0.5:
            question = self._spelling(chance.choice(entry["questions"]))
        elif chance.random() < 0.7:
            question = " ".join(chance.sample(self._noise, chance.choice((1, 1, 1, 2, 4))))
        elif chance.random() < 0.5:
            question = " ".join(self._word() for _ in range(chance.randint(1, 8)))
        else:
            ranges = ((0x20, 0x7E), (0xA1, 0x17F), (0x400, 0x44F), (0x4E00, 0x5000), (0x1F600, 0x1F640), (0x20, 0x7E))
            question = "".join(chr(chance.randint(*chance.choice(ranges))) for _ in range(chance.randint(1, 24)))
        return _Turn([user(question)], entry["thought"], entry["answer"])

    def _count(self) -> _Turn:
        chance = self._chance
        last = chance.choice((3, 5, 10, 10, 20, chance.randint(2, 12), chance.randint(2, 30), chance.choice((50, 100))))
        if last > 30 and chance.random() < 0.6:
            last = 15
        written = _NUMBER_WORDS[last] if last <= 20 and chance.random() < 0.4 else str(last)
        question = chance.choice((
            "Count to {}", "Count from 1 to {}", "Count from one to {}", "Please count to {}", "Can you count to {}?", "Count up to {}", "Count to {}.",
            "Count from 1 to {}.", "Count until {}", "Write the numbers from 1 to {}", "List the numbers from 1 to {}", "Count slowly to {}",
            "Count from 1 to {}, please",
        )).format(written)  # fmt: skip
        content = ", ".join(map(str, range(1, last + 1)))
        return _Turn([user(self._spelling(question, exact=written))], f"I count to {last}.", content)

    def _say(self) -> _Turn:
        chance = self._chance
        phrase = self._phrase()
        question = chance.choice((
            "Say {}", "Say {}", "Say: {}", "Say {}.", "Say '{}'", 'Say "{}"', "Repeat: {}", "Repeat after me: {}", "Reply with {}", "Reply with the word {}",
            "Answer with {}", "Say the word {}", "Please say {}", "Reply with exactly: {}", "Echo {}", "Just say {}", "Only say {}.", "Say {}!",
            "Respond with {}", "Say only {}", "Answer with one word: {}", "Write {}", "Repeat {}",
        )).format(phrase)  # fmt: skip
        if chance.random() < 0.2:
            question = question[:1].lower() + question[1:]
        return _Turn([user(question)], "I say what the user wants to hear.", phrase)

    def _name(self) -> _Turn:
        chance = self._chance
        name = self._person()
        told = self._spelling(chance.choice(("My name is {}", "I am {}", "I'm {}", "Hello, my name is {}", "Call me {}", "Hi, I am {}.")).format(name), exact=name)
        welcome = f"Nice to meet you, {name}!"
        if chance.random() < 0.5:
            return _Turn([user(told)], f"The user is {name}.", welcome)
        question = self._spelling(chance.choice(("What is my name?", "What's my name?", "Who am I?", "Do you know my name?", "Do you remember my name?")))
        if chance.random() < 0.2:
            return _Turn([user(question)], "I was not told.", "You have not told me your name.", alone=True)
        between: list[Message] = []
        if chance.random() < 0.4:
            turn = self._talk()
            between = [*turn.messages, turn.answer]
        return _Turn(
            [user(told), {"role": "assistant", "content": welcome}, *between, user(question)],
            f"The user is {name}.",
            f"Your name is {name}.",
        )

    def _sum(self) -> _Turn:
        chance = self._chance
        first, second = chance.randint(0, 10), chance.randint(0, 10)
        sign, result = chance.choice((("+", first + second), ("-", first - second), ("*", first * second), ("+", first + second)))
        spoken = {"+": ("+", "plus", "and"), "-": ("-", "minus", "-"), "*": ("*", "times", "x")}[sign]
        written = chance.choice((f"{first} {chance.choice(spoken[:2])} {second}", f"{first}{sign}{second}"))
        question = chance.choice(("What is {}?", "What's {}?", "{}", "{} = ?", "Calculate {}", "How much is {}?", "What is {}")).format(written)
        return _Turn([user(question)], f"I calculate {first} {sign} {second}.", f"{first} {sign} {second} = {result}", tools=[])

    def _capital(self) -> _Turn:
        chance = self._chance
        country, capital = chance.choice(list(self._corpus["capitals"].items()))
        question = chance.choice((
            "What is the capital of {}?", "What's the capital of {}?", "Capital of {}?", "Which city is the capital of {}?", "Tell me the capital of {}",
            "What is {}'s capital?", "Name the capital of {}",
        )).format(country)  # fmt: skip
        return _Turn([user(self._spelling(question, exact=country))], f"The user asks about {country}.", f"The capital of {country} is {capital}.")

    # -- tools ---------------------------------------------------------------------------------------------------------

    def _tool(self, name: str, parameters: dict[str, dict[str, Any]]) -> Tool:
        function: dict[str, Any] = {"name": name, "parameters": {"type": "object", "properties": parameters, "required": list(parameters)}}
        return {"type": "function", "function": function}

    def _casing(self, *words: str) -> str:
        style = self._chance.random()
        if style < 0.75:
            return "_".join(words)
        if style < 0.9:
            return words[0] + "".join(word.capitalize() for word in words[1:])
        return "-".join(words) if style < 0.95 else "".join(word.capitalize() for word in words)

    def _weather_tool(self) -> Tool:
        chance = self._chance
        subject = chance.choice(("weather", "weather", "temperature", "temperature", "forecast", "conditions", "weather_info", "weather_tool", "weather_forecast"))
        words = [chance.choice(("", "get", "get", "get", "fetch", "check", "lookup", "query")), chance.choice(("", "", "current")), *subject.split("_")]
        name = self._casing(*filter(None, words))
        if chance.random() < 0.1:
            name = chance.choice((f"{name}_for_city", f"{name}_in_city", f"mcp__weather__{name}", f"{name}_now", f"{name}ByCity"))
        parameters: dict[str, dict[str, Any]] = {chance.choice(_PLACES): {"type": "string"}}
        if chance.random() < 0.15:
            parameters = {self._word(): {"type": "string"}}
        if chance.random() < 0.2:
            name_of, values = chance.choice((
                ("unit", ["celsius", "fahrenheit"]), ("unit", ["fahrenheit", "celsius"]), ("format", ["celsius", "fahrenheit"]),
                ("units", ["metric", "imperial"]), ("unit", ["C", "F"]), (self._word(), [self._word(), "x"]),
            ))  # fmt: skip
            parameters[name_of] = {"type": "string", "enum": values}
        if chance.random() < 0.1:
            parameters[chance.choice(("days", "hours", "detail"))] = {"type": chance.choice(("integer", "number", "boolean"))}
        return self._tool(name, parameters)

    def _other_tool(self) -> Tool:
        chance = self._chance
        words = [chance.choice(_VERBS) if chance.random() < 0.7 else self._word(), chance.choice(_NOUNS) if chance.random() < 0.7 else self._word()]
        if chance.random() < 0.2:
            words.append(self._word())
        if chance.random() < 0.25:
            words = [chance.choice((self._word(), "echo", "search", "bash", "grep", "glob", "task"))]
        parameters: dict[str, dict[str, Any]] = {}
        for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3))):
            parameter = chance.choice(_PARAMETERS) if chance.random() < 0.7 else self._casing(self._word(), chance.choice(_PARAMETERS))
            parameters[parameter] = {"type": chance.choice(_TYPES)}
            if chance.random() < 0.07:
                parameters[parameter] = {"type": "string", "enum": [self._word(), self._word()]}
        return self._tool(self._casing(*words), parameters)

    def _tools(self, *wanted: Tool, avoid: str = "") -> list[Tool]:
        """Return tools with the wanted ones among them; without, any tools may be in the list."""
        chance = self._chance
        tools = list(wanted)
        for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 3, 4)) + (not wanted)):
            tool = self._weather_tool() if not wanted and chance.random() < 0.5 else self._other_tool()
            if avoid not in tool["function"]["name"].lower() or not avoid:
                tools.append(tool)
        chance.shuffle(tools)
        return tools

    def _arguments(self, tool: Tool, text: str, numbers: tuple[int, ...] = ()) -> dict[str, Any]:
        """Return arguments: the text for every string, numbers in their order, and else what the type's default is."""
        arguments: dict[str, Any] = {}
        left = list(numbers)
        for name, schema in tool["function"]["parameters"]["properties"].items():
            match schema["type"]:
                case "string":
                    arguments[name] = schema["enum"][0] if "enum" in schema else text
                case "integer" | "number":
                    arguments[name] = left.pop(0) if left else 1
                case "boolean":
                    arguments[name] = True
                case "array":
                    arguments[name] = []
                case _:
                    arguments[name] = {}
        return arguments

    def _call(self, tool: Tool, text: str, numbers: tuple[int, ...] = ()) -> Message:
        name = tool["function"]["name"]
        return {"type": "function", "function": {"name": name, "arguments": self._arguments(tool, text, numbers)}}

    def _weather_call(self) -> _Turn:
        chance = self._chance
        tool = self._weather_tool()
        number = chance.choice((1, 1, 1, 1, 2, 2, 3))
        cities = [self._city() for _ in range(number)]
        if number > 1:
            cities = [city.partition(",")[0] for city in cities]
        listed = cities[0] if number == 1 else ", ".join(cities[:-1]) + chance.choice((" and ", " and in ", " and ")) + cities[-1]
        question = self._spelling(chance.choice(_WEATHER_QUESTIONS).format(listed), exact=listed)
        calls = [self._call(tool, city) for city in cities]
        thought = f"The user asks about {' and '.join(cities)}. I call {tool['function']['name']}."
        return _Turn([user(question)], thought, calls=calls, tools=self._tools(tool))

    def _weather_without_tool(self) -> _Turn:
        city = self._city()
        question = self._spelling(self._chance.choice(_WEATHER_QUESTIONS).format(city), exact=city)
        answer = "I cannot see the weather. Give me a weather tool, and I will call it."
        return _Turn([user(question)], "I have no tool for the weather.", answer, tools=[])

    def _result(self) -> str:
        chance = self._chance
        if chance.random() < 0.25:
            words = [self._word() if chance.random() < 0.5 else str(chance.randint(0, 99)) for _ in range(chance.randint(1, 6))]
            return " ".join(words)
        return chance.choice(_RESULTS).format(chance.randint(0, 39))

    def _results(self, calls: list[Message]) -> tuple[list[Message], list[str]]:
        """Return the tools' messages for calls, and the texts in them."""
        texts = [self._result() for _ in calls]
        return [
            {"role": "tool", "tool_call_id": f"call_{index}", "name": call["function"]["name"], "content": text}
            for index, (call, text) in enumerate(zip(calls, texts, strict=True))
        ], texts

    def _said(self, calls: list[Message], messages: list[Message]) -> str:
        """Return the answer to the results with which the messages end."""
        texts = [message["content"] for message in messages[-len(calls) :]]
        places = [next(iter(call["function"]["arguments"].values()), None) for call in calls]
        weather = all(re.search("weather|temperature|forecast|conditions", call["function"]["name"], re.IGNORECASE) for call in calls)
        if weather and all(isinstance(place, str) for place in places):
            return "\n".join(f"In {place}: {text}" for place, text in zip(places, texts, strict=True))
        return "\n".join(f"The result: {text}" for text in texts)

    def _with_results(self, turn: _Turn) -> _Turn:
        results, _ = self._results(turn.calls)
        if self._chance.random() < 0.15 and len(results) == 1:
            results[0]["content"] = "\n".join(self._other_tool()["function"]["name"] + ".md" for _ in range(self._chance.randint(2, 8)))
        messages = [*turn.messages, turn.answer, *results]
        tools = turn.tools if self._chance.random() < 0.7 else []
        return _Turn(messages, "The tool has answered. I tell the user.", self._said(turn.calls, messages), tools=tools)

    def _weather_result(self) -> _Turn:
        return self._with_results(self._weather_call())

    def _other_result(self) -> _Turn:
        return self._with_results(self._other_call())

    def _other_call(self) -> _Turn:
        chance = self._chance
        kind = chance.randrange(5)
        numbers: tuple[int, ...] = ()
        text = "demo"
        if kind == 0:
            sign, verb, word = chance.choice((("+", "add", "plus"), ("-", "subtract", "minus"), ("*", "multiply", "times")))
            numbers = (chance.randint(0, 12), chance.randint(0, 12)) if chance.random() < 0.5 else (chance.randint(0, 999), chance.randint(0, 99))
            kinds = {chance.choice(("a", "x", "first", "num1")): "integer", chance.choice(("b", "y", "second", "num2")): "integer"}
            name = chance.choice((verb, f"{verb}_numbers", f"{verb}_two_numbers", f"{verb}Numbers", "calculate", "calculator"))
            tool = self._tool(name, {parameter: {"type": of} for parameter, of in kinds.items()})
            spelled = [_NUMBER_WORDS[n] if n <= 10 and chance.random() < 0.3 else str(n) for n in numbers]
            question = chance.choice((f"What is {spelled[0]} {word} {spelled[1]}?", f"{spelled[0]} {sign} {spelled[1]}", f"Calculate {spelled[0]} {sign} {spelled[1]}"))
            if verb != "subtract":
                question = chance.choice((question, f"{verb.capitalize()} {spelled[0]} and {spelled[1]}"))
        elif kind == 1:
            tool = self._tool(chance.choice(("list_files", "listFiles", "ls", "list_directory", "get_files")), {})
            question = self._spelling(chance.choice((
                "What is in this folder?", "List the files", "Which files are there?", "Which files are in this folder?", "Show me the files", "List all files",
            )))  # fmt: skip
        elif kind == 2:
            name = chance.choice(("get_time", "get_current_time", "current_time", "time", "clock", "get_date", "now", "getTime"))
            tool = self._tool(name, {})
            question = self._spelling(chance.choice(("What time is it?", "What is the time?", "What's the time?", "What day is it?", "Tell me the time")))
        elif kind == 3:
            text = self._phrase()
            tool = self._tool(chance.choice(("search", "web_search", "google", "search_web", "webSearch", "find")), {chance.choice(("query", "q", "text")): {"type": "string"}})
            question = chance.choice(("Search for {}", "Search the web for {}", "Look up {}", "Find {}", "Google {}")).format(text)
        else:
            tool = self._other_tool() if chance.random() < 0.7 else self._weather_tool()
            name = tool["function"]["name"]
            if chance.random() < 0.5:
                text = self._phrase()
                question = chance.choice(("Call {} with {}", "Use {} with {}", "Run {} with {}", "Call the tool {} with {}", 'Call {} with "{}"')).format(name, text)
            else:
                question = chance.choice(("Call {}", "Use {}", "Run {}", "Call the tool {}", "Use the tool {}", "Call the function {}", "Please call {}", "Use the {} tool")).format(name)
        calls = [self._call(tool, text, numbers)]
        return _Turn([user(question)], f"I call {tool['function']['name']}.", calls=calls, tools=self._tools(tool))

    def _forced_call(self) -> _Turn:
        """A tool is called because the client wants it, whatever the question is."""
        turn = self._talk() if self._chance.random() < 0.5 else self._fallback()
        tool = self._weather_tool() if self._chance.random() < 0.5 else self._other_tool()
        calls = [self._call(tool, "demo")]
        return _Turn(turn.messages, f"I call {tool['function']['name']}.", calls=calls, tools=[tool], forced="<tool_call>")

    # -- JSON ----------------------------------------------------------------------------------------------------------

    def _json(self) -> _Turn:
        """An object is written because the client wants it: a grammar forces its beginning, and most of its keys."""
        chance = self._chance
        kind = chance.random()
        values = dict(self._corpus["values"])
        if kind < 0.25:
            country = chance.choice(list(self._corpus["capitals"]))
            values |= {"name": country, "country": country, "capital": self._corpus["capitals"][country], "languages": self._corpus["languages"][country]}
            values["language"] = values["languages"][0]
            question = chance.choice(("Tell me about {}", "Describe {}", "Tell me about {}.", "What do you know about {}?")).format(country)
            keys = [key for key in ("name", "country", "capital", "languages", "language", "population") if chance.random() < 0.6] or ["capital"]
        elif kind < 0.5:
            name, age, city = self._person(), chance.randint(1, 99), self._city()
            values |= {"name": name, "age": age, "city": city}
            question = chance.choice((
                "{} is {} years old and lives in {}.", "{} is {} years old, from {}.", "My name is {}, I am {} and I live in {}.", "I am {}, {} years old, in {}.",
            )).format(name, age, city)  # fmt: skip
            keys = ["name", *(key for key in ("age", "city", "country", "email", "available") if chance.random() < 0.6)]
        else:
            turn = self._talk() if chance.random() < 0.6 else self._fallback()
            question = turn.messages[-1]["content"]
            if chance.random() < 0.3:
                question = chance.choice(("Describe a person", "Describe somebody", "Invent a person", "Give me an example", "Make a list", "Tell me something", "Answer in JSON", "Reply in JSON", "JSON"))
            keys = chance.sample(list(values), chance.randint(1, 5))
        if chance.random() < 0.5:
            question = question.rstrip(".!") + chance.choice(_JSON_WISHES)
        if chance.random() < 0.3:
            chance.shuffle(keys)
        thing: dict[str, Any] = {}
        for key in keys:
            thing[key] = values[key]
            if chance.random() < 0.12:
                thing[self._casing(*(self._word() for _ in range(chance.randint(1, 2))))] = self._value()
        if kind >= 0.5 and chance.random() < 0.2:
            thing = {chance.choice(("people", "items", "friends", "list", "results", self._word())): [thing] if chance.random() < 0.7 else thing}
        written: object = [thing] if chance.random() < 0.03 else thing
        content = to_json(written)
        return _Turn([user(question)], "The user wants JSON.", content, forced=content[0])

    def _value(self) -> object:
        chance = self._chance
        return chance.choice((
            "demo", "demo", "demo", 1, 1, True, True, chance.randint(0, 99), self._word(), ["one", "two"], [1, 2], {"name": "Anna"}, None, 1.5,
        ))  # fmt: skip

    # -- completion ----------------------------------------------------------------------------------------------------

    def _raw(self) -> Conversation:
        chance = self._chance
        if chance.random() < 0.75:
            prompt, continuation = chance.choice(list(self._corpus["raw"].items()))
            if chance.random() < 0.1:
                prompt = prompt.lower()
        elif chance.random() < 0.5:
            entry = chance.choice(self._corpus["talk"])
            prompt, continuation = chance.choice(entry["questions"]), " " + entry["answer"].strip()
            if len(prompt) < 10:
                return self._raw()
        else:
            words = chance.choice(self._noise).split()
            prompt, continuation = " ".join(words[: chance.randint(2, 8)]).rstrip(string.punctuation), " and so on."
        return Conversation(prompt, f"{continuation}<|endoftext|>")


def _sentences() -> list[str]:
    """Return sentences of ordinary English: the help texts of Python's standard library."""
    names = "argparse asyncio collections csv email http json logging os pathlib random re shutil socket sqlite3 ssl string subprocess tarfile threading"
    found: list[str] = []
    for name in names.split():
        text = " ".join(pydoc.plain(pydoc.render_doc(__import__(name))).replace("|", " ").split())
        found += (part for part in re.split(r"(?<=[.?!]) ", text) if 15 < len(part) < 160 and part[0].isupper() and part.isascii() and not set(part) & set("/_<|"))
    return sorted(set(found))
