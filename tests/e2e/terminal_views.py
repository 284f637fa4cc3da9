# SPDX-License-Identifier: MIT
"""What terminal_views.sh asks of `ovc follow` and `ovc check --watch` in a terminal; the argument is the folder to work in."""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["OVC_SOURCE"], "tests/fixtures"))
from terminal import Terminal

BUILD = os.environ["OVC_BUILD"]
OVC = os.path.join(BUILD, "ovc")
logs = 0


class Forker:
    """tests/programs/forker under the shim; its second fork and each second after it is refused."""

    def __init__(self):
        global logs
        logs += 1
        self.log = os.path.join(sys.argv[1], f"{logs}.ovc")
        variables = os.environ | {"LD_PRELOAD": os.path.join(BUILD, "libovcshim.so"), "OVCSHIM_LOG": self.log,
                                  "OVCSHIM_INJECT": "fork:error=ENOMEM:when=2+2"}
        self.process = subprocess.Popen([os.path.join(BUILD, "programs/forker"), "ac=1024"], env=variables, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.stdin.write("end\n")
            self.process.stdin.flush()
        self.process.wait(60)


def follow(forker, **more):
    columns = more.pop("columns", 80)
    interval = more.pop("interval", "0.1")
    return Terminal([OVC, "follow", "--interval", interval, forker.log], columns=columns, **more)


def count(text, what):
    return len(re.findall(what, text))


def test_the_block_stays_below_the_lines():
    with Forker() as forker:
        terminal = follow(forker)
        terminal.until(lambda text: "forks 0, refused 0, lost 0" in text)
        assert not terminal.screen.cursor_shown
        assert forker.tell("fork") == "passed"
        assert forker.tell("fork") == "refused ENOMEM"
        terminal.until(lambda text: "forks 1, refused 1, lost 0" in text and "fork refused with ENOMEM" in text)
        text = terminal.screen.text()
        assert count(text, "Committed_AS .*of [0-9,]+ kB, [0-9]+ %") == 1, text
        assert re.search(r"^\d\d:\d\d:\d\d  1 process: forker \d+$", text, re.M), text
        assert text.index("fork refused") < text.index("  1 process"), text
        assert "31" in terminal.screen.colours
        status = terminal.interrupt()
        text = terminal.screen.text()
        assert status == 1, status
        assert terminal.screen.cursor_shown
        assert "process: forker" not in text and "fork refused with ENOMEM" in text, text
        assert re.search(r"^followed for [0-9.]+ m?s; in the log: forks 1, refused 1, lost 0$", text, re.M), text


def test_the_key():
    with Forker() as forker:
        terminal = follow(forker, interval="3600")  # nothing is on its way when the key is pressed
        terminal.until(lambda text: "refused 0" in text and terminal.raw.endswith("\r"))
        terminal.press("\x03")
        assert terminal.end() == 0
        assert terminal.screen.cursor_shown
        text = terminal.screen.text()
        assert "Committed_AS" not in text and "^C" not in text and "followed for " in text, text


def test_the_end_of_the_log_ends_it():
    with Forker() as forker:
        terminal = follow(forker)
        terminal.until(lambda text: "1 process" in text)
    assert terminal.end() == 0
    assert terminal.screen.cursor_shown and "followed for " in terminal.screen.text()


def test_narrow_windows():
    with Forker() as forker:
        forker.tell("fork")
        forker.tell("fork")
        for columns in (79, 40, 21, 9, 8):
            terminal = follow(forker, columns=columns)
            terminal.until(lambda text: "fork" in text and "Commit" in text)
            assert terminal.interrupt() == 1
            joined = re.sub(r"\s+", "", terminal.screen.text())
            assert "forkrefusedwithENOMEM" in joined and "refused1" in joined, terminal.screen.text()


def test_a_window_that_changes():
    with Forker() as forker:
        terminal = follow(forker, columns=120)
        terminal.until(lambda text: "refused 0" in text)
        for columns in (60, 30, 100):
            before = len(terminal.raw)
            terminal.resize(24, columns)
            terminal.until(lambda text: "\x1b[J" in terminal.raw[before:] and "refused" in terminal.raw[before:].rsplit("\x1b[J", 1)[1])
            terminal.screen.errors.clear()  # what was on its way when the window changed
            before = len(terminal.raw)
            terminal.until(lambda text: terminal.raw[before:].count("\x1b[J") > 1)
            assert not terminal.screen.errors, terminal.screen.errors
        assert terminal.interrupt() == 0


def test_a_stop_gives_the_cursor_back():
    with Forker() as forker:
        terminal = follow(forker)
        terminal.until(lambda text: "refused 0" in text)
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.until(lambda text: terminal.screen.cursor_shown)
        assert "refused 0" not in terminal.screen.text()
        os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED | os.WNOWAIT)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(lambda text: "refused 0" in text and not terminal.screen.cursor_shown)
        assert terminal.interrupt() == 0


def test_colours_can_be_had_without():
    with Forker() as forker:
        forker.tell("fork")
        forker.tell("fork")
        terminal = follow(forker, NO_COLOR="1")
        terminal.until(lambda text: "fork refused" in text and "refused 1" in text)
        assert terminal.interrupt() == 1
        assert not terminal.screen.colours and "\x1b[" in terminal.raw
        for variables in ({"TERM": "dumb"}, {"TERM": ""}):
            terminal = follow(forker, columns=500, **variables)
            terminal.until(lambda text: "fork refused" in text)
            assert terminal.interrupt() == 1
            assert "\x1b" not in terminal.raw, terminal.raw
        terminal = Terminal([OVC, "follow", "--interval", "0.1", "--json", forker.log], columns=10000)
        terminal.until(lambda text: '"refused"' in text)
        assert terminal.interrupt() == 1
        assert "\x1b" not in terminal.raw, terminal.raw


def check(forker, *more, **terminal):
    return Terminal([OVC, "check", str(forker.process.pid), "--watch", "0.1", *more], **terminal)


def test_check_in_place():
    with Forker() as forker:
        terminal = check(forker, columns=300, rows=40)  # its lines are long where groups are not visible
        rounds = 5
        terminal.until(lambda text: terminal.raw.count("would pass now") >= rounds and "read  " in text)
        assert count(terminal.screen.text(), "would pass now") == 1, terminal.screen.text()
        assert not terminal.screen.cursor_shown
        status = terminal.interrupt()
        assert status == 0 and terminal.screen.cursor_shown
        assert count(terminal.screen.text(), "would pass now") == 1 and re.search("^  read ", terminal.screen.text(), re.M)


def test_check_in_a_small_window():
    with Forker() as forker:
        terminal = check(forker, columns=30, rows=5)
        terminal.until(lambda text: terminal.raw.count("a fork of forker") > 3)
        assert len(terminal.screen.lines) <= 5, terminal.screen.text()
        assert not terminal.screen.errors, terminal.screen.errors
        terminal.screen.columns = 1000  # the last one is left there whole
        assert terminal.interrupt() == 0
        assert re.search("^  read ", terminal.screen.text(), re.M)


def test_check_for_programs_stays_plain():
    with Forker() as forker:
        for option in ("--json", "--openmetrics"):
            terminal = check(forker, option, columns=60000)
            terminal.until(lambda text: len(terminal.raw) > 100)
            terminal.interrupt()
            assert "\x1b" not in terminal.raw, terminal.raw


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            print(name[5:].replace("_", " "), flush=True)
            test()


main()
