"""The command line. Nothing here imports torch: each command does so inside its body."""

from importlib import import_module
from typing import Any

import rich_click as click

from gazegan import __version__
from gazegan.errors import UserError

COMMANDS = {
    "demo": "gazegan.cli.demo:demo",
    "render": "gazegan.cli.render:render",
    "import": "gazegan.cli.imports:import_",
    "train": "gazegan.cli.train:train",
    "refine": "gazegan.cli.refine:refine",
    "evaluate": "gazegan.cli.evaluate:evaluate",
    "explain": "gazegan.cli.explain:explain",
    "attack": "gazegan.cli.attack:attack",
    "export": "gazegan.cli.export:export",
}
"""Command name -> `module:function`, in the order of the road."""


class _OneLine(click.ClickException):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]


class _Road(click.RichGroup):
    """A group that imports a command only when it is asked for, and shows faults in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), function)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as fault:
            raise _OneLine(str(fault), fault.exit_code) from None
        except KeyboardInterrupt:
            raise _OneLine("interrupted; repeat the command to resume", 130) from None


@click.group(cls=_Road, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gazegan")
def main() -> None:
    """Labelled synthetic eyes: render, refine with a GAN, train gaze, explain, attack, export.

    The road, each stop a command; `gazegan demo` walks all of it in minutes.
    """
