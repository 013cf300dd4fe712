"""Every file is written beside its name and renamed; no other way of writing is in the package."""

import ast
import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from textvae.checkpoints import atomic_file, is_partial, remove_written, write_file, write_manifest

PACKAGE = Path(__file__).resolve().parent.parent / "textvae"

PLACES = {"atomic_file", "atomic_folder", "incoming_files", "put_in_place"}
"""Context managers that give a path to write at."""

ALLOWED = {
    "checkpoints.py sync": "opens a written file to wait for the disk",
    "analysis/exports.py write_npy": "writes at the path of write_latents, from atomic_file",
    "analysis/exports.py write_part_latents": "writes at the path of its own atomic_file",
    "analysis/exports.py write_npz": "writes at the path of write_latents, from atomic_file",
    "analysis/exports.py write_tables": "writes at the path of its callers, from atomic_file",
    "analysis/exports.py written_for_projector": "writes at paths of an atomic_folder",
    "analysis/views.py write_arrays": "writes at the path of its own atomic_file",
    "explore/pictures.py png": "writes to memory",
    "training/trainer.py _save_optimizer_and_scheduler": "torch in a checkpoint that is renamed",
}
"""Functions that write otherwise, and why they may."""

WRITERS = {
    "write_text",
    "write_bytes",
    "savefig",
    "tofile",
    "dump",
    "save",
    "savez",
    "savez_compressed",
    "savetxt",
    "save_file",
    "save_torch_state_dict",
    "save_to_json",
    "write_table",
    "ParquetWriter",
    "copyfile",
    "copytree",
}
OPENERS = {"open", "fdopen", "ZipFile", "NamedTemporaryFile"}


def name_of(call: ast.Call) -> str:
    """The last part of what is called."""
    called = call.func
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def opens_to_write(call: ast.Call) -> bool:
    """Whether a call opens a file with a mode that changes it; an unknown mode counts."""
    given = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    modes = [each.value for each in given if isinstance(each, ast.Constant)]
    return any(isinstance(mode, str) and set(mode) & set("wax+") for mode in modes)


class Writes(ast.NodeVisitor):
    """The calls of a module that write, other than at a path of `PLACES`, by function."""

    def __init__(self) -> None:
        self.function = ""
        self.places: list[str] = []
        self.found: list[tuple[str, int]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before, self.function = self.function, node.name
        self.generic_visit(node)
        self.function = before

    def visit_With(self, node: ast.With) -> None:
        before = list(self.places)
        for item in node.items:
            self.visit(item.context_expr)
            given = isinstance(item.context_expr, ast.Call) and isinstance(
                item.optional_vars, ast.Name
            )
            if given and name_of(item.context_expr) in PLACES:
                self.places.append(item.optional_vars.id)
        for statement in node.body:
            self.visit(statement)
        self.places = before

    def visit_Call(self, node: ast.Call) -> None:
        name = name_of(node)
        if name in WRITERS or (name in OPENERS and opens_to_write(node)):
            # The path is what a method is called on, or an argument.
            names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            if not names & set(self.places):
                self.found.append((self.function, node.lineno))
        self.generic_visit(node)


def writes(source: str) -> list[tuple[str, int]]:
    visitor = Writes()
    visitor.visit(ast.parse(source))
    return visitor.found


def all_writes() -> dict[str, list[int]]:
    """The lines that write in another way, by file and function."""
    found: dict[str, list[int]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for function, line in writes(path.read_text(encoding="utf-8")):
            name = f"{path.relative_to(PACKAGE).as_posix()} {function}"
            found.setdefault(name, []).append(line)
    return found


def test_files_are_written_in_one_way():
    others = {name: lines for name, lines in all_writes().items() if name not in ALLOWED}
    assert not others, "write with checkpoints.write_file or atomic_file"


def test_no_exception_is_left_over():
    assert ALLOWED.keys() == all_writes().keys()


@pytest.mark.parametrize(
    "line",
    [
        "path.write_text('x')",
        "(folder / 'a').write_bytes(b'x')",
        "open(path, 'w')",
        "path.open('ab')",
        "gzip.open(path, mode='xt')",
        "io.open(path, 'r+')",
        "figure.savefig(out)",
        "np.save(out, x)",
        "np.savez(out, x)",
        "torch.save(x, path)",
        "json.dump(x, file)",
        "ZipFile(path, 'w')",
        "with atomic_file(path) as partial:\n    out.write_text('x')",
        "with other(path) as partial:\n    partial.write_text('x')",
    ],
)
def test_another_way_of_writing_is_found(line):
    assert writes(f"def f():\n    {line.replace(chr(10), chr(10) + '    ')}\n")[0][0] == "f"


@pytest.mark.parametrize(
    "line",
    [
        "path.read_text()",
        "open(path)",
        "path.open('rb')",
        "with atomic_file(path) as partial:\n    figure.savefig(partial)",
        "with atomic_file(a) as x, x.open('wb') as file:\n    file.write(b'')",
        "with put_in_place(a) as folder:\n    save_file(weights, folder / 'b')",
    ],
)
def test_reading_and_places_are_fine(line):
    assert writes(line) == []


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "run.json"
    for content in ("old", "新しい\n", ""):
        write_file(path, content)
        assert path.read_bytes() == content.encode()
        assert names(tmp_path) == {"run.json"}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, UnicodeEncodeError])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "run.json"
    write_file(path, "old")
    with pytest.raises(error), atomic_file(path) as partial:
        partial.write_text("ne")
        assert path.read_text() == "old"
        raise error("utf-8", "", 0, 1, "") if error is UnicodeEncodeError else error
    assert path.read_text() == "old" and names(tmp_path) == {"run.json"}


@contextmanager
def no_room() -> Iterator[None]:
    """No file may grow, as on a full disk; a fixture would keep pytest from writing its report."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_without_room_the_old_file_stays(tmp_path):
    path = tmp_path / "run.json"
    write_file(path, "old")
    with pytest.raises(OSError, match=r"large") as full, no_room():
        write_file(path, "new")
    assert full.value.errno == errno.EFBIG
    assert path.read_text() == "old" and names(tmp_path) == {"run.json"}


def test_the_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: order.append(os.readlink(f"/proc/self/fd/{handle}"))
    )

    def watched(self, target):
        order.append("renamed")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    write_file(tmp_path / "run.json", "new")
    assert order[1:] == ["renamed", str(tmp_path)]
    assert is_partial(Path(order[0]).name, "run.json")
    assert sync is not os.fsync


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far/real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("far/real.json")
    write_file(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "far/real.json").read_text() == "new"
    assert names(tmp_path / "far") == {"real.json"}


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    (tmp_path / "null").symlink_to(os.devnull)
    write_file(tmp_path / "null", "new")
    assert Path(os.devnull).is_char_device() and (tmp_path / "null").is_symlink()


def test_a_long_name_can_be_written(tmp_path):
    path = tmp_path / ("ü" * 120 + ".json")
    write_file(path, "new")
    assert path.read_text() == "new"


def test_what_a_manifest_names_is_removed_and_no_more(tmp_path):
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    for name in ("a.json", "b.json"):
        (folder / name).write_text("x")
    write_manifest(folder)
    (folder / "notes.txt").write_text("precious")
    remove_written(folder)
    assert names(folder) == {"notes.txt"}
    (folder / "notes.txt").unlink()
    remove_written(folder)
    assert not folder.exists()


def test_nothing_is_removed_behind_a_link(tmp_path):
    folder = tmp_path / "far"
    folder.mkdir()
    (folder / "a.json").write_text("x")
    write_manifest(folder)
    (tmp_path / "tokenizer").symlink_to(folder)
    remove_written(tmp_path / "tokenizer")
    assert names(folder) == {"a.json", "manifest.json"}


def test_an_error_names_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        write_file(tmp_path / "none/run.json", "new")
    assert missing.value.filename == str(tmp_path / "none/run.json")
