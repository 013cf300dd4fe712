"""The answers of the server: what is computed, and what is refused in one line."""

import json
from io import BytesIO

import numpy as np
import pytest
from conftest import Z
from PIL import Image
from support.explorers import HOSTILE, LONG, client, image_explorer, row_explorer, text_explorer
from support.models import texts

from textvae.explore.models import TOKENS
from textvae.graph.decoding import Decoding


@pytest.fixture(scope="module")
def explorer():
    labels = {"kind": ["ab"[len(text) % 2] for text in texts()]}
    return text_explorer(labels=labels)


@pytest.fixture(scope="module")
def server(explorer):
    return client(explorer)


def post(server, name, **body):
    return server.post(f"/api/{name}", json=body)


def test_model_states_rows_columns_and_dimensions(server, explorer):
    model = server.get("/api/model").json()
    assert (model["modality"], model["rows"], model["dim"]) == ("text", 40, 3)
    names = [column["name"] for column in model["columns"]]
    assert names == ["kind", "length in words", "first word"]
    for column in model["columns"]:
        assert sum(column["counts"]) == 40
        assert len(column["counts"]) == len(column["names"]) + 2
    sizes = [row["variance"] for row in model["dimensions"]]
    assert sizes == sorted(sizes, reverse=True)
    points = explorer.space.plane("pca").place(explorer.space.means)
    shares = {c.name: c.explained(points) for c in explorer.space.columns}
    assert model["colour"] == max(shares, key=shares.get)


def test_dimensions_are_sorted_by_kl_and_quiet_ones_marked():
    found = text_explorer(kls=[0.01, 3.0, 0.2]).model()["dimensions"]
    assert [row["dimension"] for row in found] == [1, 2, 0]
    assert [row["quiet"] for row in found] == [False, False, True]


@pytest.mark.parametrize("axes", ["pca", "0,2", "2,0", "lda:kind"])
def test_points_are_the_means_in_the_plane(axes, server, explorer):
    plane = server.get(f"/api/plane?axes={axes}").json()
    content = server.get(f"/api/points?axes={axes}").content
    N = len(explorer.space.means)
    assert len(content) == N * (8 + 3)
    points = np.frombuffer(content, "<f4", 2 * N).reshape(N, 2)
    centre, directions = np.array(plane["centre"]), np.array(plane["directions"])
    expected = (explorer.space.means - centre) @ directions.T
    np.testing.assert_allclose(points, expected, atol=1e-4)
    classes = np.frombuffer(content, np.uint8, offset=8 * N).reshape(3, N)
    np.testing.assert_array_equal(classes[0], [len(text) % 2 for text in texts()])
    if axes == "2,0":
        np.testing.assert_allclose(points[:, 0], explorer.space.means[:, 2], atol=1e-6)


def test_a_point_is_decoded_with_its_neighbours(server, explorer):
    found = server.get("/api/point/7").json()
    means = explorer.space.means
    assert found["original"] == {"text": texts()[7]} and found["labels"]["kind"] in "ab"
    np.testing.assert_allclose(found["z"], means[7], rtol=1e-6)
    (decoded,) = explorer.explored.vae.decode(means[7:8])
    assert found["decoded"]["text"] == decoded
    distances = np.linalg.norm(means - means[7], axis=1)
    distances[7] = np.inf
    assert [each["row"] for each in found["near"]] == np.argsort(distances)[:6].tolist()
    assert [each["distance"] for each in found["near"]] == pytest.approx(np.sort(distances)[:6])
    assert found["far"] == pytest.approx(distances.min() / explorer.space.neighbours.usual)
    runs = found["compared"]["original"]
    assert " ".join(words for words, _ in runs) == texts()[7]


def test_a_written_text_is_encoded_as_in_python(server, explorer):
    text = "the red dog sees Zanzibar"
    found = post(server, "encode", text=f"  {text} ").json()
    np.testing.assert_allclose(found["z"], explorer.explored.vae.encode([text])[0], rtol=1e-5)
    assert found["original"] == {"text": text} and "Zanzibar" in found["unknown"]


def test_decoded_texts_end_or_are_marked_as_cut(server):
    rows = post(server, "line", a=[0, 0, 0], b=[9, -9, 9]).json()["shown"]
    assert any(row.get("cut") for row in rows)
    for row in rows:
        assert bool(row.get("cut")) == (len(row["text"].split()) >= 64)


def test_samples_follow_the_seed_of_their_request(server):
    z = [0.3, -0.2, 0.1]
    first, again, other = (
        post(server, "decode", z=z, samples=3, seed=seed).json() for seed in (5, 5, 6)
    )
    assert first["samples"] == again["samples"] != other["samples"]
    assert first["decoded"] == other["decoded"] and len(first["samples"]) == 3
    drawn = [post(server, "draw", seed=seed).json()["z"] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_way_has_its_ends_and_the_distance_of_each_step(server, explorer):
    a, b = explorer.space.means[:2].tolist()
    found = post(server, "line", a=a, b=b).json()
    assert len(found["z"]) == len(found["shown"]) == len(found["far"]) == 33
    np.testing.assert_allclose(found["z"][0], a, rtol=1e-6)
    np.testing.assert_allclose(found["z"][-1], b, rtol=1e-6)
    np.testing.assert_allclose(found["z"][16], np.add(a, b) / 2, rtol=1e-5, atol=1e-6)
    assert found["far"][0] == pytest.approx(0, abs=1e-5)
    assert [row["step"] for row in found["rows"]] == list(range(0, 33, 4))
    arc = post(server, "line", a=[1, 0, 0], b=[0, 1, 0], steps=3, spherical=True).json()
    np.testing.assert_allclose(arc["z"][1], [0.5**0.5, 0.5**0.5, 0], atol=1e-6)


def test_a_walk_moves_one_dimension(server):
    found = post(server, "walk", z=[0.1, 0.2, 0.3], axis=1).json()
    assert [z[0] for z in found["z"]] == pytest.approx([0.1] * 7)
    assert [z[1] for z in found["z"]] == found["values"] == [-3, -2, -1, 0, 1, 2, 3]


def test_a_direction_leads_from_mean_to_mean(server, explorer):
    found = post(server, "direction", column="kind", **{"from": "a", "to": "b"}).json()
    numbers = explorer.space.column("kind").numbers
    means = explorer.space.means.astype(float)
    step = means[numbers == 1].mean(0) - means[numbers == 0].mean(0)
    np.testing.assert_allclose(found["step"], step, atol=1e-6)
    assert found["counts"] == [(numbers == 0).sum(), (numbers == 1).sum()]
    away = [means[numbers == n] - means[numbers == n].mean(0) for n in (0, 1)]
    spread = (np.concatenate(away) @ step / np.linalg.norm(step)).std()
    assert found["length"] == pytest.approx(np.linalg.norm(step) / spread)
    assert 0 <= found["carried"] <= 1 and found["checked"] == (numbers == 0).sum()


def test_sentences_are_added_and_subtracted(server, explorer):
    a, b, c = "the red dog", "a cat", "a small cat"
    found = post(server, "direction", plus=[a, c], minus=[b]).json()
    first, less, more = explorer.explored.vae.encode([a, b, c])
    np.testing.assert_allclose(found["z"], first - less + more, atol=1e-5)


def test_words_are_found_whatever_their_case(server):
    rows = post(server, "find", text="RED").json()["rows"]
    assert rows == [n for n, text in enumerate(texts()) if "red" in text]
    assert 0 < len(rows) < 40
    assert post(server, "find", text="no such words").json() == {"rows": []}


def test_hostile_and_long_texts_come_back_as_texts():
    server = client(text_explorer([HOSTILE, LONG.strip(), "a dog", "the cat", "a cat"]))
    answer = server.get("/api/texts?from=0&to=2")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [HOSTILE, LONG[:300]]
    found = server.get("/api/point/1").json()
    assert found["original"]["text"] == LONG.strip()
    assert server.get("/api/point/0").json()["original"] == {"text": HOSTILE}
    assert "\x1b" not in server.get("/api/point/0").text


BAD = [
    ("decode", {"z": [0, 0]}, "z: must be a list of 3 numbers (got 2 values)"),
    ("decode", {"z": "abc"}, "z: must be a list of 3 numbers (got str)"),
    ("decode", {}, "z: must be a list of 3 numbers (got NoneType)"),
    ("decode", {"z": [0, 0, "1"]}, "z: must be numbers (got str)"),
    ("decode", {"z": [0, 0, True]}, "z: must be numbers (got bool)"),
    ("decode", {"z": [0, 0, 51]}, "z: numbers must be from -50 to 50"),
    ("decode", {"z": [0, 0, 10**400]}, "z: numbers must be from -50 to 50"),
    ("decode", {"z": [0, 0, 0], "samples": 9}, "samples: must be a whole number from 0 to 8"),
    ("decode", {"z": [0, 0, 0], "samples": 1.5}, "samples: must be a whole number from 0 to 8"),
    ("decode", {"z": [0, 0, 0], "temperature": 0}, "temperature: must be a number from 0.01 to 10"),
    ("decode", {"z": [0, 0, 0], "seed": -1}, "seed: must be a whole number from 0 to 4294967295"),
    ("decode", {"z": [0, 0, 0], "steps": 3}, "unknown key 'steps'"),
    ("decode", {"z": [0, 0, 0], "condition": {"label": "x"}}, "condition: must have nothing"),
    ("draw", {}, "seed: must be a whole number"),
    ("encode", {"text": "  \n "}, "text: write at least one word"),
    ("encode", {"text": 7}, "text: write at least one word"),
    ("encode", {"text": "a" * 2001}, "at most 2,000 characters are read (got 2,001)"),
    ("encode", {"text": "half \ud800"}, "half of a surrogate pair"),
    ("line", {"a": [0, 0, 0]}, "b: must be a list of 3 numbers"),
    ("line", {"a": [0, 0, 0], "b": [0, 0, 0], "steps": 34}, "steps: must be a whole number from 2"),
    ("line", {"a": [0, 0, 0], "b": [0, 0, 0], "spherical": 1}, "spherical: must be true or false"),
    ("walk", {"z": [0, 0, 0], "axis": 3}, "axis: must be a whole number from 0 to 2"),
    ("walk", {"z": [0, 0, 0]}, "axis: must be a whole number from 0 to 2"),
    ("direction", {"column": "x", "from": "a", "to": "b"}, "column: unknown 'x'"),
    ("direction", {"column": "kind", "from": "a", "to": "c"}, "to: unknown class 'c'"),
    ("direction", {"column": "kind", "from": "a", "to": "a"}, "must be two classes of kind"),
    ("direction", {"column": "kind", "from": ["a"], "to": "a"}, "from: must be a string"),
    ("direction", {"plus": []}, "plus: write at least one text"),
    ("direction", {"plus": ["a"] * 5}, "plus: must be a list of at most 4 texts"),
    ("find", {"text": ""}, "text: write at least one word"),
]


@pytest.mark.parametrize(("name", "body", "message"), BAD)
def test_bad_bodies_are_refused_in_one_line(name, body, message, server):
    answer = server.post(
        f"/api/{name}", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert message in answer.json()["error"] and "\n" not in answer.json()["error"]


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"z": NaN}', "[" * 60_000, b"\xff"])
def test_what_is_no_json_object_is_refused(text, server):
    headers = {"content-type": "application/json"}
    answer = server.post("/api/decode", content=text, headers=headers)
    assert answer.status_code == 400 and "JSON object" in answer.json()["error"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("points?axes=tsne", "axes: must be pca, lda:kind, or two dimensions from 0 to 2"),
        ("points?axes=1,1", "axes: must be"),
        ("points?axes=1,3", "axes: must be"),
        ("points?axes=1,2,0", "axes: must be"),
        ("plane?axes=lda:first%20word", "axes: must be"),
        ("texts?from=0&to=41", "from and to must be from 0 to 40"),
        ("texts?from=3&to=3", "from and to must be"),
        ("texts?from=-1&to=3", "from and to must be"),
        ("texts", "from and to must be"),
        ("point/40", "the rows are numbered from 0 to 39"),
        ("point/x", "the rows are numbered from 0 to 39"),
    ],
)
def test_bad_addresses_are_refused_in_one_line(address, message, server):
    answer = server.get(f"/api/{address}")
    assert answer.status_code == 400 and message in answer.json()["error"]


def test_images_are_pictures():
    explorer = image_explorer()
    server = client(explorer)
    model = server.get("/api/model").json()
    assert (model["modality"], model["samples"], model["conditions"]) == ("image", False, [])
    assert [column["name"] for column in model["columns"]] == ["label"]
    sprite = server.get("/api/texts?from=0&to=30")
    assert sprite.headers["content-type"] == "image/png"
    found = server.get("/api/point/3").json()
    assert found["decoded"]["image"].startswith("data:image/png;base64,")
    assert found["near"][0]["shown"] == {"row": found["near"][0]["row"]}
    refused = post(server, "encode", text="a dog")
    assert refused.status_code == 400 and "it reads no text" in refused.json()["error"]
    assert post(server, "find", text="7").json()["rows"] == [7]
    owls = [n for n, name in enumerate(explorer.explored.rows.labels["label"]) if name == "owl"]
    assert post(server, "find", text="OWL").json()["rows"] == owls


def test_thumbnails_stand_in_their_rows():
    explorer = image_explorer(count=60)
    sprite = np.asarray(Image.open(BytesIO(explorer.rows(0, 60))))
    assert sprite.shape == (8, 200)
    np.testing.assert_array_equal(sprite[4:, 12:16], explorer.explored.pixels[53, 0])


def test_a_conditional_model_decodes_under_its_label():
    explorer = image_explorer(conditional=True)
    server = client(explorer)
    conditions = server.get("/api/model").json()["conditions"]
    assert conditions == [{"name": "label", "classes": ["cat", "dog", "owl"], "default": "cat"}]
    own, row = "owl", explorer.explored.rows.labels["label"].index("owl")
    found = server.get(f"/api/point/{row}").json()
    assert found["condition"] == {"label": own}
    decoded = {
        name: post(server, "decode", z=found["z"], condition={"label": name}).json()["decoded"]
        for name in ("cat", "dog", "owl")
    }
    assert decoded[own] == found["decoded"]
    assert len({each["image"] for each in decoded.values()}) == 3
    answer = post(server, "decode", z=found["z"], condition={"label": "cow"})
    assert "label must be one of cat, dog, owl" in answer.json()["error"]
    way = post(server, "line", a=[0, 0, 0], b=[1, 1, 1], condition={"label": "dog"}).json()
    assert len(way["shown"]) == 33


def test_one_text_has_no_distances():
    server = client(text_explorer(["the red dog"]))
    model = server.get("/api/model").json()
    assert (model["rows"], model["apart"]) == (1, False)
    found = server.get("/api/point/0").json()
    assert found["near"] == [] and found["far"] is None
    assert len(server.get("/api/points").content) == 8 + 2


def test_equal_texts_have_no_distances():
    server = client(text_explorer(["the red dog"] * 5))
    found = server.get("/api/point/0").json()
    assert found["far"] is None and len(found["near"]) == 4
    assert post(server, "line", a=[0, 0, 0], b=[1, 1, 1]).json()["far"] == [None] * 33


def test_one_dimension_is_a_line():
    server = client(text_explorer(latents=({**Z, "dim": 1},)))
    assert server.get("/api/model").json()["axes"] == ["pca"]
    points = np.frombuffer(server.get("/api/points").content, "<f4", 80).reshape(40, 2)
    assert points[:, 0].std() > 0 and not points[:, 1].any()
    assert server.get("/api/points?axes=0,0").status_code == 400


def test_latents_on_a_sphere_stay_there():
    sphere = {"name": "z", "kind": "vmf", "dim": 3, "given": ["text"]}
    server = client(text_explorer(latents=(sphere,)))
    assert server.get("/api/model").json()["latents"][0]["spherical"]
    found = post(server, "decode", z=[3, 0, 4]).json()
    assert found["z"] == pytest.approx([0.6, 0, 0.8])
    way = post(server, "line", a=[1, 0, 0], b=[0, 1, 0], steps=5).json()
    assert np.linalg.norm(way["z"], axis=1) == pytest.approx(1)
    walked = post(server, "walk", z=[0.6, 0, 0.8], axis=1).json()
    assert np.linalg.norm(walked["z"], axis=1) == pytest.approx(1)


def test_classes_and_proportions_are_named():
    classes = {"name": "y", "kind": "categorical", "dim": 3, "given": ["text"]}
    topics = {"name": "t", "kind": "dirichlet", "dim": 2, "given": ["text"]}
    server = client(text_explorer(latents=(classes, topics, Z)))
    first, second, third = server.get("/api/model").json()["latents"]
    assert first["classes"] == ["0", "1", "2"] and not first["proportions"]
    assert second["proportions"] and second["classes"] is None
    assert (third["classes"], third["proportions"], third["spherical"]) == (None, False, False)
    found = post(server, "decode", z=[0, 1, 0, 3, 1, 0, 0, 0]).json()
    assert found["z"][3:5] == pytest.approx([0.75, 0.25])


def test_an_autoencoder_draws_from_its_codes():
    point = {"name": "z", "kind": "point", "dim": 3, "given": ["text"]}
    explorer = text_explorer(latents=(point,))
    assert explorer.model()["deterministic"]
    drawn = np.array([explorer.draw({"seed": seed})["z"] for seed in range(60)])
    means = explorer.space.means
    error = means.std(0) / 60**0.5
    assert (np.abs(drawn.mean(0) - means.mean(0)) < 5 * error).all()


def test_a_decoder_that_ignores_z_is_found():
    explorer = text_explorer()
    assert not explorer.constant
    decoder = explorer.explored.vae.decoder
    for _, weight in decoder.named_parameters():
        weight.data.zero_()
    assert explorer.is_constant()


def test_a_reply_is_decoded_under_the_event_of_its_row():
    explorer = row_explorer(mood=True)
    server, fields = client(explorer), explorer.explored.fields
    event, mood = server.get("/api/model").json()["conditions"]
    assert (event["name"], event["classes"]) == ("event", None)
    assert event["default"] == fields["event"][0] and mood["classes"] == ["calm", "glad"]
    found = server.get("/api/point/4").json()
    assert found["condition"] == {name: fields[name][4] for name in ("event", "mood")}
    z = explorer.space.means[4:5]
    how = Decoding(max_new_tokens=TOKENS)
    (own,) = explorer.explored.vae.decode(z, how, given=found["condition"])
    assert found["original"]["text"] == fields["reply"][4] and found["decoded"]["text"] == own
    other = {"event": "rain falls", "mood": "glad"}
    decoded = post(server, "decode", z=found["z"], condition=other).json()["decoded"]["text"]
    assert decoded == explorer.explored.vae.decode(z, how, given=other)[0]
    read = {"reply": ["it is tired"], **{name: [value] for name, value in other.items()}}
    written = post(server, "encode", text="it is tired", condition=other).json()
    np.testing.assert_allclose(
        written["z"], np.asarray(explorer.explored.vae.encode(read))[0], atol=1e-6
    )
    drawn = post(server, "draw", seed=3, condition=other).json()["z"]
    expected = explorer.explored.vae.sample_latents(1, 3, given=other)[0]
    np.testing.assert_allclose(drawn, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"event": " "}, "condition: event: write at least one word"),
        ({"event": 3}, "condition: event: write at least one word"),
        ({"event": "a" * 2001}, "at most 2,000 characters"),
        ({"reply": "a"}, "condition: must have event"),
    ],
)
def test_a_condition_that_is_no_text_costs_one_line(condition, words):
    answer = post(client(row_explorer()), "draw", seed=1, condition=condition)
    assert answer.status_code == 400 and words in answer.json()["error"]
