"""Single pictures as a viewer shows them."""

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from support.pictures import pictures, write_png

from textvae.config import ImageDataConfig
from textvae.data.images import View, read_picture, read_source
from textvae.data.texts import DataError


def shown(path, **settings):
    """The pixels of a picture, (C, H, W)."""
    return read_picture(path, View(**settings), [])


def source(path, **settings):
    return read_source(ImageDataConfig(modality="image", source=str(path), **settings))


def ink(count=4, size=8):
    """Masks of drawings, (N, H, W), uint8: 255 where there is ink."""
    return 255 * np.uint8(pictures(count, size, size) > 128)


def with_alpha(mode, mask):
    """A black drawing whose ink is its alpha channel, as a picture of Pillow."""
    black = np.zeros_like(mask)
    channels = [black] * (1 if mode == "LA" else 3)
    return Image.fromarray(np.stack([*channels, mask], -1), mode=mode)


@pytest.mark.filterwarnings("ignore:.*mode.*:DeprecationWarning")
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_drawing_in_the_alpha_channel_is_seen(mode, tmp_path):
    for number, mask in enumerate(ink()):
        write_png(tmp_path / f"{number}.png", with_alpha(mode, mask))
    found = source(tmp_path)
    assert (found.splits["train"][0] == 255 - ink()[:, None]).all(), "black on white"
    assert "4 of 4 pictures put on white where they are transparent" in "\n".join(found.notes)
    with pytest.raises(DataError, match=r"one colour; if they are drawn in the transparency .*"):
        source(tmp_path, background="black")
    grey = source(tmp_path, background="#808080").splits["train"][0]
    assert set(np.unique(grey)) == {0, 128}


@pytest.mark.parametrize("kind", ["P", "L", "RGB"])
def test_one_transparent_colour_is_put_on_the_background(kind, tmp_path):
    image = Image.fromarray(ink(1)[0]).convert(kind)
    index = image.getpixel((0, 0))
    where = np.asarray(Image.fromarray(ink(1)[0])) == ink(1)[0][0, 0]
    image.save(tmp_path / "a.png", transparency=index)
    for colour, value in (("white", 255), ("black", 0)):
        assert (shown(tmp_path / "a.png", background=colour)[:, where] == value).all()
    assert shown(tmp_path / "a.png", background="red").shape[0] == 3


def test_palettes_give_their_colours(tmp_path):
    indices = pictures(1)[0] % 2
    image = Image.fromarray(indices)
    image = image.convert("P")
    image.putpalette([200, 10, 30, 5, 250, 60])
    image.save(tmp_path / "colour.png")
    assert np.array_equal(
        shown(tmp_path / "colour.png").transpose(1, 2, 0),
        np.uint8([[200, 10, 30], [5, 250, 60]])[indices],
    )
    image.putpalette([200, 200, 200, 5, 5, 5])
    image.save(tmp_path / "grey.png")
    assert np.array_equal(shown(tmp_path / "grey.png")[0], np.uint8([200, 5])[indices])


@pytest.mark.parametrize(("most", "shift"), [(255, 0), (1000, 2), (4095, 4), (65535, 8)])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled_by_the_range_of_the_set(most, shift, ending, tmp_path):
    wide = np.random.default_rng(0).integers(0, most + 1, (4, 6, 6)).astype(np.uint16)
    wide[0, 0, 0] = most
    wide[1] //= 8
    for number, image in enumerate(wide):
        write_png(tmp_path / f"{number}.{ending}", image)
    found = source(tmp_path)
    assert np.array_equal(found.splits["train"][0][:, 0], wide >> shift), "dark ones stay dark"
    said = f"pixels up to {most:,}: {8 + shift} bits are scaled to 8"
    assert said in "\n".join(found.notes)
    again = shown(tmp_path / f"1.{ending}", **found.view.facts)
    assert np.array_equal(again[0], wide[1] >> shift), "one file is read as the set was"


def test_floats_are_shares_of_white(tmp_path):
    values = np.random.default_rng(0).random((3, 6, 6)).astype(np.float32)
    for number, image in enumerate(values):
        write_png(tmp_path / f"{number}.tif", image)
    assert np.array_equal(source(tmp_path).splits["train"][0][:, 0], np.round(values * 255))
    write_png(tmp_path / "x.tif", np.float32([[-1, 2], [3, 4]]))
    with pytest.raises(DataError, match="floats must be in"):
        shown(tmp_path / "x.tif")


def test_cmyk_and_rotation_are_those_of_a_viewer(tmp_path):
    colours = np.zeros((16, 24, 3), np.uint8)
    colours[:, :8] = 250, 20, 20
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    pixels = shown(tmp_path / "cmyk.jpg").astype(int)
    assert np.abs(pixels[:, :, 2:4].mean((1, 2)) - [250, 20, 20]).max() < 12
    assert pixels[:, :, -4:].max() < 20
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: a viewer rotates by 90 degrees clockwise
    Image.fromarray(colours).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    turned = shown(tmp_path / "turned.jpg")
    assert turned.shape == (3, 24, 16) and turned[0, :6].min() > 200 and turned[0, -6:].max() < 40


def test_frames_after_the_first_are_said(tmp_path):
    first, second = (Image.fromarray(image) for image in pictures(2))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    notes = []
    pixels = read_picture(tmp_path / "a.gif", View(), notes)
    assert pixels.shape == (1, 6, 5) and "have several frames" in notes[0]


@pytest.mark.parametrize("kind", [np.uint8, np.int64, bool])
def test_pixels_of_zero_and_one_are_bits(kind, tmp_path):
    bits = (pictures(20) > 128).astype(kind)
    np.savez(tmp_path / "bits.npz", images=bits)
    found = source(tmp_path / "bits.npz")
    assert np.array_equal(found.splits["train"][0][:, 0], 255 * bits.astype(np.uint8))
    assert "0 or 1: read as bits" in "\n".join(found.notes) and found.view.bits == 1
    np.savez(tmp_path / "two.npz", x_train=255 * bits.astype(int), x_test=bits[:9].astype(int))
    rest = source(tmp_path / "two.npz").splits["test"][0]
    assert rest.max() == 1, "the range is that of all splits"


def test_masks_of_zero_and_one_in_pictures_are_bits(tmp_path):
    for number, image in enumerate(pictures(5) % 2):
        write_png(tmp_path / f"{number}.png", image)
    found = source(tmp_path)
    assert set(np.unique(found.splits["train"][0])) == {0, 255}
    assert set(np.unique(shown(tmp_path / "0.png", **found.view.facts))) == {0, 255}


def test_the_range_is_said(tmp_path):
    np.savez(tmp_path / "dim.npz", images=pictures() // 15)
    assert "bytes 0 to 17" in source(tmp_path / "dim.npz").notes[0]
    np.savez(tmp_path / "floats.npz", images=pictures() / 510)
    assert "floats 0 to 0.5" in source(tmp_path / "floats.npz").notes[0]
    np.savez(tmp_path / "wide.npz", images=pictures().astype(np.uint16) * 16)
    wide = source(tmp_path / "wide.npz")
    assert np.array_equal(wide.splits["train"][0][:, 0], pictures())
    assert "12 bits, are scaled to bytes" in "\n".join(wide.notes)


def test_invert_and_size_apply_to_arrays_and_pictures(tmp_path):
    images = pictures(6, 8, 8)
    np.savez(tmp_path / "a.npz", images=images)
    for number, image in enumerate(images):
        write_png(tmp_path / "a" / f"{number}.png", image)
    settings = {"size": 4, "invert": True}
    arrays, files = (source(tmp_path / name, **settings) for name in ("a.npz", "a"))
    found = arrays.splits["train"][0]
    assert np.array_equal(found, files.splits["train"][0]) and found.shape == (6, 1, 4, 4)
    assert abs(found.mean() - (255 - images.mean())) < 5
    assert arrays.view.facts == files.view.facts == {"size": [4, 4], "invert": True}
    assert View.from_facts(files.view.facts) == files.view
    one = shown(tmp_path / "a" / "2.png", size=(4, 4), invert=True)
    assert np.array_equal(one, found[2])
    np.savez(tmp_path / "far.npz", images=np.random.default_rng(0).normal(size=(4, 8, 8)))
    with pytest.raises(DataError, match="data.invert needs images in"):
        source(tmp_path / "far.npz", invert=True)


def test_channels_of_a_model_are_applied_to_a_picture(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    write_png(tmp_path / "c.png", colour)
    write_png(tmp_path / "g.png", pictures(1)[0])
    notes = []
    grey = read_picture(tmp_path / "c.png", View(), notes, channels=1)
    assert np.array_equal(grey[0], np.asarray(Image.fromarray(colour).convert("L")))
    assert read_picture(tmp_path / "g.png", View(), notes, channels=3).shape == (3, 6, 5)
    assert notes[0].endswith("c.png: colours are read as grey")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "must be a number of pixels from 1 to 4,096"),
        ({"size": [8]}, r"or \[height, width\]"),
        ({"size": True}, "must be a number of pixels"),
        ({"size": "8x8"}, "must be a number of pixels"),
        ({"size": [8, 5000]}, "must be a number of pixels"),
        ({"background": "blanc"}, "must be a colour, as white, black"),
        ({"background": None}, "must be a colour"),
        ({"background": 3}, "must be a colour"),
        ({"invert": "yes"}, "valid boolean"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValidationError, match=message):
        ImageDataConfig(modality="image", **settings)
