"""Readers turn names and tables into the right angles, and list what they leave out."""

import math
import os
import unicodedata
from pathlib import Path

import pytest
import torch
from pixels import encoded, noise

from gazegan.data import images
from gazegan.data.images import find_images
from gazegan.data.photographs import Photographs, check_readable, import_photographs
from gazegan.data.readers import Listing, Photo, parse_subjects, read_columbia, read_folder
from gazegan.errors import DataError, UserError


def test_columbia_names_become_angles(photos):
    listing = read_columbia(photos)
    first, second = listing.photos[:2]
    assert first.name == "0026_2m_-30P_10V_-15H_L.jpg"
    assert (first.gaze_deg, first.head_deg) == ((10, 15), (0, 30))
    assert (first.subject, first.side) == ("0026", 0)
    assert (second.gaze_deg, second.head_deg, second.side) == ((-10, -5), (0, 0), 1)
    assert math.copysign(1, second.head_deg[1]) == 1
    assert [name for name, _ in listing.skipped] == ["holiday.jpg"]


def test_columbia_can_be_narrowed(photos):
    assert [p.subject for p in read_columbia(photos, parse_subjects("27-31")).photos] == ["0031"]
    assert [p.name[:9] for p in read_columbia(photos, None, (30.0,)).photos] == ["0026_2m_-"]
    assert [p.name[:9] for p in read_columbia(photos, None, None, (15.0,)).photos] == ["0026_2m_-"]
    with pytest.raises(UserError, match="--subjects"):
        read_columbia(photos, {99})


def test_subjects_are_read_as_ranges():
    assert parse_subjects("0026-0028, 40") == {26, 27, 28, 40}
    assert parse_subjects("p00-p02,p14") == {0, 1, 2, 14}
    for wrong in ("", "p", "a", "5-3", "1,", "-4", "1-2-3", "99999"):
        with pytest.raises(UserError, match="--subjects"):
            parse_subjects(wrong)


def test_the_genuine_crops(columbia):
    listing = read_columbia(columbia)
    assert (len(listing.photos), listing.skipped) == (4564, ())
    assert {p.head_deg[1] for p in listing.photos} == {-30, -15, 0, 15, 30}
    assert {p.gaze_deg for p in listing.photos} == {
        (pitch, yaw) for pitch in (-10, 0, 10) for yaw in range(-15, 16, 5)
    }
    assert len({p.subject for p in listing.photos}) == 23


def test_the_iris_of_genuine_crops_moves_as_the_labels_say(columbia):
    listing = read_columbia(columbia, None, (0.0,))
    batch = Photographs(listing.photos, (36, 60), 1).read(range(len(listing.photos)))
    dark = (0.5 - batch.image[:, 0, 10:26]).clamp_min(0) ** 2
    column = torch.arange(60) - 29.5
    offset = (dark * column).sum((1, 2)) / dark.sum((1, 2))
    yaw = batch.gaze[:, 1]
    assert torch.corrcoef(torch.stack((offset, yaw)))[0, 1] < -0.3


def table(tmp_path, text):
    for name in ("a.png", "sub/b.png", "unnamed.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(noise(8, 8, 3)))
    (tmp_path / "labels.csv").write_text(text)
    return read_folder(tmp_path, tmp_path / "labels.csv")


def test_a_table_labels_a_folder(tmp_path):
    listing = table(
        tmp_path,
        "\ufeffyaw_deg, file ,pitch_deg,subject,side,head_yaw_deg\n"
        "-5,sub/b.png,10,ann,R,\n1e1,./a.png,0.5,,,20\n",
    )
    b, a = listing.photos
    assert (b.name, b.gaze_deg, b.subject, b.side) == ("sub/b.png", (10, -5), "ann", 1)
    assert all(math.isnan(angle) for angle in b.head_deg)
    assert (a.name, a.gaze_deg, a.subject, a.side, a.head_deg[1]) == (
        "a.png",
        (0.5, 10),
        None,
        -1,
        20,
    )
    assert listing.skipped == (("unnamed.png", "no row in labels.csv"),)
    batch = Photographs(listing.photos, (8, 8), 3).read([0, 1])
    torch.testing.assert_close(torch.rad2deg(batch.gaze), torch.tensor([[10.0, -5], [0.5, 10]]))
    assert batch.subject.tolist() == [0, -1]


def test_eyes_and_heads_that_look_away_from_the_camera_are_read(tmp_path):
    text = "file,pitch_deg,yaw_deg,head_yaw_deg\na.png,0,-100,180\n"
    (photo,) = table(tmp_path, text).photos
    assert photo.gaze_deg == (0, -100) and photo.head_deg[1] == 180


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_may_have_semicolons_or_tabs_for_commas(tmp_path, mark):
    text = "file,pitch_deg,yaw_deg\na.png,1,2\n".replace(",", mark)
    assert [photo.gaze_deg for photo in table(tmp_path, text).photos] == [(1, 2)]


def test_names_are_found_however_their_letters_are_written(tmp_path):
    composed, apart = (unicodedata.normalize(form, "zo\u00eb.png") for form in ("NFC", "NFD"))
    (tmp_path / composed).write_bytes(encoded(noise(8, 8)))
    (tmp_path / "labels.csv").write_text(f"file,pitch_deg,yaw_deg\n{apart},1,2\n", "utf-8")
    (photo,) = read_folder(tmp_path, tmp_path / "labels.csv").photos
    assert photo.name == composed and photo.path.exists()


@pytest.mark.parametrize("name", [" a.png", "b\\c.png", " b\\d.png", "\u00a0e.png"])
def test_names_with_blanks_or_backslashes_can_be_named(tmp_path, name):
    """The one that is written, even where another would be meant by a name without them."""
    (tmp_path / "b").mkdir()
    for other in (name, name.strip().replace("\\", "/")):
        (tmp_path / other).write_bytes(encoded(noise(8, 8)))
    text = f'file,pitch_deg,yaw_deg\n"{name}",1,2\n'
    (tmp_path / "labels.csv").write_text(text, "utf-8")
    (photo,) = read_folder(tmp_path, tmp_path / "labels.csv").photos
    assert photo.name == name and photo.path == tmp_path / name


def test_blanks_and_backslashes_are_forgiven_where_no_file_has_them(tmp_path):
    text = "file, pitch_deg, yaw_deg\n a.png , 1, 2\n.\\sub\\b.png, 3, 4\n"
    assert [photo.name for photo in table(tmp_path, text).photos] == ["a.png", "sub/b.png"]


def test_other_formats_are_listed_and_hidden_files_are_not_images(tmp_path):
    folder = tmp_path / ".in" / "photographs"  # what leads to the folder may be hidden
    (folder / ".thumbs" / "small").mkdir(parents=True)
    for name in ("a.png", "._a.png", ".thumbs/a.png", ".thumbs/small/a.png"):
        (folder / name).write_bytes(encoded(noise(8, 8)))
    for name in ("b.tiff", ".thumbs/b.tiff"):
        (folder / name).write_bytes(b"II")
    listing = read_folder(folder)
    assert [photo.name for photo in listing.photos] == ["a.png"]
    assert listing.skipped == (("b.tiff", "neither PNG nor JPEG; convert it"),)


def test_a_table_may_say_only_whose_eyes_are_whose(tmp_path):
    listing = table(tmp_path, "file,subject,side\na.png,ann,L\nsub/b.png,bob,R\n")
    assert [photo.gaze_deg for photo in listing.photos] == [None, None]
    photographs = Photographs(listing.photos, (8, 8), 3)
    batch = photographs.read([0, 1])
    assert batch.gaze is None
    assert batch.subject.tolist() == [0, 1] and batch.side.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "column 'file' is missing"),
        ("file,pitch_deg,yaw_deg\na.png,,2\n", "column pitch_deg: is empty; give an angle"),
        ("file\na.png\n", "column 'pitch_deg' is missing"),
        ("file,pitch_deg,yaw_deg\n", "no rows"),
        ("file,pitch_deg\na.png,1\n", "column 'yaw_deg' is missing"),
        ("file,pitch_deg,yaw_degs\na.png,1,2\n", "did you mean 'yaw_deg'"),
        ("file,pitch_deg,yaw_deg,yaw_deg\na.png,1,2,3\n", "twice"),
        ("file,pitch_deg,yaw_deg\na.png,nan,2\n", "line 2, column pitch_deg"),
        ("file,pitch_deg,yaw_deg\na.png,1,inf\n", "line 2, column yaw_deg"),
        ("file,pitch_deg,yaw_deg\na.png,1,1e999\n", "line 2, column yaw_deg"),
        ("file,pitch_deg,yaw_deg\na.png,1,\n", "line 2, column yaw_deg"),
        ("file,pitch_deg,yaw_deg\na.png,1,abc\n", "line 2, column yaw_deg: 'abc'"),
        ("file,pitch_deg,yaw_deg\na.png,91,0\n", "pitch_deg: '91' is not an angle in -90"),
        ("file,pitch_deg,yaw_deg\na.png,0,-181\n", "yaw_deg: '-181' is not an angle in -180"),
        ("file,pitch_deg,yaw_deg\na.png,1,2\nz.png,1,2\n", "line 3, column file: no image 'z.png'"),
        ("file,pitch_deg,yaw_deg\n../labels.csv,1,2\n", "no image"),
        ("file,pitch_deg,yaw_deg\na.png,1,2\n./a.png,1,2\n", "line 3, column file: 'a.png'"),
        ("file,pitch_deg,yaw_deg\na.png,1\n", "line 2"),
        ("file,pitch_deg,yaw_deg\na.png,1,2,3\n", "line 2"),
        ("file,pitch_deg,yaw_deg,side\na.png,1,2,left\n", "line 2, column side"),
        ("file,pitch_deg,yaw_deg,head_yaw_deg\na.png,1,2,x\n", "line 2, column head_yaw_deg"),
        ('file,pitch_deg,yaw_deg\n"a.png,1,2\n', "CSV"),
        ("file,pitch_deg,yaw_deg\n" + "a" * 200_000 + ",1,2\n", "CSV"),
    ],
)
def test_a_bad_table_is_one_line_naming_the_place(tmp_path, text, fault):
    with pytest.raises(UserError, match=fault) as caught:
        table(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_no_text(tmp_path):
    table(tmp_path, "file,pitch_deg,yaw_deg\na.png,1,2\n")
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"labels\.csv"):
        read_folder(tmp_path, tmp_path / "labels.csv")
    with pytest.raises(UserError, match="no such file"):
        read_folder(tmp_path, tmp_path / "none.csv")


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    for read in (read_folder, read_columbia):
        with pytest.raises(UserError, match="holds no PNG or JPEG"):
            read(tmp_path)
        with pytest.raises(UserError, match="no such folder"):
            read(tmp_path / "none")


def test_images_are_found_below_in_order(tmp_path):
    for name in ("b.PNG", "a/z.jpeg", "a/y.jpg", "c.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_images(tmp_path) == ["a/y.jpg", "a/z.jpeg", "b.PNG"]


def test_damaged_photographs_are_listed_with_a_reason(photos):
    listing, digest = check_readable(read_columbia(photos))
    assert len(listing.photos) == 3
    assert [name for name, _ in listing.skipped] == ["holiday.jpg", "0040_2m_0P_0V_0H_R.jpg"]
    assert "decoded" in listing.skipped[1][1]
    assert digest == check_readable(read_columbia(photos))[1]


def test_a_changed_label_or_photograph_is_another_import(tmp_path):
    first = table(tmp_path, "file,pitch_deg,yaw_deg\na.png,1,2\n")
    listing, digest = check_readable(first)
    out = tmp_path / "store"
    import_photographs(listing, digest, out, size=(8, 8))
    import_photographs(listing, digest, out, size=(8, 8))
    changed = check_readable(table(tmp_path, "file,pitch_deg,yaw_deg\na.png,1,3\n"))
    with pytest.raises(UserError, match="other photographs, labels or --equalise"):
        import_photographs(*changed, out, size=(8, 8))
    with pytest.raises(UserError, match="height: 8 -> 9"):
        import_photographs(listing, digest, out, size=(9, 8))


def test_a_name_that_is_not_unicode_is_skipped(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(encoded(noise(9, 9)))
    listing, _ = check_readable(read_folder(tmp_path))
    assert listing.skipped == ((r"'\udcff.png'", "its name is not Unicode"),)


def test_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no")
    missing = Listing((Photo(tmp_path / "gone.png", "gone.png"), *read_folder(tmp_path).photos))
    listing, digest = check_readable(missing)
    assert len(listing.skipped) == 2
    with pytest.raises(DataError, match="nothing to import"):
        import_photographs(listing, digest, tmp_path / "out")


def test_a_huge_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    monkeypatch.setattr("gazegan.data.photographs.MAX_BYTES", 10)
    (tmp_path / "a.png").write_bytes(encoded(noise(9, 9)))
    listing, _ = check_readable(read_folder(tmp_path))
    assert "larger" in listing.skipped[0][1]
