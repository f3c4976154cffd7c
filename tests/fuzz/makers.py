"""The table of what is searched: one row for every format that is read, and for the command line itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

from tests.fuzz import options, targets
from tests.fuzz.arrays import mutate_npy, mutate_npz_member, mutate_zip
from tests.fuzz.case import Case, Maker, reader
from tests.fuzz.hdf5 import mutate_h5, mutate_keras
from tests.fuzz.torch_files import mutate_torch
from tests.fuzz.values import mutate_bytes, mutate_tree, text

KINDS = ("RNN", "LSTM", "GRU")


def traces(random: Random, good: Path) -> Case:
    """A saved run."""
    data = (good / f"{random.choice(['tanh', 'lstm', 'gru'])}.npz").read_bytes()
    data = mutate_zip(random, data, mutate_npz_member)
    arguments, output = reader(random, "run.npz")
    return Case("traces", arguments, {"run.npz": data}, output=output)


def trainings(random: Random, good: Path) -> Case:
    """A folder of traces, some of them damaged or of another network, or two of them beside each other."""
    files = {}
    for number in range(random.choice([1, 2, 5])):
        data = (good / f"{random.choice(['tanh', 'tanh', 'lstm', 'gru'])}.npz").read_bytes()
        name = random.choice(
            [f"step-{number:09d}", f"run{number}", "9" * 40, text(random).replace("/", "")[:40] or "x"]
        )
        if random.random() < 0.5:
            data = mutate_zip(random, data, mutate_npz_member)
        files[f"w/{_file_name(name)}.npz"] = data
    output = random.choice([(), ("--json",), ("-o", "o.svg"), ("-o", "o.html")])
    one = random.choice(list(files))
    command = random.choice([("history", "w"), ("compare", "w", one), ("compare", one, random.choice(list(files)))])
    return Case("trainings", (*command, *output), files, output=output[1] if "-o" in output else None)


def _file_name(text: str) -> str:
    """Write a text as a name that a file can have and that no command takes for an option."""
    return os.fsdecode(text.replace("\0", "").encode("utf-8", "replace")[:100]).lstrip("-") or "x"


def npz_weights(random: Random, good: Path) -> Case:
    """A NumPy archive of weights."""
    data = (good / f"{random.choice(KINDS)}-weights.npz").read_bytes()
    return _weights("npz", random, good, "w.npz", mutate_zip(random, data, lambda r, _, one: mutate_npy(r, one)))


def decays(random: Random, good: Path) -> Case:
    """The weights of a linear recurrence."""
    name = random.choice(["linear.safetensors", "linear.pt"])
    data = (good / name).read_bytes()
    data = _mutated_safetensors(random, data) if name.endswith("safetensors") else mutate_torch(random, data)
    output = random.choice([(), ("--json",), ("-o", "o.svg")])
    return Case("decay", ("decay", name, *output), {name: data}, output="o.svg" if "-o" in output else None)


def safetensors(random: Random, good: Path) -> Case:
    """A safetensors file: its header, its numbers, or its length."""
    data = _mutated_safetensors(random, (good / f"{random.choice(KINDS)}.safetensors").read_bytes())
    return _weights("safetensors", random, good, "w.safetensors", data)


def _mutated_safetensors(random: Random, data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    if random.random() < 0.7:
        for _ in range(random.choice([1, 1, 3])):
            header = mutate_tree(random, header)
        written = json.dumps(header).encode("utf-8", "surrogatepass")
        data = len(written).to_bytes(8, "little") + written + rest
    return mutate_bytes(random, data) if random.random() < 0.4 else data


def torch_files(random: Random, good: Path) -> Case:
    """What PyTorch saves."""
    name = random.choice(["{}.pt", "{}-old.pth", "{}.ckpt"]).format(random.choice(KINDS))
    data = mutate_torch(random, (good / name).read_bytes())
    return _weights("torch", random, good, "w" + Path(name).suffix, data)


def h5_weights(random: Random, good: Path) -> Case:
    """Keras's weights."""
    data = (good / f"{random.choice(['simple_rnn', 'lstm', 'gru'])}.weights.h5").read_bytes()
    return _weights("hdf5", random, good, "w.weights.h5", mutate_h5(random, data))


def keras_files(random: Random, good: Path) -> Case:
    """Keras's archives."""
    data = (good / f"{random.choice(['simple_rnn', 'lstm', 'gru'])}.keras").read_bytes()
    return _weights("keras", random, good, "w.keras", mutate_keras(random, data))


def npy_folders(random: Random, good: Path) -> Case:
    """A folder of arrays, in which one may be a pipe, a folder, a link or a device."""
    files = {
        f"w/{path.name}": path.read_bytes() for path in sorted((good / f"{random.choice(KINDS)}-folder").iterdir())
    }
    name = random.choice(list(files))
    kind = random.randrange(6)
    tricks = {
        1: lambda folder: os.mkfifo(folder / "w/pipe.npy"),
        2: lambda folder: (folder / "w/folder.npy").mkdir(),
        3: lambda folder: (folder / "w/link.npy").symlink_to("link.npy"),
        4: lambda folder: (folder / "w/device.npy").symlink_to("/dev/zero"),
    }
    if kind in (0, 5):
        files[name] = mutate_npy(random, files[name])
    case = _weights("folder", random, good, "w", None)
    tricked = (tricks[kind],) if kind in tricks else ()
    return Case("folder", case.arguments, case.files | files, tricked, output=case.output)


def data(random: Random, good: Path) -> Case:
    """The batch of a checkpoint."""
    name = random.choice(["x-data.npz", "tokens-data.npz"])
    mutated = mutate_zip(random, (good / name).read_bytes(), lambda r, _, one: mutate_npy(r, one))
    arguments, output = reader(random, "--weights", "w.safetensors", "--data", "d.npz", *_loss(random))
    weights = (good / f"{random.choice(KINDS)}.safetensors").read_bytes()
    return Case("data", arguments, {"w.safetensors": weights, "d.npz": mutated}, output=output)


def texts(random: Random, good: Path) -> Case:
    """A text and a vocabulary."""
    known = good / random.choice(["words.txt", "letters.txt"])
    files = {"t.txt": (good / "text.txt").read_bytes(), "v.txt": known.read_bytes()}
    name = random.choice(["t.txt", "v.txt"])
    strange = random.choice([text(random) * random.choice([1, 50]), "", "\n" * 1000, "a\n" * 10**5])
    files[name] = (
        strange.encode("utf-8", "surrogatepass") if random.random() < 0.4 else mutate_bytes(random, files[name])
    )
    vocabulary = ("--vocabulary", "v.txt") if random.random() < 0.8 else ()
    arguments, output = reader(random, "--weights", "w.safetensors", "--text", "t.txt", *vocabulary, *_loss(random))
    weights = (good / f"{random.choice(KINDS)}.safetensors").read_bytes()
    return Case("text", arguments, files | {"w.safetensors": weights}, output=output)


def _loss(random: Random) -> tuple[str, ...]:
    return ("--loss", random.choice(["last", "sum", "every"])) if random.random() < 0.6 else ()


def _weights(kind: str, random: Random, good: Path, name: str, content: bytes | None) -> Case:
    batch = random.choice(["x-data.npz", "tokens-data.npz"])
    cell = ("--cell", random.choice(["lstm", "gru", "relu"])) if random.random() < 0.1 else ()
    arguments, output = reader(random, "--weights", name, "--data", "d.npz", *_loss(random), *cell)
    files = {"d.npz": (good / batch).read_bytes()} | ({name: content} if content is not None else {})
    return Case(kind, arguments, files, output=output)


MAKERS: tuple[Maker, ...] = (
    traces, traces, traces, trainings, npz_weights, safetensors, decays, torch_files, torch_files, h5_weights,
    keras_files, npy_folders, data, texts, options.make, options.make, targets.make,
)  # fmt: skip


def case_of(seed: int, number: int, good: Path) -> Case:
    """Make the case of this number; the same seed and number always give the same."""
    random = Random(f"{seed}/{number}")
    return random.choice(MAKERS)(random, good)
