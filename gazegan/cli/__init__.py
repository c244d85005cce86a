"""The command line. Nothing here imports torch: each command does so inside its body."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import rich_click as click

from gazegan import __version__
from gazegan.errors import UserError

COMMANDS = {
    "demo": "gazegan.cli.demo:demo",
    "render": "gazegan.cli.render:render",
    "import": "gazegan.cli.imports:import_",
    "fit": "gazegan.cli.fit:fit",
    "train": "gazegan.cli.train:train",
    "refine": "gazegan.cli.refine:refine",
    "evaluate": "gazegan.cli.evaluate:evaluate",
    "predict": "gazegan.cli.predict:predict",
    "compare": "gazegan.cli.compare:compare",
    "embed": "gazegan.cli.embed:embed",
    "calibrate": "gazegan.cli.calibrate:calibrate",
    "explain": "gazegan.cli.explain:explain",
    "attack": "gazegan.cli.attack:attack",
    "attack-scenes": "gazegan.cli.attack_scenes:attack_scenes",
    "inspect": "gazegan.cli.inspect:inspect",
    "report": "gazegan.cli.report:report",
    "export": "gazegan.cli.export:export",
}
"""Command name -> `module:function`, in the order of the road."""


click.rich_click.TEXT_PARAGRAPH_LINEBREAKS = "\n\n"  # Keep the blank lines of help texts.


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

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run the command line; faults end it with one line, drawn boxes would wrap paths."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        try:
            code = super().main(args, standalone_mode=False, **extra)
        except UserError as fault:
            _end(str(fault), fault.exit_code)
        except click.UsageError as fault:
            where = fault.ctx.command_path if fault.ctx else "gazegan"
            message = fault.format_message().rstrip(".")
            _end(f"{message}. See '{where} --help'.", fault.exit_code)
        except click.ClickException as fault:
            _end(fault.format_message(), fault.exit_code)
        except OSError as fault:  # such as a name that is too long to be asked for
            _end(f"{fault.filename}: {fault.strerror}" if fault.filename else str(fault), 1)
        except click.Abort:
            _end("interrupted; repeat the command to resume", 130)
        sys.exit(code if isinstance(code, int) else 0)


def _end(message: str, exit_code: int) -> NoReturn:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)


@click.group(cls=_Road, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gazegan")
def main() -> None:
    """Labelled synthetic eyes: render, refine with a GAN, train gaze, explain, attack, export.

    The road, each stop a command; `gazegan demo` walks all of it in minutes.
    """
