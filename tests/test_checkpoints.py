"""Folders are whole or refused."""

import json

import pytest

from textvae.checkpoints import (
    MANIFEST,
    atomic_folder,
    checkpoints,
    damage,
    last_sound_checkpoint,
    put_in_place,
    write_manifest,
)

FILES = {"model.safetensors": b"\x00\x01weights" * 500, "config.json": b"{}", "a/b/deep": b"x"}


def write(folder, files=FILES):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def sealed(tmp_path):
    write_manifest(write(tmp_path / "checkpoint-1"))
    return tmp_path / "checkpoint-1"


def test_a_sealed_folder_is_sound(sealed):
    assert damage(sealed) is None
    assert set(json.loads((sealed / MANIFEST).read_text())) == set(FILES)
    assert {str(p.relative_to(sealed)) for p in sealed.rglob("*") if p.is_file()} == {
        *FILES,
        MANIFEST,
    }


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def delete(path):
    path.unlink()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (truncate, "is damaged"),
        (flip_a_bit, "is damaged"),
        (empty, "is damaged"),
        (delete, "is missing"),
    ],
)
def test_a_changed_file_is_named(sealed, name, harm, words):
    harm(sealed / name)
    assert damage(sealed) == f"{name} {words}"


def test_without_a_manifest_it_was_not_finished(sealed):
    delete(sealed / MANIFEST)
    assert damage(sealed) == "it was not finished"


@pytest.mark.parametrize("harm", [truncate, empty])
def test_a_manifest_that_is_cut_is_damaged(sealed, harm):
    harm(sealed / MANIFEST)
    assert damage(sealed) == f"{MANIFEST} is damaged"


def test_a_folder_that_is_not_there_was_not_finished(tmp_path):
    assert damage(tmp_path / "nowhere") == "it was not finished"


def test_a_file_of_a_sealed_folder_that_is_a_folder_now_is_missing(sealed):
    (sealed / "config.json").unlink()
    (sealed / "config.json").mkdir()
    assert damage(sealed) == "config.json is missing"


def test_sealed_again_it_is_what_it_is_now(sealed):
    (sealed / "config.json").write_bytes(b"[]")
    (sealed / "a/b/deep").unlink()
    assert damage(sealed)
    write_manifest(sealed)
    assert damage(sealed) is None and len(json.loads((sealed / MANIFEST).read_text())) == 2


def test_what_an_interrupted_seal_left_does_no_harm(sealed):
    (sealed / MANIFEST).rename(sealed / f".{MANIFEST}")
    assert damage(sealed) == "it was not finished"
    write_manifest(sealed)
    assert damage(sealed) is None


def test_checkpoints_come_in_the_order_of_their_steps(tmp_path):
    for name in ("checkpoint-1000", "checkpoint-20", "checkpoint-9", "checkpoint-x", "best"):
        (tmp_path / name).mkdir()
    assert [p.name for p in checkpoints(tmp_path)] == [
        "checkpoint-9",
        "checkpoint-20",
        "checkpoint-1000",
    ]
    assert checkpoints(tmp_path / "nowhere") == []


def test_the_last_sound_checkpoint_is_the_newest_that_is_whole(tmp_path):
    for step in (9, 20, 100, 1000):
        write_manifest(write(tmp_path / f"checkpoint-{step}"))
    assert last_sound_checkpoint(tmp_path) == (tmp_path / "checkpoint-1000", [])
    (tmp_path / "checkpoint-1000" / MANIFEST).unlink()
    flip_a_bit(tmp_path / "checkpoint-100" / "model.safetensors")
    path, notes = last_sound_checkpoint(tmp_path)
    assert path == tmp_path / "checkpoint-20"
    assert [note.split(" is left out: ")[1] for note in notes] == [
        "it was not finished",
        "model.safetensors is damaged",
    ]
    assert "checkpoint-1000" in notes[0] and "checkpoint-100" in notes[1]
    for step in (9, 20):
        (tmp_path / f"checkpoint-{step}" / "config.json").unlink()
    path, notes = last_sound_checkpoint(tmp_path)
    assert path is None and len(notes) == 5
    assert notes[-1] == "no checkpoint is whole: training begins again"


def test_a_checkpoint_is_as_sound_as_the_best_before_it(tmp_path):
    for step, best in ((8, 8), (16, 8), (24, 24), (32, 24)):
        state = json.dumps({"best_global_step": best}).encode()
        write(tmp_path / f"checkpoint-{step}", FILES | {"trainer_state.json": state})
        write_manifest(tmp_path / f"checkpoint-{step}")
    flip_a_bit(tmp_path / "checkpoint-24/model.safetensors")
    path, notes = last_sound_checkpoint(tmp_path)
    assert path == tmp_path / "checkpoint-16"
    assert [note.split(" is left out: ")[1] for note in notes] == [
        "checkpoint-24, the best until then, is lost: model.safetensors is damaged",
        "model.safetensors is damaged",
    ]


def test_no_checkpoint_is_none(tmp_path):
    assert last_sound_checkpoint(tmp_path) == (None, [])


def contents(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_what_was_written_whole_replaces_what_was_there(tmp_path):
    folder = write(tmp_path / "model", {"weights": b"old", "kept": b"kept"})
    with atomic_folder(folder) as beside:
        write(beside, {"weights": b"new", "more": b"more"})
        assert contents(folder)["weights"] == b"old"
    assert contents(folder) == {"weights": b"new", "kept": b"kept", "more": b"more"}
    assert damage(folder) is None
    flip_a_bit(folder / "weights")
    assert damage(folder) == "weights is damaged"


def test_a_folder_is_made_with_its_parents(tmp_path):
    with atomic_folder(tmp_path / "a" / "b") as beside:
        write(beside, {"weights": b"new"})
    assert contents(tmp_path / "a" / "b") == {"weights": b"new"}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interrupted_writer_leaves_the_old_files(tmp_path, error):
    folder = write(tmp_path / "model", {"weights": b"old", "config": b"old"})
    with pytest.raises(error), atomic_folder(folder) as beside:
        write(beside, {"weights": b"ne"})
        raise error
    assert contents(folder) == {"weights": b"old", "config": b"old"}
    assert {p.name for p in folder.iterdir()} == {"weights", "config"}


def test_what_a_killed_writer_left_is_not_taken_over(tmp_path):
    folder = write(tmp_path / "model", {".incoming/half": b"ha", "weights": b"old"})
    with atomic_folder(folder) as beside:
        write(beside, {"weights": b"new"})
    assert contents(folder) == {"weights": b"new"}


def test_a_folder_put_in_place_replaces_the_one_that_was_there(tmp_path):
    place = write(tmp_path / "checkpoint-8", {"weights": b"old", "left": b"over"})
    with put_in_place(place) as beside:
        assert not beside.exists()
        write(beside, {"weights": b"new"})
        assert contents(place) == {"weights": b"old", "left": b"over"}
    assert contents(place) == {"weights": b"new"} and damage(place) is None
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interrupted_folder_is_not_put_in_place(tmp_path, error):
    place = write(tmp_path / "checkpoint-8", {"weights": b"old"})
    with pytest.raises(error), put_in_place(place) as beside:
        write(beside, {"weights": b"ne"})
        raise error
    assert contents(place) == {"weights": b"old"}
    assert list(tmp_path.iterdir()) == [place]
