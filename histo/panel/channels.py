"""Which of a slide's channels a panel means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from histo.errors import PanelError

__all__ = ["match_channels"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...
    @property
    def index(self) -> int | None: ...


def match_channels(
    panel_name: str, channels: Sequence[_Named], slide_channels: Sequence[str]
) -> tuple[int, ...]:
    """Find each of a panel's channels among a slide's.

    A name that is the same but for case and punctuation comes first; then one that
    holds the name as whole words. A slide of one channel fits a panel of one channel
    whatever its name.

    Parameters
    ----------
    panel_name : str
        For messages.
    channels : sequence of Channel
    slide_channels : sequence of str

    Returns
    -------
    tuple of int

    Raises
    ------
    PanelError
        If a channel is not there, or more than one could be meant.

    Examples
    --------
    >>> from histo.panel.definition import Channel
    >>> match_channels("x", [Channel(name="foxp3")], ["DAPI", "FoxP3 (Opal 570)"])
    (1,)
    """
    there = ", ".join(f"{k}: {name}" for k, name in enumerate(slide_channels)) or "none"
    found: list[int] = []
    for channel in channels:
        if channel.index is not None:
            if channel.index >= len(slide_channels):
                raise PanelError(
                    f"Panel {panel_name} wants channel {channel.index} as {channel.name}, but the "
                    f"slide's channels are {there}."
                )
            found.append(channel.index)
            continue
        hits = _hits(channel, slide_channels)
        if not hits and len(channels) == len(slide_channels) == 1:
            hits = [0]
        if len(hits) != 1:
            problem = "more than one channel that could be" if hits else "no channel that could be"
            names = ", ".join((channel.name, *channel.aliases))
            raise PanelError(
                f"The slide has {problem} {channel.name} (known as {names}); its channels are "
                f"{there}. Add the right name to aliases, or its index, in a panel file."
            )
        found.append(hits[0])
    if len(set(found)) < len(found):
        raise PanelError(
            f"Panel {panel_name} takes one channel of the slide for two of its own "
            f"({', '.join(c.name for c in channels)}); the slide's channels are {there}. "
            "Give each an index in a panel file."
        )
    return tuple(found)


def _hits(channel: _Named, slide_channels: Sequence[str]) -> list[int]:
    wanted = [_words(alias) for alias in (channel.name, *channel.aliases)]
    have = [_words(name) for name in slide_channels]
    joined = {"".join(words) for words in wanted}
    same = [k for k, words in enumerate(have) if "".join(words) in joined]
    if same:
        return same
    return [k for k, words in enumerate(have) if any(_holds(words, part) for part in wanted)]


def _words(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z0-9]+", name.lower()))


def _holds(words: tuple[str, ...], part: tuple[str, ...]) -> bool:
    length = len(part)
    return length > 0 and any(words[k : k + length] == part for k in range(len(words) - length + 1))
