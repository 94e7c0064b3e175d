"""Ids that are unique among those of one conversation or answer, and the same for the same history."""

from __future__ import annotations


class UniqueIds:
    """Tells calls of one id apart with a number behind it, in linear time however many have that id."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        # How often each id was asked for.
        self._times: dict[str, int] = {}

    def __len__(self) -> int:
        """How many ids were taken."""
        return len(self._times)

    def take(self, wanted: str) -> str:
        """Return the id, or if it was taken before, `id_1`, `id_2` and so on."""
        unique = wanted
        times = self._times.get(wanted, 0)
        while unique in self._times:
            times += 1
            unique = f"{wanted}_{times}"
        self._times[unique] = 0
        self._times[wanted] = times
        return unique
