"""What counts as an input of `rayline deid run`, and how contents become files."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from rayline.plugin import ConfigurationError, InMemory, LocalFile, Spliced, Stretch
from rayline_deid.inputs import find_inputs
from rayline_deid.outputs import Outputs, write_content


def found(*arguments: Path | str, output: Path | str = "nowhere") -> list[tuple[str, str]]:
    return [
        (each.path, each.relative) for each in find_inputs([str(each) for each in arguments], str(output))
    ]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b/2.dcm", "b/1.dcm", "a/deep/3.dcm", "0.dcm", ".hidden/4.dcm"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return Path("tree")


def test_a_folder_means_all_files_below_in_the_order_of_names(tree: Path) -> None:
    names = [".hidden/4.dcm", "0.dcm", "a/deep/3.dcm", "b/1.dcm", "b/2.dcm"]
    assert found(tree) == [(f"tree/{name}", name) for name in names]


def test_a_file_is_known_by_its_own_name(tree: Path) -> None:
    assert found(tree / "b/2.dcm") == [("tree/b/2.dcm", "2.dcm")]


def test_nothing_is_an_input_twice(tree: Path) -> None:
    assert len(found(tree, tree / "b", "tree/b/*.dcm", "tree/0.dcm")) == 5


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("tree/**/*.dcm", [".hidden/4.dcm", "0.dcm", "a/deep/3.dcm", "b/1.dcm", "b/2.dcm"]),
        ("tree/**", [".hidden/4.dcm", "0.dcm", "a/deep/3.dcm", "b/1.dcm", "b/2.dcm"]),
        ("tree/[ab]", ["a/deep/3.dcm", "b/1.dcm", "b/2.dcm"]),
        ("tree/b/[2-9].dcm", ["b/2.dcm"]),
    ],
)
def test_patterns_match_files_and_folders(tree: Path, pattern: str, names: list[str]) -> None:
    assert [path for path, _ in found(pattern)] == [f"tree/{name}" for name in names]


def test_a_name_that_looks_like_a_pattern_is_a_name_where_it_exists(tree: Path) -> None:
    (tree / "[1].dcm").write_bytes(b"")
    assert found(tree / "[1].dcm") == [("tree/[1].dcm", "[1].dcm")]


def test_links_are_followed_and_loops_end(tree: Path) -> None:
    (tree / "a/up").symlink_to("..")
    (tree / "a/self").symlink_to("self")
    (tree / "z").symlink_to("b")
    paths = [path for path, _ in found(tree)]
    assert sorted(paths) == sorted(set(paths))
    assert "tree/a/self" in paths  # it fails when it is read, and is reported
    assert [path for path in paths if path.endswith("1.dcm")] == ["tree/b/1.dcm"]


def test_the_output_folder_is_no_input(tree: Path) -> None:
    assert found(tree, output=tree / "b") == [
        ("tree/.hidden/4.dcm", ".hidden/4.dcm"),
        ("tree/0.dcm", "0.dcm"),
        ("tree/a/deep/3.dcm", "a/deep/3.dcm"),
    ]
    with pytest.raises(ConfigurationError, match="also an input"):
        found(tree, output=tree)


# -- contents to files ----------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> LocalFile:
    path = tmp_path / "source"
    path.write_bytes(bytes(range(256)) * 20_000)
    return LocalFile(path)


def mixed(source: LocalFile) -> Spliced:
    many = [bytes([number % 256]) * 3 for number in range(1_500)]
    return Spliced([b"head", Stretch(source, 100, 3_000_000), *many, Stretch(source, 7, 1), b"", b"tail"])


@pytest.mark.parametrize("kernel", ["copies", "refuses", "has no call", "stops early"])
def test_a_content_is_written_as_it_is(
    tmp_path: Path, source: LocalFile, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> int:
        raise OSError(errno.EXDEV, "other file systems")

    match kernel:
        case "refuses":
            monkeypatch.setattr(os, "copy_file_range", refuse)
        case "has no call":
            monkeypatch.delattr(os, "copy_file_range")
        case "stops early":
            monkeypatch.setattr(os, "copy_file_range", lambda *arguments: 0)
    content = mixed(source)
    path = tmp_path / "target"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    write_content(content, descriptor)
    os.close(descriptor)
    assert path.read_bytes() == content.whole()


def test_short_writes_are_continued(
    tmp_path: Path, source: LocalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: real(descriptor, [pieces[0][:2]]))
    content = mixed(source)
    path = tmp_path / "target"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    write_content(content, descriptor)
    os.close(descriptor)
    assert path.read_bytes() == content.whole()


def test_a_source_that_became_shorter_is_an_error(tmp_path: Path, source: LocalFile) -> None:
    content = mixed(source)
    os.truncate(tmp_path / "source", 1_000)
    with pytest.raises(OSError, match="became shorter"):
        Outputs(str(tmp_path / "out")).place(content, "a.dcm")
    assert list((tmp_path / "out").iterdir()) == []


def test_two_writers_never_take_each_other_s_name(tmp_path: Path) -> None:
    one, other = Outputs(str(tmp_path)), Outputs(str(tmp_path))
    assert one.place(InMemory(b"first"), "a/b.dcm") == ("a/b.dcm", True)
    assert other.place(InMemory(b"first"), "a/b.dcm") == ("a/b.dcm", False)
    name, is_new = other.place(InMemory(b"second"), "a/b.dcm")
    assert is_new
    assert one.place(InMemory(b"second"), "a/b.dcm") == (name, False)
    assert (tmp_path / "a/b.dcm").read_bytes() == b"first"
    assert (tmp_path / name).read_bytes() == b"second"
    assert len(list((tmp_path / "a").iterdir())) == 2
