"""Run a command as the terminal's foreground job, so that Ctrl-C reaches it and not the `make` that started it.

Used by `make run` only. Without this make dies of the interrupt by itself and reports an error, though the daemon below
it stopped in good order. Without a terminal the command simply takes this process's place.
"""

import os
import signal
import sys


def main(command: list[str]) -> int:
    """Run `command` and return its exit code (128 + signal when it was killed by one)."""
    if not sys.stdin.isatty():
        os.execvp(command[0], command)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # we hand the terminal over and take it back from the background
    own_group = os.getpgrp()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        os.tcsetpgrp(sys.stdin.fileno(), own_group)
        if not os.WIFSTOPPED(status):
            break
        os.killpg(own_group, signal.SIGTSTP)  # Ctrl-Z: make stops too, the shell takes over until `fg`
        os.tcsetpgrp(sys.stdin.fileno(), child)
        os.killpg(child, signal.SIGCONT)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
