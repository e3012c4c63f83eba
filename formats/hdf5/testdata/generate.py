#!/usr/bin/env python3
"""Makes the fixtures in this folder, with h5py 3.7 and libhdf5 1.10.

Each dataset and attribute holds (i*mul) % mod + add for its elements i in
row-major order; the attribute "rule" holds mul, mod and add.
"""
import ctypes
import glob

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5t

lib = ctypes.CDLL(glob.glob("/usr/lib/*/libhdf5_serial.so*")[0])


def call(name, obj, *args):
    if getattr(lib, name)(ctypes.c_int64(obj.id), *map(ctypes.c_uint, args)) < 0:
        raise RuntimeError(name)


def values(shape, dtype, rule):
    mul, mod, add = rule
    n = int(np.prod(shape))
    return ((np.arange(n) * mul) % mod + add).astype(dtype).reshape(shape)


def low(f, name, tid, shape, rule, dtype, setup=None, chunks=None, maxshape=None):
    space = h5s.create_simple(shape, maxshape or shape)
    p = h5p.create(h5p.DATASET_CREATE)
    if chunks:
        p.set_chunk(chunks)
    if setup:
        setup(p)
    d = h5d.create(f.id, name.encode(), tid, space, p)
    d.write(h5s.ALL, h5s.ALL, values(shape, dtype, rule))
    h5py.Dataset(d).attrs["rule"] = rule


def high(f, name, shape, dtype, rule, **kw):
    f.create_dataset(name, data=values(shape, dtype, rule), **kw).attrs["rule"] = rule


def nbit():
    f = h5py.File("nbit.h5", "w", libver="latest")
    nb = lambda p: call("H5Pset_nbit", p)

    def t(base, precision, offset):
        t = base.copy()
        t.set_precision(precision)
        t.set_offset(offset)
        return t

    low(f, "i17", t(h5t.STD_I32LE, 17, 4), (40,), [3001, 120001, -60000], "i4", nb, (13,))
    low(f, "u11be", t(h5t.STD_U16BE, 11, 3), (40,), [77, 2000, 0], "u2", nb, (13,))
    low(f, "i5", t(h5t.STD_I8LE, 5, 2), (40,), [7, 31, -15], "i1", nb, (13,))
    low(f, "i40", t(h5t.STD_I64LE, 40, 0), (20,), [123456789, 2**34, -2**33], "i8", nb, (13,))
    low(f, "plain", h5t.STD_I32BE, (10,), [7, 50, -20], "i4", nb, (4,))
    x = h5t.IEEE_F32BE.copy()
    x.set_fields(26, 20, 6, 7, 13)
    x.set_offset(7)
    x.set_precision(20)
    x.set_ebias(31)
    low(f, "f20", x, (30,), [3, 32, -16], "f4", nb, (16,))

    def all_filters(p):
        nb(p)
        p.set_shuffle()
        p.set_deflate(4)
        p.set_fletcher32()

    low(f, "mix", t(h5t.STD_I32LE, 12, 0), (20, 7), [77, 4001, -2000], "i4", all_filters, (9, 3))
    f.close()


def scaleoffset():
    f = h5py.File("scaleoffset.h5", "w", libver="latest")
    for dt in ["i1", "u1", ">i2", "u2", "i4", ">u4", "i8", ">u8"]:
        name = dt.replace(">", "be_")
        add = 3 if "u" in dt else -50
        high(f, name, (30,), dt, [7, 100, add], chunks=(19,), scaleoffset=0)
        high(f, name + "_fill", (30,), dt, [7, 10, add], chunks=(19,), scaleoffset=0, fillvalue=add)
        high(f, name + "_const", (30,), dt, [0, 1, 9], chunks=(19,), scaleoffset=0)
    for dt in ["f4", "f8", ">f4", ">f8"]:
        name = dt.replace(">", "be_")
        high(f, name, (30,), dt, [7, 100, -50], chunks=(19,), scaleoffset=2, compression=1)
        high(f, name + "_fill", (30,), dt, [7, 10, -5], chunks=(19,), scaleoffset=1, fillvalue=-5)
    f.close()


def shared():
    for name in ["sohm_old.h5", "sohm_new.h5"]:
        c = h5p.create(h5p.FILE_CREATE)
        call("H5Pset_shared_mesg_nindexes", c, 2)
        call("H5Pset_shared_mesg_index", c, 0, 0x02 | 0x08 | 0x20 | 0x800, 10)
        call("H5Pset_shared_mesg_index", c, 1, 0x1000, 10)
        call("H5Pset_shared_mesg_phase_change", c, 3, 2)
        a = h5p.create(h5p.FILE_ACCESS)
        if "new" in name:
            a.set_libver_bounds(h5f.LIBVER_LATEST, h5f.LIBVER_LATEST)
        f = h5py.File(h5f.create(name.encode(), h5f.ACC_TRUNC, c, a))
        for i in range(4):
            high(f, "d%d" % i, (i + 2,), "f4", [2, 7, 1], chunks=(2,), compression=1, fillvalue=3.0)
            for j in range(3):
                f["d%d" % i].attrs["a%d" % j] = values((6,), "i2", [2, 7, 1])
        f.close()


def indexes():
    f = h5py.File("indexes.h5", "w", libver="latest")
    high(f, "fixed_paged", (2100,), "u1", [7, 250, 1], chunks=(1,))
    high(f, "fixed_gz", (40, 3), "i4", [7, 250, 1], chunks=(3, 2), compression=1)
    high(f, "ext", (700,), "u1", [7, 250, 1], chunks=(1,), maxshape=(None,))
    high(f, "ext_gz", (8, 9, 10), "i2", [7, 250, 1], chunks=(3, 4, 5), maxshape=(20, None, 30), compression=1)
    high(f, "btree", (30, 40), "u1", [7, 250, 1], chunks=(2, 2), maxshape=(None, None))
    high(f, "btree_gz", (30, 40), "i2", [7, 250, 1], chunks=(7, 9), maxshape=(None, None), compression=1)
    early = lambda p: p.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    low(f, "implicit", h5t.STD_I32LE, (7, 9), [7, 250, 1], "i4", early, (2, 4), (11, 20))

    def edges(p):
        p.set_deflate(5)
        call("H5Pset_chunk_opts", p, 2)

    low(f, "raw_edges", h5t.STD_I32LE, (7, 9), [7, 250, 1], "i4", edges, (2, 4))
    f.close()


def heaps():
    f = h5py.File("heaps.h5", "w", libver="latest")
    g = f.create_group("links")
    for i in range(200):
        g["link_%03d_%s" % (i, "x" * (i % 30))] = h5py.SoftLink("/target%d" % i)
    g = f.create_group("attrs")
    for i in range(60):
        g.attrs["a%02d" % i] = values((i % 40,), "u1", [7, 250, 1])
    g.attrs["huge"] = values((5000,), "u1", [7, 250, 1])
    f.close()


def sizes():
    c = h5p.create(h5p.FILE_CREATE)
    c.set_sizes(4, 4)
    call("H5Pset_istore_k", c, 2)
    call("H5Pset_sym_k", c, 3, 2)
    f = h5py.File(h5f.create(b"sizes4.h5", h5f.ACC_TRUNC, c))
    high(f, "x", (30, 10), "i2", [7, 250, 1], chunks=(3, 4))
    f["strings"] = ["a", "bb"]
    for i in range(30):
        f["member%d" % i] = h5py.SoftLink("/x")
    f.close()


def refused():
    f = h5py.File("refused.h5", "w", libver="latest")
    v = h5py.VirtualLayout((5,), "i4")
    v[:] = h5py.VirtualSource("other.h5", "x", (5,))
    f.create_virtual_dataset("virtual", v)
    p = h5p.create(h5p.DATASET_CREATE)
    p.set_external(b"external.bin", 0, 40)
    h5d.create(f.id, b"external", h5t.STD_I32LE, h5s.create_simple((10,)), p)
    f["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
    f.close()


for fn in [nbit, scaleoffset, shared, indexes, heaps, sizes, refused]:
    fn()
