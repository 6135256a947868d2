"""The program at a pseudo-terminal, with somebody who answers."""
import os
import pty
import select
import time

from support.party import PROGRAM

PATIENCE = 60  # seconds


class Dialogue:
    """One run of the program with a terminal of its own."""

    def __init__(self, arguments, env, json_report=False):
        self.said = ""
        self._read = 0  # how much of it was expected already
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execve(PROGRAM, [PROGRAM, *map(str, arguments)], env)
        self.exit = None

    def _more(self, deadline):
        ready, _, _ = select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"nothing more was said within {PATIENCE} s:\n{self.said}")
        try:
            piece = os.read(self._terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            piece = b""
        self.said += piece.decode(errors="replace").replace("\r\n", "\n")
        return bool(piece)

    def expect(self, text):
        """Waits until `text` is said; returns what was said since the last time."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.said[self._read:]:
            if not self._more(deadline):
                raise AssertionError(f"the program ended without saying {text!r}:\n{self.said}")
        begin, self._read = self._read, self.said.index(text, self._read) + len(text)
        return self.said[begin:self._read]

    def type(self, keys):
        os.write(self._terminal, keys.encode())

    def answer(self, question, line=""):
        """Waits for `question` and types a line."""
        said = self.expect(question)
        self.expect(": ")
        self.type(line + "\n")
        return said

    def end(self):
        """Waits for the end; returns the exit status, or minus the signal."""
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        self.close()
        return self.exit

    def close(self):
        if self.exit is None:
            os.close(self._terminal)
            _, status = os.waitpid(self._pid, 0)
            self.exit = os.waitstatus_to_exitcode(status)
