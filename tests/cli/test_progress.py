"""What is seen while a run is sampled."""

import os
import sys
from types import SimpleNamespace

from collapsecli.cli.progress import ProgressDisplay


def test_what_libraries_print_is_not_caught_by_the_bar_on_a_terminal():
    """It belongs to the log: rich would take it out of the way and show it on the screen."""
    leader, follower = os.openpty()
    before = sys.stdout, sys.stderr
    with (
        os.fdopen(follower, "w", encoding="utf-8") as people,
        ProgressDisplay(people, SimpleNamespace(received=None), quiet=False) as display,
    ):
        display.starting("vllm", "demo-base", "log.txt")
        assert (sys.stdout, sys.stderr) == before
        sys.stderr.write("INFO a library speaks\n")
        display.noticed("this is for people")
    shown = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert "this is for people" in shown
    assert "a library speaks" not in shown
