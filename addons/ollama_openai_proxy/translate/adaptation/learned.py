"""Remembers for each model, and for each kind of call, how calls are made so that its server takes them.

What is learned holds for an hour: then a call is made as at first, and learns anew if the server still refuses it. Only what a
following call has confirmed is remembered for the calls of others: `Attempts` keeps the lessons of one call until then.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .changes import Call
from .limit_rules import too_long
from .quotations import without_quotations
from .refusal_text import RefusalText
from .rules import findings, lacks

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from .changes import Change
    from .limit_rules import TooLong

type Clock = Callable[[], float]

LIFETIME = 3600.0
"""Seconds after which a lesson is forgotten."""
MOST_MODELS = 1000
"""Models, each with its kind of call, of which lessons are kept."""
MOST_LESSONS = 100
"""Lessons that are kept for one model."""
MOST_ATTEMPTS = 8
"""How often one call is made, at most: once for each kind of change, and as it was."""


class Learned:
    """What has been learned of one model and one kind of call.

    Args:
        clock: the time in seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lessons: OrderedDict[Hashable, tuple[Change, float]] = OrderedDict()
        self._lacks: dict[str, float] = {}
        self._does: dict[str, float] = {}

    @property
    def changes(self) -> list[Change]:
        """The changes that hold now."""
        if not self._lessons:
            return []
        now = self._clock()
        for key in [key for key, (_, since) in self._lessons.items() if now - since >= LIFETIME]:
            del self._lessons[key]
        return [change for change, _ in self._lessons.values()]

    @property
    def lacks(self) -> frozenset[str]:
        """The capabilities that the server has denied the model."""
        now = self._clock()
        return frozenset(capability for capability, since in self._lacks.items() if now - since < LIFETIME)

    @property
    def does(self) -> frozenset[str]:
        """The capabilities that the model has shown."""
        now = self._clock()
        return frozenset(capability for capability, since in self._does.items() if now - since < LIFETIME)

    def remember(self, changes: Sequence[Change]) -> None:
        """Remember changes, joined with those of the same key."""
        if not changes:
            return
        now = self._clock()
        known = {change.key: change for change in self.changes}
        for change in changes:
            joined = known[change.key].merged(change) if change.key in known else change
            self._lessons[change.key] = (joined, now)
            self._lessons.move_to_end(change.key)
        while len(self._lessons) > MOST_LESSONS:
            self._lessons.popitem(last=False)

    def deny(self, capabilities: Iterable[str]) -> None:
        """Remember that the model lacks something."""
        now = self._clock()
        self._lacks.update(dict.fromkeys(capabilities, now))

    def grant(self, capability: str) -> None:
        """Remember that the model can do something."""
        self._does[capability] = self._clock()


class LearnedByModel:
    """What has been learned of all models of a server.

    Args:
        clock: the time in seconds.
        enabled: whether anything is learned at all.

    Attributes:
        enabled: whether anything is learned at all.
    """

    def __init__(self, clock: Clock, *, enabled: bool = True) -> None:
        self._clock = clock
        self.enabled = enabled
        self._models: OrderedDict[tuple[str, str], Learned] = OrderedDict()

    def of(self, model: str, kind: str) -> Learned:
        """What has been learned of a model; `kind` is as `kind_of` gives it."""
        learned = self._models.pop((model, kind), None) or Learned(self._clock)
        self._models[(model, kind)] = learned
        if len(self._models) > MOST_MODELS:
            self._models.popitem(last=False)
        return learned

    def lacks(self, model: str) -> frozenset[str]:
        """The capabilities that the server has denied a model in chats and in completions of text."""
        known = (self._models.get((model, kind)) for kind in ("chat", "completion"))
        return frozenset(capability for learned in known if learned for capability in learned.lacks)

    def does(self, model: str) -> frozenset[str]:
        """The capabilities that a model has shown, of those that a server may not tell of: `embedding`."""
        learned = self._models.get((model, "embedding"))
        return learned.does if learned else frozenset()

    def attempts(
        self,
        parameters: Mapping[str, Any],
        excluding: tuple[type[Change], ...] = (),
        beginning: Iterable[Change] = (),
    ) -> Attempts:
        """The attempts to make one call, without the changes of some classes, and with others from the beginning."""
        learned = self.of(str(parameters.get("model")), kind_of(parameters))
        return Attempts(learned, parameters, enabled=self.enabled, excluding=excluding, beginning=beginning)


class Lesson(NamedTuple):
    """What one refusal has taught.

    Attributes:
        again: whether the call is to be made again.
        changes: those that are new to the call.
        too_long: the limit that the conversation exceeds; None where it does not.
    """

    again: bool
    changes: tuple[Change, ...]
    too_long: TooLong | None = None


class Attempts:
    """The attempts to make one call, each with what the one before has taught.

    The contract: send `call`; after an answer say `confirm`; after a refusal ask `learn`, and send `call` again if it says so.

    Args:
        learned: what is known of the model.
        parameters: the call as it is made where nothing is known.
        enabled: whether to learn.
        excluding: the classes of changes that may not be made.
        beginning: changes that are made from the beginning, for this call alone.

    Attributes:
        call: what is to be sent.
    """

    def __init__(
        self,
        learned: Learned,
        parameters: Mapping[str, Any],
        *,
        enabled: bool = True,
        excluding: tuple[type[Change], ...] = (),
        beginning: Iterable[Change] = (),
    ) -> None:
        self._learned = learned
        self._parameters = dict(parameters)
        self._enabled = enabled
        self._excluding = excluding
        self._beginning = tuple(beginning)
        self._here: dict[Hashable, Change] = {change.key: change for change in self._beginning}
        self._unconfirmed: list[Change] = []
        self._count = 1
        self._text = ""
        self.call = self._changed() if enabled else self._unlearned()

    def confirm(self) -> None:
        """Remember for further calls what this call has learned: the server has taken it, or has refused something else."""
        self._learned.remember(self._unconfirmed)
        self._unconfirmed = []

    def learn(self, status: int, text: str, param: str | None) -> Lesson:
        """Learn from a refusal of `call`."""
        refusal = RefusalText.of(status, text, param)
        exceeded = _exceeded(refusal, self.call.parameters)
        if not self._enabled or self._count >= MOST_ATTEMPTS:
            return Lesson(again=False, changes=(), too_long=exceeded)
        if refusal.text != self._text:
            self.confirm()
        self._text = refusal.text
        # Another call may have learned from its refusal in the meantime.
        changed = self._changed()
        new: list[Change] = []
        if changed == self.call:
            found = findings(refusal, self.call.parameters)
            # The server may be quoting the client's own words; what is read only from these is for this call alone.
            own = without_quotations(refusal, self.call.parameters) if found else refusal
            certain = {change.key: change for change, _ in findings(own, self.call.parameters)} if found else {}
            for change, evidence in found:
                if isinstance(change, self._excluding):
                    continue
                quoted = bool(evidence) and certain.get(change.key) != change
                if change.kind == "split":
                    # One call cannot become several here: who makes the calls reads the limit from what was learned.
                    self._learned.remember([] if quoted else [change])
                new.append(change)
                known = self._here.get(change.key)
                self._here[change.key] = known.merged(change) if known else change
                if not quoted:
                    self._unconfirmed.append(change)
            changed = self._changed()
        if changed == self.call and not new:
            self._learned.deny(lacks(without_quotations(refusal, self.call.parameters), self.call.parameters))
        if changed == self.call:
            split = tuple(change for change in new if change.kind == "split")
            return Lesson(again=False, changes=split, too_long=exceeded)
        self._count += 1
        self.call = changed
        return Lesson(again=True, changes=tuple(new), too_long=exceeded)

    def _unlearned(self) -> Call:
        """The call with nothing but the changes that it began with."""
        call = Call(self._parameters)
        for change in self._beginning:
            call = change.apply(call)
        return call

    def _changed(self) -> Call:
        """The call with all changes that are known of its model or that it has learned itself."""
        changes = {change.key: change for change in self._learned.changes}
        if not changes and not self._here:
            return Call(self._parameters)
        for key, change in self._here.items():
            changes[key] = changes[key].merged(change) if key in changes else change
        changes = {key: change for key, change in changes.items() if not isinstance(change, self._excluding)}
        call = Call(self._parameters)
        for change in sorted(changes.values(), key=lambda change: change.order):
            call = change.apply(call)
        return call


class Missing:
    """Paths that a server turned out not to have. Each is tried again after an hour.

    Args:
        clock: the time in seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def __contains__(self, path: object) -> bool:
        since = self._since.get(path) if isinstance(path, str) else None
        return since is not None and self._clock() - since < LIFETIME

    def add(self, path: str) -> None:
        """Remember that a path is missing."""
        self._since[path] = self._clock()


def _exceeded(refusal: RefusalText, sent: Mapping[str, Any]) -> TooLong | None:
    """The limit that the conversation exceeds, by the words of a refusal."""
    exceeded = too_long(refusal, sent)
    if exceeded is None:
        return None
    return replace(exceeded, quoted=too_long(without_quotations(refusal, sent), sent) != exceeded)


def kind_of(parameters: Mapping[str, Any]) -> str:
    """The kind of a call: "chat", "completion" or "embedding"."""
    return "embedding" if "input" in parameters else "completion" if "prompt" in parameters else "chat"
