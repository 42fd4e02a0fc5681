"""One command, from its words to an exit status: what is wrong with a configuration is told in plain lines.

What a command does is not decided here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from engine.cli.arguments import parser
from engine.cli.text import complain, nobody_reads
from engine.errors import ConfigError

EXIT_MISUSE = 2


def run(words: Sequence[str] | None, serve: Callable[[argparse.Namespace], int]) -> int:
    """Returns the exit status. :param words: None for those of this process. :param serve: for no command."""
    args = parser(serve).parse_args(words)
    try:
        return int(args.run(args))
    except ConfigError as error:
        for line in str(error).splitlines():
            complain(f"engine: {line}")
        return EXIT_MISUSE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        if not nobody_reads():
            raise
        return 141
