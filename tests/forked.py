"""Work in child processes that tests kill. They are forked from a process that has imported everything: one costs its work."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable

#: Seconds after which a child that hangs says where and ends. It is without the threads of its parent, and might wait for one.
PATIENCE = 300


def child(work: Callable[[], None]) -> int:
    """Do the work in a child process, and return its id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        # Qiskit's threads, too, have stayed with the parent, and where it has used them a child would wait for them.
        os.environ["QISKIT_IN_PARALLEL"] = "TRUE"
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> bool:
    """Wait for a child; whether it came to its end."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True
