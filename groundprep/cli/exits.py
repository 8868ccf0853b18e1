"""How a verb ends: the one map from exception to exit code, and the one line that says why."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

from groundprep.cli.options import Globals, OutputFormat
from groundprep.errors import ExitCode, GroundprepError, shown, visible


def report_error(error: GroundprepError, options: Globals) -> int:
    """Print one clear line (and JSON, if asked for) and return the exit code."""
    print(f"error[{error.code}] {visible(str(error))}", file=sys.stderr)
    if options.format is OutputFormat.JSON:
        print(json.dumps({"error": error.code} | error.as_dict()))
    if options.debug:
        traceback.print_exception(error, file=sys.stderr)
    return int(error.exit_code)


def run_verb(function: Callable[..., Any], options: Globals, arguments: dict[str, Any]) -> None:
    """Run a verb and exit with its code. Here, and only here, exceptions become exit codes."""
    import signal
    import warnings

    import typer

    def terminate(_signal: int, _frame: object) -> None:
        raise SystemExit(int(ExitCode.TERMINATED))

    signal.signal(signal.SIGTERM, terminate)
    if not options.debug:  # Pillow's remarks name no row; what is wrong with an image is told by our own findings
        warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        code = function(**arguments, options=options)
    except GroundprepError as error:
        code = report_error(error, options)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume", file=sys.stderr)
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.OK
    except Exception as error:  # noqa: BLE001 (the one broad except: a bug of ours, told in one line)
        code = report_internal_error(error, options)
    raise typer.Exit(int(code or 0))


def report_internal_error(error: Exception, options: Globals) -> int:
    """Write the trace to a file and print one line."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="groundprep-trace-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
    what = f"{type(error).__name__}: {shown(str(error))}"
    print(f"error[internal] {what}; this is a bug in groundprep; the trace is in {file.name}", file=sys.stderr)
    if options.debug:
        traceback.print_exception(error, file=sys.stderr)
    return int(ExitCode.INTERNAL)
