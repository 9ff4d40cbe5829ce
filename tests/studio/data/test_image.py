"""Image files of every kind: read rightly, or refused in one line."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image, ImageCms

from studio.data.image import Picture, from_pillow, read_picture
from studio.data.pixels import pixels_of


@pytest.fixture
def pixels() -> ndarray:
    """Eight-bit RGB of 12 x 16 pixels, different everywhere."""
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def saved(image: Image.Image, path: Path, **options: object) -> Picture:
    image.save(path, **options)
    return read_picture(path)


def same(picture: Picture, expected: ndarray, tolerance: float = 1e-6) -> bool:
    """Whether the image is "h w 3" numbers in [0, 1]."""
    got = picture.image.permute(1, 2, 0).numpy()
    return got.shape == expected.shape and float(np.abs(got - expected).max()) <= tolerance


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp", "ppm", "gif"])
def test_rgb_is_divided_by_255(ending: str, pixels: ndarray, tmp_path: Path) -> None:
    options: dict[str, object] = {"lossless": True} if ending == "webp" else {}
    picture = saved(Image.fromarray(pixels), tmp_path / f"a.{ending}", **options)
    assert picture.image.dtype == torch.float32
    assert picture.image.is_contiguous()
    assert picture.notes == ()
    assert same(picture, pixels / 255)


def test_the_name_does_not_decide_the_format(pixels: ndarray, tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    Image.fromarray(pixels).save(path, format="png")
    assert same(read_picture(path), pixels / 255)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_gray_and_bilevel_become_rgb(mode: str, pixels: ndarray, tmp_path: Path) -> None:
    gray = pixels[..., 0] if mode == "L" else (pixels[..., 0] // 128) * np.uint8(255)
    picture = saved(Image.fromarray(gray).convert(mode), tmp_path / "a.png")
    assert same(picture, np.repeat(gray[..., None], 3, 2) / 255)
    assert picture.notes == ()


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_16_bit_gray_is_divided_by_65535(ending: str, tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 12 * 16).round().astype(np.uint16).reshape(12, 16)
    picture = saved(Image.fromarray(values), tmp_path / f"a.{ending}")
    assert same(picture, np.repeat(values[..., None], 3, 2) / 65535)
    assert picture.notes == ("16-bit gray",)


def test_32_bit_integers_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    values = np.full((12, 16), 70000, dtype=np.int32)
    with pytest.raises(ValueError, match="has values from 70000 to 70000; save it with 8 or 16 bits"):
        saved(Image.fromarray(values), tmp_path / "a.tiff")


def test_32_bit_integers_of_8_bits_are_refused_for_they_may_be_meant_as_such(tmp_path: Path) -> None:
    values = np.full((12, 16), 255, dtype=np.int32)
    with pytest.raises(ValueError, match="has values from 255 to 255; save it with 8 or 16 bits"):
        saved(Image.fromarray(values), tmp_path / "a.tiff")
    with pytest.raises(ValueError, match="picture has values from 255 to 255"):
        pixels_of(Image.fromarray(values), "picture")
    values[0, 0] = 256
    assert saved(Image.fromarray(values), tmp_path / "b.tiff").notes == ("16-bit gray",)


def test_in_memory_it_is_told_what_was_made_of_a_picture(pixels: ndarray, tmp_path: Path) -> None:
    clear = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    assert pixels_of(clear, "a")[1] == ()
    clear[0, 0, 3] = 0
    found, notes, _ = pixels_of(clear, "a")
    assert notes == ("transparency laid on white",)
    assert found[:, 0, 0].tolist() == [1, 1, 1]
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path, save_all=True, append_images=[Image.fromarray(255 - pixels)])
    with Image.open(path) as film:
        film.seek(1)
        found, notes, _ = pixels_of(film, "a")
    assert notes == ("frame 2 of 2",)
    np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), 1 - pixels / 255, atol=1e-6)


def test_floating_point_files_hold_0_to_1(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 12 * 16, dtype=np.float32).reshape(12, 16)
    assert same(saved(Image.fromarray(values), tmp_path / "a.tiff"), np.repeat(values[..., None], 3, 2))
    with pytest.raises(ValueError, match="has values from 0 to 255; expected 0 to 1"):
        saved(Image.fromarray(values * 255), tmp_path / "b.tiff")
    values[3, 4] = np.nan
    with pytest.raises(ValueError, match="holds NaN"):
        saved(Image.fromarray(values), tmp_path / "c.tiff")


def test_palettes_are_looked_up(pixels: ndarray, tmp_path: Path) -> None:
    palette = Image.fromarray(pixels).quantize(16)
    picture = saved(palette, tmp_path / "a.png")
    assert same(picture, np.asarray(palette.convert("RGB")) / 255)
    assert picture.notes == ()


def test_transparency_is_laid_on_white(pixels: ndarray, tmp_path: Path) -> None:
    alpha = np.full((12, 16, 1), 255, dtype=np.uint8)
    alpha[:4], alpha[4:8] = 0, 51
    picture = saved(Image.fromarray(np.concatenate([pixels, alpha], 2)), tmp_path / "a.png")
    expected = pixels / 255
    expected[:4], expected[4:8] = 1, 0.2 * expected[4:8] + 0.8
    assert same(picture, expected)
    assert picture.notes == ("transparency laid on white",)


def test_opaque_alpha_changes_nothing(pixels: ndarray, tmp_path: Path) -> None:
    alpha = np.full((12, 16, 1), 255, dtype=np.uint8)
    picture = saved(Image.fromarray(np.concatenate([pixels, alpha], 2)), tmp_path / "a.png")
    assert same(picture, pixels / 255)
    assert picture.notes == ()


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_transparent_color_is_laid_on_white(mode: str, tmp_path: Path) -> None:
    image = Image.new("L", (16, 12), 40)
    image.paste(200, (0, 0, 16, 6))
    transparent = {"L": 200, "P": 200, "RGB": (200, 200, 200)}[mode]
    image = image.convert("P", palette=Image.Palette.WEB) if mode == "P" else image.convert(mode)
    if mode == "P":
        transparent = image.getpixel((0, 0))  # type: ignore[assignment]
    picture = saved(image, tmp_path / "a.png", transparency=transparent)
    assert bool((picture.image[:, :6] == 1).all())
    assert float(picture.image[:, 6:].max()) < 0.3
    assert picture.notes == ("transparency laid on white",)


@pytest.mark.parametrize("ending", ["jpg", "tiff"])
def test_cmyk_becomes_rgb(ending: str, tmp_path: Path) -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    inks.paste((255, 0, 0, 128), (0, 0, 16, 8))
    options: dict[str, object] = {"quality": 100} if ending == "jpg" else {}
    picture = saved(inks, tmp_path / f"a.{ending}", **options)
    assert picture.image[:, 12, 8].tolist() == pytest.approx([1, 0, 0], abs=0.03)
    assert picture.image[:, 3, 8].tolist() == pytest.approx([0, 0.5, 0.5], abs=0.03)


def test_lab_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds LAB colors; save it as RGB"):
        saved(Image.new("LAB", (16, 16)), tmp_path / "a.tiff")


def test_the_first_frame_of_an_animation_is_taken(pixels: ndarray, tmp_path: Path) -> None:
    first = Image.fromarray(pixels)
    more = [Image.fromarray(255 - pixels), Image.fromarray(pixels // 2)]
    picture = saved(first, tmp_path / "a.png", save_all=True, append_images=more)
    assert same(picture, pixels / 255)
    assert picture.notes == ("first of 3 frames",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(orientation: int, pixels: ndarray, tmp_path: Path) -> None:
    back = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 3),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = saved(Image.fromarray(pixels), tmp_path / "a.png", exif=exif)
    assert same(picture, back(pixels) / 255)
    assert picture.notes == (() if orientation == 1 else ("turned upright as its EXIF tag says",))


@pytest.mark.parametrize("orientation", [0, 9, 99])
def test_an_orientation_that_means_nothing_turns_nothing(
    orientation: int, pixels: ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = saved(Image.fromarray(pixels), tmp_path / "a.png", exif=exif)
    assert (same(picture, pixels / 255), picture.notes) == (True, ())
    with Image.open(tmp_path / "a.png") as opened:
        assert from_pillow(opened, "it")[1] == ()


def test_embedded_profiles_become_srgb(tmp_path: Path) -> None:
    """A profile whose red is sRGB's blue, and the other way round."""
    image = Image.new("RGB", (16, 16), (255, 64, 0))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert saved(image, tmp_path / "a.png", icc_profile=srgb).notes == ()
    swapped = srgb.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    picture = saved(image, tmp_path / "b.png", icc_profile=swapped)
    assert picture.image[:, 0, 0].tolist() == pytest.approx([0, 64 / 255, 1], abs=0.02)
    assert picture.notes[0].startswith("colors converted from swap")


def test_a_broken_profile_is_left_out_and_told(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16), (128, 64, 200))
    picture = saved(image, tmp_path / "a.png", icc_profile=b"no profile at all")
    assert same(picture, np.asarray(image) / 255)
    assert len(picture.notes) == 1
    assert picture.notes[0].startswith("color profile not used")


def test_missing_files_folders_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        read_picture(tmp_path / "nothing.png")
    with pytest.raises(ValueError, match="is a folder; give the image files in it"):
        read_picture(tmp_path)
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"is empty \(0 bytes\)"):
        read_picture(tmp_path / "a.png")


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("not an image")
    with pytest.raises(ValueError, match="is not an image that Pillow can read"):
        read_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "bmp", "webp", "tiff"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_files_are_refused(ending: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    whole = io.BytesIO()
    Image.fromarray(noise).save(whole, format={"jpg": "jpeg"}.get(ending, ending))
    content = whole.getvalue()
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        ValueError, match=r"is damaged or cut short|is not an image that Pillow can read"
    ) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("size", [(8, 801), (3000, 20)])
def test_a_line_of_pixels_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    """Its file is small, and resized to a classifier's shorter side it would fill the memory."""
    Image.new("RGB", size).save(tmp_path / "line.png")
    with pytest.raises(
        ValueError, match=f"line.png is {size[0]} x {size[1]} pixels; expected one side at most 100"
    ):
        read_picture(tmp_path / "line.png")
    Image.new("RGB", (8, 800)).save(tmp_path / "fits.png")
    assert read_picture(tmp_path / "fits.png").image.shape == (3, 800, 8)


def test_a_program_is_not_run_whatever_the_file_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    (tmp_path / "cat.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(ValueError, match=r"cat\.png holds a drawing in EPS, which is a program and not run"):
        read_picture(tmp_path / "cat.png")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
def test_images_without_parts_to_remove_are_refused(size: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"is {size[0]} x {size[1]} pixels; expected at least 8 x 8"):
        saved(Image.new("RGB", size), tmp_path / "a.png")


def test_huge_images_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)
    with pytest.raises(ValueError, match="megapixels; make it smaller"):
        read_picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    with pytest.raises(ValueError, match="megapixels; make it smaller"):
        read_picture(tmp_path / "a.png")


def test_photographs_are_read_without_a_word(assets: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in sorted((assets / "imagenet_val" / "images").iterdir())[::40]:
            picture = read_picture(path)
            truth = np.asarray(Image.open(path).convert("RGB")) / 255
            assert same(picture, truth) or picture.notes


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("a.heic", "save it as JPEG, as the phone or its album can export it"),
        ("a.SVG", "save the drawing as PNG"),
        ("a.pdf", "save the page as PNG"),
        ("a.dng", "develop the raw photograph, and save it as JPEG"),
        ("a.mp4", "save a frame of the film as PNG"),
    ],
)
def test_pictures_of_other_kinds_are_known_by_their_names(name: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"%PDF or whatever it is")
    with pytest.raises(ValueError, match=f"{name} is not an image that Pillow can read; {remedy}"):
        read_picture(tmp_path / name)
