"""However a command ends, its status is the documented one, and what is to be said is one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnngraph.cli import app
from rnngraph.errors import InputError
from tests import programs
from tests.reliability.commands import COMMAND, ENVIRONMENT, complaint, run, run_here, run_in_full, sentences

SMALL = ("--hidden-size", "2", "--batch", "1", "--timesteps", "3")
REPORTS = {
    "norms": ("norms", "--timesteps", "300", "--hidden-size", "2", "--steps", "all"),
    "norms as JSON": ("norms", "--json", "--timesteps", "300", "--hidden-size", "2"),
    "lags": ("lags", *SMALL),
    "diagnose": ("diagnose", *SMALL),
    "check": ("check", *SMALL),
    "render": ("render", *SMALL, "-o", "-"),
    "trace": ("trace", *SMALL, "-o", "-"),
    "help": ("--help",),
    "help of a command": ("lags", "--help"),
}
FUNCTION = """
from rnngraph import Tape, nn
import numpy as np
def loss():
    tape = Tape()
    return nn.RNN(3, 4, seed=0)(tape.input(np.ones((2, 5, 3)), "x")).sum()
"""
FAILING = {
    "a BaseException": ("class Stop(BaseException): pass\n", "raise Stop('enough')", 2, "raised Stop: enough."),
    "an exit": ("", "raise SystemExit(0)", 2, "raised SystemExit: 0."),
    "an exception that cannot be printed": (
        "class Mute(Exception):\n    def __str__(self):\n        raise OSError('no')\n",
        "raise Mute",
        2,
        "raised Mute.",
    ),
    "a broken pipe of its own": ("", "raise BrokenPipeError", 2, "raised BrokenPipeError."),
    "one of ours that cannot be printed": (
        "import rnngraph\nclass Mute(rnngraph.RnnGraphError):\n    def __str__(self):\n        raise OSError\n",
        "raise Mute",
        2,
        "Mute",
    ),
    "a NUL in its file": ("\0", "pass", 2, "raised SyntaxError: source code string cannot contain null bytes."),
    "three lines": ("", r"raise ValueError('a\nb\nc')", 2, "raised ValueError: a b c."),
}


def write(folder: Path, head: str, body: str) -> None:
    (folder / "t.py").write_text(f"{head}{FUNCTION}\ndef f():\n    {body}\n")


@pytest.mark.parametrize("case", FAILING)
def test_a_users_function_that_fails(tmp_path: Path, case: str) -> None:
    head, body, status, ending = FAILING[case]
    write(tmp_path, head, body)
    said = run(tmp_path, "norms", "t.py:f")
    assert said.status == status
    assert len(sentences(said)) == 1
    assert said.stderr.splitlines()[-1].endswith(ending)
    assert "(None" not in said.stderr
    assert said.stderr.replace("(most recent call last; your own code only)", "").count("most recent call") == 0


@pytest.mark.parametrize("command", ["norms", "check"])
def test_a_defect_of_ours_has_a_status_of_its_own(tmp_path: Path, command: str) -> None:
    (tmp_path / "broken.py").write_text(f"""
import sys
import rnngraph.sources.demo as demo
def broken(options): raise KeyError("left")
demo.build = broken
demo.build.__code__ = demo.build.__code__.replace(co_filename=demo.__file__)
from rnngraph.cli.app import main
sys.argv = ["rnngraph", "{command}"]
main()
""")
    done = programs.run("broken.py", folder=tmp_path)
    assert done.returncode == 70
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        "rnngraph: this is a defect of rnngraph: KeyError: 'left' (rnngraph/sources/demo.py, "
    )


def test_a_users_code_that_fails_outside_of_its_function_is_no_defect(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("raise_later = None\n" + FUNCTION)
    (tmp_path / "failing.py").write_text("""
import sys
sys.path.insert(0, ".")
import rnngraph.sources.demo as demo, user
demo.build = user.fails
from rnngraph.cli.app import main
sys.argv = ["rnngraph", "norms"]
main()
""")
    (tmp_path / "user.py").write_text("def fails(options):\n    raise KeyError('mine')\n")
    done = programs.run("failing.py", folder=tmp_path)
    assert done.returncode == 2
    assert "your code raised KeyError: 'mine' (" in done.stderr


@pytest.mark.parametrize("name", REPORTS)
def test_a_reader_that_leaves_is_no_error(tmp_path: Path, name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # nobody reads from the beginning on
    said = run(tmp_path, *REPORTS[name], stdout=writing)
    os.close(writing)
    assert (said.status, said.stderr) == (0, "")


@pytest.mark.parametrize("name", ["norms as JSON", "help"])
def test_nor_where_python_itself_begins_and_ends(tmp_path: Path, name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    said = run_in_full(tmp_path, *REPORTS[name], capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (said.status, said.stderr) == (0, "")


CLOSED = "rnngraph: stdout is closed, so that the report cannot be written; open it, or name a file with -o.\n"


@pytest.mark.parametrize("name", [name for name in REPORTS if "help" not in name])
def test_a_closed_stdout_is_said(tmp_path: Path, name: str) -> None:
    said = run(tmp_path, *REPORTS[name], stdout=programs.CLOSED)
    assert (said.status, said.stderr) == (3, CLOSED)


def test_also_where_python_begins_without_it(tmp_path: Path) -> None:
    shell = f"exec {' '.join((*COMMAND, *REPORTS['lags']))} >&-"
    done = subprocess.run(shell, shell=True, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, CLOSED)


def test_without_any_stream_a_file_is_written_all_the_same(tmp_path: Path) -> None:
    shell = f"exec {' '.join((*COMMAND, 'trace', *SMALL, '-o', 'run.npz'))} <&- >&- 2>&-"
    assert subprocess.run(shell, shell=True, env=ENVIRONMENT, cwd=tmp_path).returncode == 0
    assert run(tmp_path, "norms", "run.npz").status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.npz"]


def test_what_a_users_code_writes_to_the_descriptor_is_in_no_report(tmp_path: Path) -> None:
    write(tmp_path, "", "import os, atexit; os.system('echo child'); os.write(1, b'noise'); print('text'); "
                        "atexit.register(print, 'late'); return loss()")  # fmt: skip
    said = run_in_full(tmp_path, "norms", "t.py:f", "--json")
    assert said.status == 0
    assert said.stdout.startswith('{"schema"')
    assert said.stdout.count("\n") == 1
    assert all(word in said.stderr for word in ("child", "noise", "text", "late"))


def test_a_function_that_closes_the_streams_gets_its_report(tmp_path: Path) -> None:
    write(tmp_path, "", "import sys; sys.stdout.close(); sys.stdout = sys.stderr = None; return loss()")
    said = run(tmp_path, "norms", "t.py:f", "--json")
    assert said.status == 0
    assert said.stdout.startswith('{"schema"')


@pytest.mark.parametrize(("command", "output"), [("render", "o.svg"), ("trace", "o.npz"), ("lags", "o.svg")])
def test_a_function_that_changes_the_folder_moves_no_output(tmp_path: Path, command: str, output: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path, "", "import os; os.chdir('elsewhere'); return loss()")
    said = run(tmp_path, command, "t.py:f", "-o", output)
    assert said.status == 0
    assert f"wrote {output}" in said.stderr
    assert (tmp_path / output).exists()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("arguments", [("lags", "--samples"), ("lags", "--losses"), ("norms", "--steps"),
                                       ("render", "--steps"), ("diagnose", "--horizon"), ("norms", "--timesteps"),
                                       ("norms", "--gain")])  # fmt: skip
@pytest.mark.parametrize("digits", ["9" * 5000, "-" + "9" * 5000, "9" * 5000 + ":"])
def test_numbers_of_thousands_of_digits(tmp_path: Path, arguments: tuple[str, ...], digits: str) -> None:
    said = run_here(*arguments, digits, *(["-o", str(tmp_path / "o.svg")] if arguments[0] == "render" else []))
    complaint(said, 2)
    assert len(said.stderr) < 2500


def test_a_run_that_a_shell_hands_over(tmp_path: Path) -> None:
    assert run(tmp_path, "trace", "-o", "run.npz", *SMALL).status == 0
    shell = f"{' '.join(COMMAND)} norms --json <(cat run.npz)"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == run(tmp_path, "norms", "run.npz", "--json").stdout


def test_a_link_to_itself_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "o.svg").symlink_to("o.svg")
    assert "is a link that leads to itself" in complaint(run(tmp_path, "render", *SMALL, "-o", "o.svg"), 3)
    assert (tmp_path / "o.svg").is_symlink()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into a process as Linux lets one")
@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("delay", [0.0, 0.2, 0.8])
def test_an_early_stop_says_one_word(tmp_path: Path, delay: float) -> None:
    with subprocess.Popen(
        [*COMMAND, "norms", "--timesteps", "3000", "--hidden-size", "64"], cwd=tmp_path, env=ENVIRONMENT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        # NumPy is the first that is loaded after our first line; before it, Python itself is starting.
        while "multiarray" not in Path(f"/proc/{process.pid}/maps").read_text():
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=programs.PATIENCE)
    assert (process.returncode, errors) in [(130, "rnngraph: stopped.\n"), (0, "")]


IN_A_CALLBACK = """
import os, signal, time, weakref
from rnngraph.cli import stop
stop.unwind()
class Held: pass
held = Held()
def gone(_):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)
watching = weakref.ref(held, gone)
try:
    del held
    time.sleep(20)
except KeyboardInterrupt:
    print("stopped by", stop.stopped() == signal.SIGINT)
"""


@pytest.mark.usefixtures("heeded")
def test_a_signal_that_comes_while_something_is_taken_down_is_not_lost() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_CALLBACK], capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.stdout, done.stderr) == ("stopped by True\n", "")


def test_the_table_of_statuses_names_every_error() -> None:
    assert {status for _, status in app.EXIT_STATUS} == {2, 3, 4}
    assert issubclass(InputError, app.EXIT_STATUS[-1][0])
