"""Files of strangers: every lie is an error that names the file, and takes no memory."""

import io
import json
import os
import resource
import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import sxq
from sxq.graph.collection_readers import read_graphs
from sxq.graph.readers import read_npz
from sxq.models import architectures, weights

GRAPH = {"edge_index": np.array([[0, 1], [1, 2]]), "x": np.ones((3, 2), np.float32)}
SPARSE = {"x_indptr": [0, 1, 1, 1], "x_indices": [0], "x_shape": [3, 10**10]}
COLLECTION = {
    "node_ptr": [0, 2, 3],
    "edge_ptr": [0, 1, 1],
    "edge_index": [[0], [1]],
    "x": np.ones((3, 2)),
}
MOST = 500e6  # bytes that reading a bad file may take


def npy(array=None, *, shape=None, descr="<f4", fortran=False, body=b"", version=1):
    """The bytes of an .npy member, honest for an array and otherwise as told."""
    written = io.BytesIO()
    if array is not None:
        np.lib.format.write_array(written, np.asarray(array), allow_pickle=True)
        return written.getvalue()
    header = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + body


def write(path, members, method=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as file:
        warnings.simplefilter("ignore")  # of two members with one name
        for name, content in members:
            file.writestr(name, content)
    return path


def graph_file(path, **changed):
    members = {name: npy(array) for name, array in GRAPH.items()} | changed
    return write(path, [(f"{name}.npy", content) for name, content in members.items()])


def patched(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def encrypted(path):
    content = bytearray(graph_file(path).read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(mark)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(mark, place + 4)
    path.write_bytes(bytes(content))
    return path


def lying(path):
    """The directory of the zip says that a member of a few bytes holds 40 GB, and its header agrees."""
    header = npy(shape=(10**9, 10), descr="<f4")
    write(path, [("edge_index.npy", npy(GRAPH["edge_index"])), ("x.npy", header)])
    content = path.read_bytes()
    place = content.find(b"PK\x01\x02", content.find(b"PK\x01\x02") + 4)
    changed = bytearray(content)
    changed[place + 24 : place + 28] = struct.pack("<I", 4_000_000_000)
    path.write_bytes(bytes(changed))
    return path


BAD = {
    "a header of 37 GiB": lambda p: graph_file(p, x=npy(shape=(10**5, 10**5))),
    "a header of 8 EiB": lambda p: graph_file(p, x=npy(shape=(2**62, 2))),
    "a shape that overflows": lambda p: graph_file(p, x=npy(shape=(2**32, 2**32))),
    "a negative shape": lambda p: graph_file(p, x=npy(shape=(-1, 2))),
    "two negative dimensions": lambda p: graph_file(p, x=npy(shape=(-3, -2), body=bytes(24))),
    "nodes without number": lambda p: graph_file(p, x=npy(shape=(10**12, 0))),
    "a shape that is no tuple": lambda p: graph_file(p, x=npy(shape=3)),
    "a shape of text": lambda p: graph_file(p, x=npy(shape=("3", 2))),
    "too few bytes": lambda p: graph_file(p, x=npy(shape=(3, 2), body=bytes(20))),
    "too many bytes": lambda p: graph_file(p, x=npy(shape=(3, 2), body=bytes(28))),
    "no header": lambda p: graph_file(p, x=b"junk"),
    "an empty member": lambda p: graph_file(p, x=b""),
    "a header that is code": lambda p: graph_file(
        p, x=b"\x93NUMPY\x01\x00\x20\x00__import__('os').system('true')\n"
    ),
    "a header of another version": lambda p: graph_file(
        p, x=npy(shape=(3, 2), version=9, body=bytes(24))
    ),
    "a header that nests": lambda p: graph_file(p, x=b"\x93NUMPY\x01\x00\x00\x20" + b"(" * 8192),
    "objects": lambda p: graph_file(p, x=npy(np.array([{}, None], object))),
    "a structure": lambda p: graph_file(p, x=npy(np.zeros(3, [("a", "<f4")]))),
    "a structure with objects": lambda p: graph_file(p, x=npy(np.zeros(3, [("a", "O")]))),
    "text": lambda p: graph_file(p, x=npy(np.array(["a", "b"]))),
    "times": lambda p: graph_file(p, x=npy(np.zeros(3, "M8[s]"))),
    "complex numbers": lambda p: graph_file(p, x=npy(np.zeros((3, 2), complex))),
    "a scalar": lambda p: graph_file(p, x=npy(np.float32(1))),
    "encrypted": encrypted,
    "a lying directory": lying,
    "a bomb": lambda p: graph_file(p, x=npy(np.zeros((10**6, 4), np.float32))),
    "two of one name": lambda p: write(
        p, [(f"{name}.npy", npy(array)) for name, array in [*GRAPH.items(), ("x", GRAPH["x"])]]
    ),
    "a strange method": lambda p: write(
        p, [(f"{name}.npy", npy(array)) for name, array in GRAPH.items()], zipfile.ZIP_LZMA
    ),
    "a wrong checksum": lambda p: patched(
        write(p, [(f"{n}.npy", npy(a)) for n, a in GRAPH.items()], zipfile.ZIP_STORED),
        np.ones(6, np.float32).tobytes(),
        np.zeros(6, np.float32).tobytes(),
    ),
    "sparse features of 120 GB": lambda p: (
        graph_file(
            p, **{name: npy(np.array(array)) for name, array in SPARSE.items()}, x=npy(np.ones(3))
        )
        and write(
            p,
            [("edge_index.npy", npy(GRAPH["edge_index"]))]
            + [(f"{name}.npy", npy(np.array(array))) for name, array in SPARSE.items()],
        )
    ),
    "sparse features by fractions": lambda p: write(
        p,
        [("edge_index.npy", npy(GRAPH["edge_index"]))]
        + [(f"{name}.npy", npy(np.array(array, float))) for name, array in SPARSE.items()],
    ),
}


@pytest.fixture
def little_memory():
    """Less address space than the lies ask for: taking it would raise MemoryError, and is an error here."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_by_name(kind, tmp_path, little_memory):
    path = BAD[kind](tmp_path / "bad.npz")
    most = 10**7 if kind == "a bomb" else None
    with warnings.catch_warnings(), pytest.raises(sxq.DataError, match=r"bad\.npz"):
        warnings.simplefilter("error")
        read_npz(path, most)


@pytest.mark.parametrize(
    "changed",
    [
        {"edge_ptr": [0, 10**12, 10**12]},
        {"edge_ptr": [0, -1, 1]},
        {"edge_ptr": []},
        {"edge_ptr": [0.0, 1.0, 1.0]},
        {"node_ptr": [0, 10**12, 3]},
        {"node_ptr": [[0, 2, 3]]},
        {"edge_index": [0, 1]},
        {"node_label": np.full(10**6, 4096), "x": None},
    ],
    ids=str,
)
def test_a_bad_collection_is_refused_by_name(changed, tmp_path, little_memory):
    arrays = {name: array for name, array in (COLLECTION | changed).items() if array is not None}
    np.savez_compressed(tmp_path / "bad.npz", **arrays)
    with pytest.raises(sxq.DataError, match=r"bad\.npz"):
        read_graphs(tmp_path / "bad.npz")


def test_arrays_that_nobody_asks_for_are_not_read(tmp_path, little_memory):
    unused = {
        "big": npy(shape=(10**6, 10**6)),
        "objects": npy(np.array([{}, None], object)),
        "../../etc/passwd": npy([1]),
        "/root/x": b"junk",
    }
    graph = read_npz(graph_file(tmp_path / "good.npz", **unused))
    assert graph.num_nodes == 3


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f2", ">i2", "<u1", "?"])
@pytest.mark.parametrize("order", "CF")
def test_what_numpy_can_write_is_read(dtype, order, tmp_path):
    x = np.array([[1, 0], [0, 1], [1, 1]]).astype(dtype, order=order)
    edges = np.asfortranarray(np.array([[0, 1], [1, 2]], ">i4"))
    graph = read_npz(graph_file(tmp_path / "good.npz", x=npy(x), edge_index=npy(edges)))
    assert graph.x.tolist() == [[1, 0], [0, 1], [1, 1]] and graph.x.dtype == np.float32
    assert graph.edge_index.tolist() == [[0, 1], [1, 2]] and graph.edge_index.dtype.isnative


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
@pytest.mark.parametrize("statement", ["GRAPH h", "GRAPHS h", "MODEL m ON GRAPH g"])
def test_what_is_no_file_is_refused(make, statement, tmp_path):
    path = tmp_path / "no-file"
    make(path)
    with sxq.connect() as con, pytest.raises(sxq.DataError, match="no-file.*(folder|regular)"):
        con.execute("CREATE GRAPH g FROM NODES (SELECT 1 AS k) EDGES (SELECT 1 AS s, 1 AS d)")
        con.execute(
            f"CREATE {statement} FROM FILE '{path}'" + " (CLASSES = 2)" * ("MODEL" in statement)
        )


@pytest.mark.parametrize("path", ["a" * 300, "a/" * 3000, "a\0b", "\udcff", "~/none", ""])
@pytest.mark.parametrize("statement", ["GRAPH h", "GRAPHS h", "MODEL m ON GRAPH g"])
def test_paths_that_cannot_be(path, statement):
    with sxq.connect() as con, pytest.raises(sxq.Error):
        con.execute("CREATE GRAPH g FROM NODES (SELECT 1 AS k) EDGES (SELECT 1 AS s, 1 AS d)")
        con.execute(
            f"CREATE {statement} FROM FILE '{path}'" + " (CLASSES = 2)" * ("MODEL" in statement)
        )


def module():
    spec = architectures.ArchitectureSpec("gcn", 2, 2, layers=2, hidden=4)
    return architectures.build(spec)


def safetensors(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(shape, start, end, dtype="F32"):
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        safetensors({}, length=2**63),
        safetensors({}, length=10**9),
        safetensors(b"[" * 5000),
        safetensors(b"not json"),
        safetensors(entry([10**5, 10**5], 0, 4 * 10**10)),
        safetensors(entry([2**62, 4], 0, 0)),
        safetensors(entry([2], 0, 4), bytes(4)),
        safetensors(entry([1], 4, 8), bytes(8)),
        safetensors(entry([1], 8, 4), bytes(8)),
        safetensors(entry([-1], 0, 4), bytes(4)),
        safetensors(entry([1], 0, 4, "OBJECT"), bytes(4)),
        safetensors(entry([1], 0, 4), bytes(4)),  # honest, but not these weights
        b"PK\x03\x04" + bytes(100),
        b"\x80\x02" + bytes(100),
    ],
)
def test_bad_weights_are_refused_and_change_nothing(content, tmp_path, little_memory):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    target = module()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(sxq.Error):
        weights.load_weights(target, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state_dict().items())


def test_weights_of_another_size_are_not_read(tmp_path, little_memory):
    state = {name: torch.zeros(tensor.shape) for name, tensor in module().state_dict().items()}
    save_file(state, tmp_path / "good.safetensors")
    weights.load_weights(module(), tmp_path / "good.safetensors")
    path = tmp_path / "huge.safetensors"
    size = 4 * 10**9
    with path.open("wb") as file:  # it takes no space on the disk
        file.write(safetensors(entry([size // 4], 0, size)))
        file.truncate(file.tell() + size)
    with pytest.raises(sxq.ModelError, match="do not fit"):
        weights.load_weights(module(), path)
