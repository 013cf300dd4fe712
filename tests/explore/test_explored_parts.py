"""Models of rows with parts on the page: what is computed, and what is refused in one line."""

import numpy as np
import pytest
from support.dialogues import DECODERS, ENCODERS, LATENTS, OBSERVED, columns, dialogues, interface
from support.explorers import HOSTILE, client, dialogue_explorer, reply_explorer

from textvae.explore.held_out import HeldOutTexts, read_held_out_rows
from textvae.explore.models import TOKENS
from textvae.explore.part_rows import PARTS, ExploredParts, plain, row_lines
from textvae.graph.config import VAEConfig
from textvae.graph.decoding import Decoding

GREEDY = Decoding(max_new_tokens=TOKENS)


@pytest.fixture(scope="module")
def explorer():
    return dialogue_explorer()


@pytest.fixture(scope="module")
def server(explorer):
    return client(explorer)


@pytest.fixture(scope="module")
def replies():
    return reply_explorer()


def post(server, name, **body):
    return server.post(f"/api/{name}", json=body)


def text_of(row):
    """A written dialogue as the page has it."""
    turns = zip(row["speaker"], row["text"], strict=True)
    return "\n".join([f"mood: {row['mood']}", *(f"{who}: {text}" for who, text in turns)])


def test_the_page_shows_the_latents_of_whole_rows_alone(server, explorer):
    model = server.get("/api/model").json()
    assert (model["modality"], model["rows"], model["dim"]) == ("row", 30, 3)
    assert [latent["name"] for latent in model["latents"]] == ["z"]
    assert model["some"] and model["samples"] and "median training row" in model["note"]
    names = [column["name"] for column in model["columns"]]
    assert names == ["mood", "number of turns", "length in words", "first word"]
    turns = model["columns"][1]
    assert turns["names"] == ["1", "2", "3", "4"] and sum(turns["counts"]) == 30
    means = explorer.explored.vae.row_means(columns(dialogues(30)))
    np.testing.assert_allclose(explorer.explored.means, means, atol=1e-6)


def test_rows_of_equal_numbers_of_turns_are_not_coloured_by_them():
    rows = [row for row in dialogues(60) if len(row["turns"]) == 2]
    names = [each["name"] for each in dialogue_explorer(rows, labels=False).model()["columns"]]
    assert names == ["length in words", "first word"]


def test_points_are_the_means_in_the_plane(server, explorer):
    for axes in ("pca", "0,2", "lda:mood"):
        plane = server.get(f"/api/plane?axes={axes}").json()
        content = server.get(f"/api/points?axes={axes}").content
        points = np.frombuffer(content, "<f4", 60).reshape(30, 2)
        expected = (explorer.space.means - plane["centre"]) @ np.array(plane["directions"]).T
        np.testing.assert_allclose(points, expected, atol=1e-4)


def test_dimensions_are_sorted_by_the_measured_kl(explorer):
    explored = explorer.explored
    mean, scale = explored.means, explored.scales
    kls = ((mean**2 + scale**2 - 1) / 2 - np.log(scale)).mean(0)  # to N(0, I)
    np.testing.assert_allclose(explored.kls({}), kls, rtol=1e-4)


def test_a_row_is_shown_and_decoded_part_by_part(server, explorer):
    row = dialogues(30)[7]
    found = server.get("/api/point/7").json()
    lines = [{"label": t["speaker"], "text": t["text"], "note": ""} for t in row["turns"]]
    assert found["original"]["lines"] == [
        {"label": "mood", "text": row["mood"], "note": ""},
        *lines,
    ]
    means = explorer.explored.means
    np.testing.assert_allclose(found["z"], means[7], rtol=1e-6)
    (decoded,) = explorer.explored.vae.decode_parts(means[7:8], GREEDY)
    assert found["decoded"]["text"] == text_of(decoded) and len(decoded["text"]) == 2
    distances = np.linalg.norm(means - means[7], axis=1)
    distances[7] = np.inf
    assert [each["row"] for each in found["near"]] == np.argsort(distances)[:6].tolist()
    assert found["labels"] == {"mood": row["mood"]} and found["compared"] is None
    lists = server.get("/api/texts?from=7&to=8").json()
    assert lists == [found["original"]["text"]]


def test_samples_follow_their_seed(server, explorer):
    z = explorer.explored.means[3]
    found = post(server, "decode", z=z.tolist(), samples=3, seed=5, temperature=0.7).json()
    how = Decoding(do_sample=True, temperature=0.7, max_new_tokens=TOKENS)
    rows = explorer.explored.vae.decode_parts(np.stack([z] * 3), how, 5, most=PARTS)
    assert [each["text"] for each in found["samples"]] == [text_of(row) for row in rows]
    again = post(server, "decode", z=z.tolist(), samples=3, seed=6).json()
    assert again["samples"] != found["samples"] and again["decoded"] == found["decoded"]


def test_a_draw_is_one_of_the_prior_of_whole_rows(server, explorer):
    found = post(server, "draw", seed=4).json()
    expected = explorer.explored.vae.sample_latents(1, 4)[0]
    np.testing.assert_allclose(found["z"], expected, rtol=1e-6)


def test_two_rows_have_a_way_between_them(server, explorer):
    a, b = explorer.explored.means[:2]
    found = post(server, "line", a=a.tolist(), b=b.tolist(), steps=9).json()
    np.testing.assert_allclose(found["z"], np.linspace(a, b, 9), atol=1e-5)
    rows = explorer.explored.vae.decode_parts(np.array(found["z"], np.float32), GREEDY)
    assert [each["text"] for each in found["shown"]] == [text_of(row) for row in rows]
    assert len(found["far"]) == 9 and found["rows"][1]["step"] == 1
    runs = found["rows"][1]["runs"]
    assert [" ".join(words for words, _ in line) for line in runs] == [
        line["text"] for line in found["shown"][1]["lines"]
    ]
    arc = post(server, "line", a=a.tolist(), b=b.tolist(), steps=3, spherical=True).json()["z"]
    middle = np.linalg.norm(arc[1]) - (np.linalg.norm(a) + np.linalg.norm(b)) / 2
    assert abs(middle) < 1e-4  # the norm changes linearly on an arc


def test_a_walk_moves_one_dimension(server, explorer):
    z = explorer.explored.means[2]
    found = post(server, "walk", z=z.tolist(), axis=1).json()
    assert found["values"] == [-3, -2, -1, 0, 1, 2, 3]
    moved = np.array(found["z"])
    np.testing.assert_allclose(moved[:, 1], found["values"])
    np.testing.assert_allclose(moved[:, [0, 2]], np.stack([z[[0, 2]]] * 7), rtol=1e-6)


def test_a_direction_leads_from_class_to_class(server, explorer):
    body = {"column": "mood", "from": "calm", "to": "glad"}
    found = post(server, "direction", **body).json()
    moods = np.array([row["mood"] for row in dialogues(30)])
    means = explorer.explored.means
    calm, glad = means[moods == "calm"], means[moods == "glad"]
    np.testing.assert_allclose(found["step"], glad.mean(0) - calm.mean(0), atol=1e-5)
    vae = explorer.explored.vae
    rows = vae.decode_parts((calm + found["step"]).astype(np.float32), GREEDY)
    fields = {name: [row[name] for row in rows] for name in rows[0]}
    fields["text"] = [[part or "<unk>" for part in parts] for parts in fields["text"]]
    again = vae.row_means(fields)
    nearer = np.linalg.norm(again - glad.mean(0), axis=1) < np.linalg.norm(
        again - calm.mean(0), axis=1
    )
    assert found["carried"] == pytest.approx(nearer.mean())
    assert found["checked"] == len(calm)


def test_rows_are_found_by_words_and_labels_of_any_part(server):
    rows = dialogues(30)
    for words in ("two MILES", "guide"):
        found = post(server, "find", text=words).json()["rows"]
        expected = [
            number
            for number, row in enumerate(rows)
            if any(words.lower() in (t["text"], t["speaker"]) for t in row["turns"])
        ]
        assert found == expected and found


def test_rows_with_parts_are_not_written_on_the_page(server):
    bodies = ("encode", {"text": "hello"}), ("direction", {"plus": ["hello"], "minus": []})
    for name, body in bodies:
        answer = post(server, name, **body)
        assert answer.status_code == 400 and "reads no text of the page" in answer.json()["error"]


def test_a_latent_on_a_sphere_stays_there():
    sphere = {"name": "z", "kind": "vmf", "dim": 3, "given": ["whole", "bag"]}
    explored = dialogue_explorer(latents=[sphere, *LATENTS[1:]]).explored
    np.testing.assert_allclose(explored.project(np.array([[3, 0, 4]])), [[0.6, 0, 0.8]], rtol=1e-6)
    way = explored.between(np.array([[1, 0, 0], [0, 1, 0]], np.float32), 5, False)
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), 1, rtol=1e-6)


def test_what_is_given_with_parts_is_a_field_of_a_part_a_line(replies):
    server, vae = client(replies), replies.explored.vae
    rows = columns(dialogues(20))
    (given,) = server.get("/api/model").json()["conditions"]
    assert (given["name"], given["lines"], given["classes"]) == ("text", True, None)
    assert given["default"] == "\n".join(rows["text"][0])
    found = server.get("/api/point/4").json()
    assert found["condition"] == {"text": "\n".join(rows["text"][4])}
    z = replies.explored.means[4:5]
    (own,) = vae.decode_parts(z, GREEDY, given={"text": [rows["text"][4]]})
    assert found["decoded"]["text"] == f"mood: {own['mood']}\nreply: {own['reply']}"
    other = {"text": "is it far\n\n two miles"}
    answer = post(server, "decode", z=z[0].tolist(), condition=other).json()
    (own,) = vae.decode_parts(z, GREEDY, given={"text": [["is it far", "two miles"]]})
    assert answer["decoded"]["text"] == f"mood: {own['mood']}\nreply: {own['reply']}"
    drawn = post(server, "draw", seed=3, condition=other).json()["z"]
    expected = vae.sample_latents(1, 3, given={"text": [["is it far", "two miles"]]})[0]
    np.testing.assert_allclose(drawn, expected, rtol=1e-5)
    body = {"column": "mood", "from": "calm", "to": "glad", "condition": other}
    assert 0 <= post(server, "direction", **body).json()["carried"] <= 1


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"text": " \n "}, "condition: text: write at least one word"),
        ({"text": "a" * 20_001}, "at most 20,000 characters"),
        ({"text": ["a"]}, "condition: text: write at least one word"),
        ({"mood": "glad"}, "condition: must have text"),
    ],
)
def test_a_condition_that_is_no_text_costs_one_line(condition, words, replies):
    answer = post(client(replies), "draw", seed=1, condition=condition)
    assert answer.status_code == 400 and words in answer.json()["error"]


def test_a_model_that_writes_less_than_it_reads_is_not_checked():
    """The speakers are read by the encoder of whole rows, and no decoder writes them."""
    model = interface(decoders=[DECODERS[0], DECODERS[2]])
    fields = columns(dialogues(10))
    held_out = HeldOutTexts(["a"] * 10, {}, 10, "rows.jsonl", columns=fields)
    explored = ExploredParts(model, held_out)
    assert explored.carried(explored.means[:2], {}) is None


def test_a_model_without_a_latent_of_whole_rows_is_refused():
    latents = [
        {"name": "words", "kind": "gaussian", "dim": 2, "given": ["past", "text"]}
        | {"prior": {"given": ["past"]}}
    ]
    decoders = [{"name": "text", "kind": "lstm", "hidden": 6, "given": ["words", "past"]}]
    encoders = [each for each in ENCODERS if each["name"] in ("text", "mood", "past")]
    model = interface(encoders, latents, decoders)
    with pytest.raises(ValueError, match="all latents are of parts of rows"):
        read_held_out_rows(model, "nowhere", None, [], 10, 0)


def test_a_field_of_parts_is_no_label_of_whole_rows():
    with pytest.raises(ValueError, match="--label-column speaker: a field of the model, no label"):
        read_held_out_rows(interface(), "nowhere", None, ["speaker"], 10, 0)


def test_other_things_that_are_given_are_refused():
    observed = OBSERVED | {"mood": {"label_set": 2, "names": ["calm", "glad"]}}
    encoders = [{"name": "mood", "kind": "labels"}, *ENCODERS[1:]]
    decoders = [DECODERS[1], DECODERS[2]]
    model = interface(encoders, LATENTS, decoders, observed)
    assert model.conditions == ["mood"]
    held_out = HeldOutTexts([], {}, 0, "rows.jsonl", columns={})
    with pytest.raises(ValueError, match="given 'mood', which is no text and no label"):
        ExploredParts(model, held_out)


def test_the_limits_of_a_written_row_are_named(explorer):
    cut = explorer.explored.shown
    long = {"mood": "calm", "speaker": ("guide",), "text": ("thanks " * TOKENS,)}
    assert cut(long)["cut"] == f"a part cut at {TOKENS} tokens"
    many = {"mood": "calm", "speaker": ("guide",) * PARTS, "text": ("thanks",) * PARTS}
    assert cut(many)["cut"] == f"at most {PARTS} parts"
    assert "cut" not in cut({"mood": "calm", "speaker": ("guide",), "text": ("thanks",)})


def test_lines_have_the_label_the_text_and_sets_of_labels():
    observed = OBSERVED | {"slots": {"label_set": 2, "names": ["time", "poi"], "plate": "turn"}}
    config = VAEConfig(observed=observed)
    row = {"speaker": ("guide", ""), "slots": (("time", "poi"), ()), "text": (HOSTILE, "a\n b")}
    first, second = row_lines(config, row)
    assert first["label"] == "guide" and first["note"] == "time, poi"
    assert first["text"] == " ".join(HOSTILE.split()) and second["text"] == "a b"
    assert plain([second]) == "a b" and plain([first]).startswith("guide: <img")
    ended = observed | {"speaker": OBSERVED["speaker"] | {"ends": "guide"}}
    assert row_lines(VAEConfig(observed=ended), row)[0]["label"] == ""
    without = row_lines(config, {"speaker": ("guide",), "slots": (("time",),)})
    assert without == [{"label": "", "text": "guide", "note": "time"}]
    assert row_lines(config, {"slots": (("time",),)}) == [{"label": "", "text": "time", "note": ""}]
