"""The program: one command, one exit code, every error in one sentence."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import typer

from histo.cli.app import app
from histo.cli.usage import UsageError
from histo.errors import HistoError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the program with its exit code.

    Every error is one line on stderr, ``histo: error: ...``; with ``HISTO_DEBUG=1`` in the
    environment, errors end in a traceback.

    Parameters
    ----------
    arguments : sequence of str, optional
        The program's own by default.

    Raises
    ------
    SystemExit
        Always; its code is 0, 1 (some slides failed), 2 (cannot start as given) or 130
        (interrupted).

    Examples
    --------
    >>> main(["--version"])
    Traceback (most recent call last):
    ...
    SystemExit: 0
    """
    # tifffile logs what it dislikes in a file; what matters is said in one sentence of ours.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if os.environ.get("HISTO_DEBUG", "") not in {"", "0"}:
        sys.exit(app(args=given, prog_name="histo", standalone_mode=False))
    try:
        code = app(args=given, prog_name="histo", standalone_mode=False)
    except UsageError as error:
        code = _fail(str(error), 2)
    except HistoError as error:
        code = _fail(str(error), 1)
    except typer.TyperException as error:
        code = _fail(f"{error.format_message()} (histo --help tells more)", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone (histo ... | head): nothing more to say, and
        # the interpreter must not try to flush at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        code = _fail(f"{error.filename or 'the disk'}: {error.strerror or error}", 1)
    if code == 130:
        _fail("interrupted; what is finished is kept, and the same command goes on from there", 130)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    typer.echo(f"histo: error: {message}", err=True)
    return code
