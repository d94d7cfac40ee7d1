"""Commands and groups whose help says of every option what it needs, and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from histoseed.cli.options import OUTPUT

__all__ = ["Command", "Commands", "Group"]


def _tidied(params: list[Any]) -> list[Any]:
    """Parameters as the help lists them.

    Flags take no value, so none is named. What is written stands last; ``--help`` stands there, too, where every other
    option has a title to stand under.
    """
    options = [one for one in params if one.param_type_name == "option"]
    for one in options:
        if one.is_flag and one.metavar is None:
            one.metavar = ""
    titles = [one.rich_help_panel for one in options[:-1] if not one.hidden]
    if OUTPUT in titles and all(titles):
        options[-1].rich_help_panel = OUTPUT
    options.sort(key=lambda one: getattr(one, "rich_help_panel", None) == OUTPUT)
    return [*(one for one in params if one.param_type_name != "option"), *options]


class Command(TyperCommand):
    """A command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, ``--help`` last."""
        return _tidied(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, ``--help`` last."""
        return _tidied(super().get_params(ctx))


class Commands(typer.Typer):
    """A :class:`typer.Typer` of such commands and groups."""

    def __init__(self, **options: Any) -> None:
        usual: dict[str, Any] = {"cls": Group, "rich_markup_mode": "rich", "no_args_is_help": True}
        super().__init__(**(usual | options))

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """As of :class:`typer.Typer`."""
        usual: dict[str, Any] = {"cls": Command}
        return super().command(name, **(usual | options))
