from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch.testing import assert_close

from img2pc import open3d_process
from img2pc.cloud_files import PointArrays, read_cloud
from img2pc.errors import BadInputError, Img2pcError
from img2pc.pointclouds import PointCloud, write_ply

POINTS = [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-0.5, 0.25, 4.0]]
NORMALS = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]
COLOURS = [[255, 0, 0], [1, 2, 3], [0, 128, 255]]
BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}


def ply(
    kind: str,
    points: list[list[float]],
    normals: list[list[float]] | None = None,
    colours: list[list[int]] | None = None,
    announced: int | None = None,
) -> bytes:
    """A PLY file written by hand; its header may announce another number of points."""
    names = ["x", "y", "z", *(["nx", "ny", "nz"] if normals else [])]
    channels = ["red", "green", "blue"] if colours else []
    header = "\n".join(
        [
            "ply",
            f"format {kind} 1.0",
            f"element vertex {len(points) if announced is None else announced}",
            *(f"property float {name}" for name in names),
            *(f"property uchar {name}" for name in channels),
            "end_header\n",
        ]
    )
    floats = np.hstack([points, normals]) if normals else np.array(points)
    rows = [
        [*row, *colour] for row, colour in zip(floats, colours or [[]] * len(floats), strict=True)
    ]
    if kind == "ascii":
        body = "".join(" ".join(f"{value:g}" for value in row) + "\n" for row in rows)
        return (header + body).encode()
    order = BYTE_ORDERS[kind]
    table = [(name, f"{order}f4") for name in names] + [(name, "u1") for name in channels]
    return header.encode() + np.array([tuple(row) for row in rows], dtype=table).tobytes()


def assert_all_there(cloud: PointArrays) -> None:
    assert cloud.points.tolist() == POINTS
    assert cloud.normals is not None
    assert cloud.normals.tolist() == NORMALS
    assert cloud.colours is not None
    assert cloud.colours.tolist() == COLOURS


@pytest.mark.parametrize("end", [b"\n", b"\r\n \n", b"  "])
def test_blank_lines_at_the_end_are_no_rows(end: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cloud.ply"
    path.write_bytes(ply("ascii", POINTS) + end)
    assert read_cloud(path).points.tolist() == POINTS


def pcd_header(count: int, *more_names: str) -> str:
    """Of an ASCII PCD file with x, y, z and more columns, the last of them packed colours."""
    more = len(more_names)
    kinds = ["F"] * (2 + more) + ["U"] if more else ["F"] * 3
    return "\n".join(
        [
            "VERSION .7",
            " ".join(["FIELDS x y z", *more_names]),
            " ".join(["SIZE", *["4"] * (3 + more)]),
            " ".join(["TYPE", *kinds]),
            " ".join(["COUNT", *["1"] * (3 + more)]),
            f"WIDTH {count}",
            "HEIGHT 1",
            "VIEWPOINT 0 0 0 1 0 0 0",
            f"POINTS {count}",
            "DATA ascii\n",
        ]
    )


def saved(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("kind", ["ascii", *BYTE_ORDERS])
@pytest.mark.parametrize("normals", [None, NORMALS])
@pytest.mark.parametrize("colours", [None, COLOURS])
def test_ply_files_with_and_without_normals_and_colours(
    kind: str,
    normals: list[list[float]] | None,
    colours: list[list[int]] | None,
    tmp_path: Path,
) -> None:
    cloud = read_cloud(saved(tmp_path / "cloud.ply", ply(kind, POINTS, normals, colours)))
    assert cloud.points.tolist() == POINTS
    assert (None if cloud.normals is None else cloud.normals.tolist()) == normals
    assert (None if cloud.colours is None else cloud.colours.tolist()) == colours


@pytest.mark.parametrize("kind", ["ascii", *BYTE_ORDERS])
def test_a_single_point_is_a_cloud(kind: str, tmp_path: Path) -> None:
    cloud = read_cloud(saved(tmp_path / "cloud.ply", ply(kind, POINTS[1:2], NORMALS[1:2])))
    assert cloud.points.tolist() == [[1, 2, 3]]
    assert cloud.normals is not None
    assert cloud.normals.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("coloured", [False, True])
def test_what_write_ply_wrote_is_read(coloured: bool, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    cloud = PointCloud(
        torch.rand(100, 3, generator=generator) - 0.5,
        torch.nn.functional.normalize(torch.randn(100, 3, generator=generator), dim=-1),
        torch.zeros(100, dtype=torch.int64),
        torch.ones(100),
        torch.arange(300).reshape(100, 3).to(torch.uint8) if coloured else None,
    )
    write_ply(tmp_path / "cloud.ply", cloud)
    again = read_cloud(tmp_path / "cloud.ply")
    assert_close(torch.from_numpy(again.points).float(), cloud.points)
    assert_close(torch.from_numpy(again.normals).float(), cloud.normals)
    expected = cloud.arrays().colours
    assert (again.colours is None) == (expected is None)
    assert np.array_equal(again.colours, expected)


def test_xyz_files_with_and_without_normals(tmp_path: Path) -> None:
    cloud = read_cloud(saved(tmp_path / "points.xyz", "0 0 0\n1\t2  3\r\n\n-0.5 0.25 4e0\n"))
    assert cloud.points.tolist() == POINTS
    assert cloud.normals is None
    rows = [
        " ".join(map(str, [*point, *normal])) for point, normal in zip(POINTS, NORMALS, strict=True)
    ]
    cloud = read_cloud(saved(tmp_path / "normals.xyz", "\n".join(rows)))
    assert cloud.points.tolist() == POINTS
    assert cloud.normals is not None
    assert cloud.normals.tolist() == NORMALS


@pytest.mark.parametrize("names", ["", "x y z r g b\n", "X,Y,Z,R,G,B\n"])
def test_whole_numbers_in_an_xyz_file_are_colours(names: str, tmp_path: Path) -> None:
    cloud = read_cloud(saved(tmp_path / "cloud.xyz", names + "0 0 0 255 0 0\n1 2 3 0 1 0\n"))
    assert cloud.points.tolist() == POINTS[:2]
    assert cloud.normals is None
    assert cloud.colours is not None
    assert cloud.colours.tolist() == [[255, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("columns", ["0.5 0 0", "256 0 0", "-2 0 0", "7 7"])
def test_other_columns_of_an_xyz_file_are_left_out(columns: str, tmp_path: Path) -> None:
    rows = "".join(f"{x} 2 3 {columns}\n" for x in (1, 2))
    cloud = read_cloud(saved(tmp_path / "cloud.xyz", rows))
    assert cloud.points.tolist() == [[1, 2, 3], [2, 2, 3]]
    assert cloud.normals is None
    assert cloud.colours is None


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("", "{c} {n}"),
        ("", "{n} {c}"),
        ("", "-0.5 {c} {n}"),
        ("", "{n} 0.5 {c}"),
        ("//X Y Z R G B Nx Ny Nz\n", "{c} {n}"),
        ("x;y;z;intensity;red;green;blue;nx;ny;nz\n", "7 {c} {n}"),
        ("X,Y,Z,nx,ny,nz,label,R,G,B\n", "{n} 7 {c}"),
        ("x y z normal_x normal_y normal_z diffuse_red diffuse_green diffuse_blue\n", "{n} {c}"),
        ("x y z i j k r g b\n", "{n} {c}"),
        ('"X","Y","Z","nx","ny","nz","R","G","B"\n', "{n} {c}"),
        ("x\ty\tz\tnx\tny\tnz\tu\tv\tw\n", "{n} {c}"),
        ("3\n", "{c} {n}"),
    ],
)
def test_normals_and_colours_of_an_xyz_file(first: str, columns: str, tmp_path: Path) -> None:
    rows = [
        "{} {} {} ".format(*point)
        + columns.format(c="{} {} {}".format(*colour), n="{} {} {}".format(*normal))
        for point, colour, normal in zip(POINTS, COLOURS, NORMALS, strict=True)
    ]
    cloud = read_cloud(saved(tmp_path / "cloud.xyz", first + "\n".join(rows)))
    assert_all_there(cloud)


@pytest.mark.parametrize(
    ("columns", "colours"),
    [
        ("-7.5 {}", COLOURS),
        ("{} -7.5", COLOURS),
        ("300 {}", COLOURS),
        ("7 {}", None),  # which three?
        ("{} 7", None),
        ("30000 1 2 5", None),  # of a lidar: intensity, return, returns, class
    ],
)
def test_colours_are_what_nothing_else_could_be(
    columns: str, colours: object, tmp_path: Path
) -> None:
    rows = [
        "{} {} {} ".format(*point) + columns.format("{} {} {}".format(*colour))
        for point, colour in zip(POINTS, COLOURS, strict=True)
    ]
    cloud = read_cloud(saved(tmp_path / "cloud.xyz", "\n".join(rows)))
    assert cloud.points.tolist() == POINTS
    assert cloud.normals is None
    assert (None if cloud.colours is None else cloud.colours.tolist()) == colours


def test_rows_are_dropped_for_their_coordinates_alone(tmp_path: Path) -> None:
    text = "intensity x y z\nnan 0 0 0\n1 nan 2 3\n5 1 2 3\n"
    cloud = read_cloud(saved(tmp_path / "cloud.xyz", text))
    assert cloud.points.tolist() == POINTS[:2]


def test_named_coordinates_may_stand_anywhere(tmp_path: Path) -> None:
    cloud = read_cloud(saved(tmp_path / "cloud.xyz", "id z y x\n9 0 0 0\n8 3 2 1\n"))
    assert cloud.points.tolist() == POINTS[:2]


@pytest.mark.parametrize(
    "text",
    ["1,5 2,25 -3,75\n0,5 1 2\n", "1,5;2,25;-3,75\n0,5;1;2\n", "1,5e0 22,5E-1 -3,75\n,5 1 2\n"],
)
def test_decimal_commas_are_no_separators(text: str, tmp_path: Path) -> None:
    cloud = read_cloud(saved(tmp_path / "cloud.xyz", text))
    assert cloud.points.tolist() == [[1.5, 2.25, -3.75], [0.5, 1, 2]]
    cloud = read_cloud(saved(tmp_path / "cloud.xyz", "1,5,2\n3, 4, 5\n"))
    assert cloud.points.tolist() == [[1, 5, 2], [3, 4, 5]]


@pytest.mark.parametrize("suffix", ["xyz", "pts"])
def test_scans_may_follow_each_other_with_their_numbers(suffix: str, tmp_path: Path) -> None:
    text = "2\n0 0 0\n1 2 3\n1\n-0.5 0.25 4\n"
    assert read_cloud(saved(tmp_path / f"cloud.{suffix}", text)).points.tolist() == POINTS
    with pytest.raises(BadInputError, match="3 points announced, 2 there"):
        read_cloud(saved(tmp_path / f"cloud.{suffix}", text.rpartition("-")[0]))


@pytest.mark.parametrize("suffix", ["xyz", "pts"])
def test_a_long_scan_takes_little_more_memory_than_its_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scan.{suffix}"
    rng = np.random.default_rng(0)
    np.savetxt(path, rng.uniform(-9, 9, (30_000, 3)), fmt="%.15f")
    read_cloud(path)
    tracemalloc.start()
    try:
        assert len(read_cloud(path).points) == 30_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * path.stat().st_size


@pytest.mark.parametrize("mark", ["#", "//"])
def test_comments_in_an_xyz_file_are_skipped(mark: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "cloud.xyz", f"{mark} x y z nx ny nz\n0 0 0 0 0 1\n1 2 3 1 0 0\n")
    assert read_cloud(path).points.tolist() == POINTS[:2]


def test_points_of_an_obj_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "cloud.obj", "v 0 0 0\nv 1 2 3\nv -0.5 0.25 4\n")
    assert read_cloud(path).points.tolist() == POINTS


def test_colours_of_an_obj_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "cloud.obj", "v 0 0 0 1 0 0\nv 1 2 3 0 0.2 1\n")
    cloud = read_cloud(path)
    assert cloud.points.tolist() == POINTS[:2]
    assert cloud.colours is not None
    assert cloud.colours.tolist() == [[255, 0, 0], [0, 51, 255]]


@pytest.mark.parametrize("colours", ["255 0 10|0 51 255", "1 0 0.04|0 0.2 1"])
def test_normals_and_colours_of_an_obj_file(
    colours: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 8 bits or from 0 to 1; there must be as many normals as points."""
    one, other = colours.split("|")
    text = f"# cloud\nv 0 0 0 {one}\nvn 0 0 1\n\nv 1 2 3 {other}\nvn 1 0 0\n"
    cloud = read_cloud(saved(tmp_path / "cloud.obj", text))
    assert cloud.normals is not None
    assert cloud.colours is not None
    assert cloud.normals.tolist() == NORMALS[:2]
    assert cloud.colours.tolist() == [[255, 0, 10], [0, 51, 255]]
    assert caplog.messages == []
    assert read_cloud(saved(tmp_path / "more.obj", text + "vn 0 1 0\n")).normals is None
    assert "more.obj has not as many normals as points" in caplog.text


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("uchar", [[1, 0, 1], [0, 0, 0]], [[1, 0, 1], [0, 0, 0]]),
        ("ushort", [[65535, 0, 32768], [257, 0, 0]], [[255, 0, 128], [1, 0, 0]]),
        ("ushort", [[255, 0, 7], [0, 0, 0]], [[255, 0, 7], [0, 0, 0]]),
        ("float", [[1, 0, 0.5], [0, 0, 0.2]], [[255, 0, 128], [0, 0, 51]]),
        ("float", [[255, 0, 7], [0, 0, 0]], [[255, 0, 7], [0, 0, 0]]),
        ("float", [[-1, 0, 0], [0, 0, 0]], None),
        ("float", [["nan", 0, 0], [0, 0, 0]], None),
    ],
)
def test_colours_of_any_depth(
    kind: str, values: list[list[float]], expected: list[list[int]] | None, tmp_path: Path
) -> None:
    names = "".join(f"property {kind} {name}\n" for name in ("red", "green", "blue"))
    rows = "".join(f"{x} 0 0 {' '.join(map(str, row))}\n" for x, row in enumerate(values))
    axes = "".join(f"property float {name}\n" for name in "xyz")
    header = f"ply\nformat ascii 1.0\nelement vertex {len(values)}\n{axes}{names}end_header\n"
    colours = read_cloud(saved(tmp_path / "cloud.ply", header + rows)).colours
    assert (None if colours is None else colours.tolist()) == expected


@pytest.mark.parametrize("suffix", ["xyz", "pts", "obj"])
def test_a_byte_order_mark_is_none_of_the_text(suffix: str, tmp_path: Path) -> None:
    v = "v " if suffix == "obj" else ""
    path = saved(tmp_path / f"cloud.{suffix}", f"\ufeff{v}0 0 0\n{v}1 2 3\n")
    assert read_cloud(path).points.tolist() == POINTS[:2]


@pytest.mark.parametrize("far", [1e20, 1e155, 1.7e308])
def test_what_scanners_write_for_nothing_is_no_point(far: float, tmp_path: Path) -> None:
    path = saved(tmp_path / "cloud.xyz", f"0 0 0\n{far} {far} {far}\n1 2 3\n")
    assert read_cloud(path).points.tolist() == POINTS[:2]


def test_pcd_files_are_read_with_open3d(tmp_path: Path) -> None:
    """Points, normals, packed colours; the point that is not finite goes."""
    header = pcd_header(4, "normal_x", "normal_y", "normal_z", "rgb")
    packed = [red << 16 | green << 8 | blue for red, green, blue in COLOURS]
    rows = [
        " ".join(map(str, [*point, *normal, colour]))
        for point, normal, colour in zip(POINTS, NORMALS, packed, strict=True)
    ]
    text = header + "\n".join([*rows, "nan 0 0 0 0 1 0"]) + "\n"
    cloud = read_cloud(saved(tmp_path / "cloud.pcd", text))
    assert_all_there(cloud)


def test_pcd_files_without_open3d_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "cloud.pcd", pcd_header(1) + "0 0 0\n")
    monkeypatch.setattr(open3d_process.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Img2pcError, match="Open3D is not installed; it has releases for Python"):
        read_cloud(path)


@pytest.mark.parametrize(
    ("between", "coloured"), [("", False), (" -7.5", False), ("", True), (" -7.5", True)]
)
def test_pts_files(between: str, coloured: bool, tmp_path: Path) -> None:
    """With and without intensity, colours and a count."""
    rows = [
        " ".join(map(str, point)) + between + (" {} {} {}".format(*colour) if coloured else "")
        for point, colour in zip(POINTS, COLOURS, strict=True)
    ]
    for count in ([str(len(rows))], []):
        cloud = read_cloud(saved(tmp_path / "cloud.pts", "\n".join([*count, *rows]) + "\n"))
        assert cloud.points.tolist() == POINTS
        assert cloud.normals is None
        assert (None if cloud.colours is None else cloud.colours.tolist()) == (
            COLOURS if coloured else None
        )


def test_colours_of_a_pts_file_that_are_none_are_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "cloud.pts", "0 0 0 nan 0 0\n1 2 3 0 0 0\n")
    assert read_cloud(path).colours is None


@pytest.mark.parametrize("text", ["3\n0 0 0\n1 2 3\n", "2\n0 0 0\noops\n", "0 0\n1 2\n", "\n"])
def test_damaged_pts_files(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"cloud\.pts"):
        read_cloud(saved(tmp_path / "cloud.pts", text))


def test_a_pcd_file_with_fewer_points_than_announced_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "cloud.pcd", pcd_header(100) + "0 0 0\n1 2 3\n")
    with pytest.raises(BadInputError, match=r"cloud\.pcd"):
        read_cloud(path)


@pytest.mark.parametrize("kind", ["ascii", *BYTE_ORDERS])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_dropped(kind: str, number: float, tmp_path: Path) -> None:
    points = [POINTS[0], [0, number, 0], *POINTS[1:]]
    normals = [NORMALS[0], [0, 0, 0], *NORMALS[1:]]
    colours = [COLOURS[0], [9, 9, 9], *COLOURS[1:]]
    cloud = read_cloud(saved(tmp_path / "cloud.ply", ply(kind, points, normals, colours)))
    assert_all_there(cloud)


@pytest.mark.parametrize("bad", [[0.0, 0, 0], [np.nan, 0, 1], [np.inf, 0, 0]])
@pytest.mark.parametrize("suffix", [".ply", ".xyz"])
def test_the_few_points_without_a_normal_are_left_out(
    bad: list[float], suffix: str, tmp_path: Path
) -> None:
    points = [[float(i), 0, 0] for i in range(40)]
    normals = [[0.0, 0, 1]] * 39 + [bad]
    text = "\n".join(" ".join(map(str, p + n)) for p, n in zip(points, normals, strict=True))
    content = ply("ascii", points, normals) if suffix == ".ply" else text.encode()
    cloud = read_cloud(saved(tmp_path / f"cloud{suffix}", content))
    assert cloud.points.tolist() == points[:39]
    assert cloud.normals is not None
    assert cloud.normals.tolist() == normals[:39]


@pytest.mark.parametrize("rest", ["0 0 1", "200 100 50"])
def test_a_row_of_nan_takes_nothing_from_the_others(rest: str, tmp_path: Path) -> None:
    content = f"0 0 0 {rest}\n1 0 0 {rest}\n{' '.join(['nan'] * 6)}\n"
    cloud = read_cloud(saved(tmp_path / "cloud.xyz", content.encode()))
    kept = cloud.normals if rest == "0 0 1" else cloud.colours
    assert kept is not None
    assert kept.tolist() == [[float(value) for value in rest.split()]] * 2


@pytest.mark.parametrize("bad", [[0.0, 0, 0], [np.nan, 0, 1], [np.inf, 0, 0]])
def test_normals_are_dropped_if_many_are_no_directions(
    bad: list[float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = ply("binary_little_endian", POINTS, [*NORMALS[:2], bad], COLOURS)
    cloud = read_cloud(saved(tmp_path / "cloud.ply", content))
    assert cloud.points.tolist() == POINTS
    assert cloud.normals is None
    assert cloud.colours is not None
    assert cloud.colours.tolist() == COLOURS
    assert "1 of 3 normals have" in caplog.text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((f"empty{suffix}", b"") for suffix in (".ply", ".obj", ".xyz", ".pcd", ".pts")),
        *((f"garbage{suffix}", b"garbage\x00\xff") for suffix in (".ply", ".obj", ".xyz")),
        ("header.ply", b"ply\nformat ascii 1.0\nend_header"),
        ("zero.ply", ply("ascii", POINTS, announced=0)),
        ("truncated.ply", ply("binary_little_endian", POINTS, NORMALS)[:-2]),
        ("more.ply", ply("binary_little_endian", POINTS, announced=4)),
        ("fewer.ply", ply("binary_little_endian", POINTS, announced=2)),
        ("more-big.ply", ply("binary_big_endian", POINTS, announced=4)),
        ("more-ascii.ply", ply("ascii", POINTS, announced=4)),
        ("more-ascii-normals.ply", ply("ascii", POINTS, NORMALS, COLOURS, announced=4)),
        ("nan.ply", ply("ascii", [[np.nan] * 3] * 2)),
        ("nan-binary.ply", ply("binary_little_endian", [[np.nan] * 3] * 2)),
        ("nan.xyz", b"nan nan nan\ninf 0 0\n"),
        ("columns.xyz", b"1 2\n3 4\n"),
        ("ragged.xyz", b"1 2 3\n4 5\n"),
        ("words.xyz", b"1 2 three\n4 5 six\n"),
        ("cloud.foo", b"0 0 0\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_files_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    path = saved(tmp_path / name, content)
    with pytest.raises(BadInputError) as raised:
        read_cloud(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("suffix", [".ply", ".obj"])
def test_a_mesh_is_no_cloud(suffix: str, tmp_path: Path) -> None:
    trimesh.creation.box().export(tmp_path / f"box{suffix}")
    with pytest.raises(BadInputError, match=rf"box\{suffix} is a mesh, not a point cloud"):
        read_cloud(tmp_path / f"box{suffix}")


def test_folders_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.ply").mkdir()
    for name in ("folder.ply is not a file", "missing.ply does not exist", "missing.pcd does not"):
        with pytest.raises(BadInputError, match=name):
            read_cloud(tmp_path / name.split()[0])
