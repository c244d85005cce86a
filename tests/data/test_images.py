"""Images are decoded and brought to size as they should be, whatever the file holds."""

import zlib
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pixels import encoded, noise

from gazegan.data.images import convert, decode
from gazegan.errors import DataError


def test_an_image_of_the_wanted_size_is_left_as_it_is():
    pixels = noise(36, 60, 3)
    got = convert(decode(encoded(pixels), "x"), (36, 60), 3)
    assert np.array_equal(got.permute(1, 2, 0), pixels)


def test_grey_is_the_luma_of_bt601():
    pixels = noise(20, 30, 3)
    got = convert(decode(encoded(pixels), "x"), (20, 30), 1)[0]
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(got.numpy() - luma).max() < 1


def test_the_centre_is_cut_out():
    pixels = np.zeros((64, 64))
    pixels[9:55] = 200  # rows 12.8 to 51.2 are kept, and the window of the filter is 3 wide
    assert (convert(decode(encoded(pixels), "x"), (36, 60), 1) == 200).all()
    pixels[16:48] = 0
    assert not (convert(decode(encoded(pixels), "x"), (36, 60), 1)[0, [0, -1]] < 150).any()


def test_resizing_does_not_alias():
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (240, 200))
    got = convert(decode(encoded(stripes), "x"), (36, 60), 1).float()
    assert got[:, :, 3:-3].sub(127.5).abs().max() < 10


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(8, 30), st.integers(8, 30)),
    st.integers(0, 255),
)
@settings(deadline=None, max_examples=50)
def test_flat_images_stay_flat_whatever_their_shape(shape, size, level):
    got = convert(decode(encoded(np.full(shape, level)), "x"), size, 1)
    assert got.shape == (1, *size) and (got == level).all()


def test_exif_orientation_is_honoured():
    pixels = noise(16, 24, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter clockwise for display
    got = np.asarray(decode(encoded(pixels, exif=exif), "x"))
    assert np.array_equal(got, np.rot90(pixels, -1))


def test_sixteen_bit_grey_is_scaled_not_clipped():
    file = BytesIO()
    Image.fromarray(np.array([[0, 256, 32768, 65535]] * 2, dtype=np.uint16)).save(file, "PNG")
    got = convert(decode(file.getvalue(), "x"), (2, 4), 1)
    assert got[0, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_colour_mode_is_converted(mode, channels):
    file = BytesIO()
    image = Image.fromarray(noise(12, 20, 3)).convert(mode)
    image.save(file, "JPEG" if mode == "CMYK" else "PNG")
    got = convert(decode(file.getvalue(), "x"), (12, 20), channels)
    assert got.shape == (channels, 12, 20) and got.dtype == torch.uint8


def chunk(kind, data):
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def claimed(width, height):
    """A PNG header that claims a size, with next to nothing behind it."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data = zlib.compress(b"\0" * 100)
    parts = ((b"IHDR", size + b"\x08\0\0\0\0"), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def text_bomb():
    info = PngInfo()
    info.add_text("comment", "a" * (200 << 20), zip=True)
    return encoded(noise(4, 4), pnginfo=info)


@pytest.mark.parametrize("size", [(8001, 8000), (10_000, 9_999), (30_000, 30_000), (2**31 - 1, 9)])
def test_pixel_bombs_are_refused_before_decoding(size):
    with pytest.raises(DataError, match="bomb: "):
        decode(claimed(*size), "bomb")


def test_text_bombs_are_refused():
    with pytest.raises(DataError, match="bomb: "):
        decode(text_bomb(), "bomb")


def test_other_formats_are_refused():
    for format_ in ("GIF", "BMP", "TIFF", "WEBP"):
        with pytest.raises(DataError, match="not a PNG or JPEG"):
            decode(encoded(noise(9, 9, 3), format_), "x")


@given(st.sampled_from(["PNG", "JPEG"]), st.data())
@settings(deadline=None, max_examples=300)
def test_mutated_files_are_read_or_refused(format_, data):
    exif = Image.Exif()
    exif[0x0112] = 3
    whole = bytearray(encoded(noise(16, 16, 3), format_, exif=exif))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for mutant in (bytes(whole), bytes(whole[:cut])):
        try:
            convert(decode(mutant, "x"), (9, 9), 1)
        except DataError as fault:
            assert str(fault).startswith("x: ")
