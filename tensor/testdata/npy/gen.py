"""Writes the .npy and .npz files of this folder with numpy (1.24): what npy_test.go reads."""
import io
import numpy as np
from numpy.lib import format as npf

a = (np.arange(24).reshape(2, 3, 4) * 3 - 7)
for code in ["<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "<c8", "<c16", ">f2", ">f4", ">f8", ">i2", ">i8", ">c16"]:
    name = code.replace("<", "le_").replace(">", "be_").replace("|", "")
    np.save(name, a.astype(code))
for code in ["|u1", "<u2", "<u4", "<u8", ">u4"]:
    np.save(code.replace("<", "le_").replace(">", "be_").replace("|", ""), np.abs(a).astype(code))
np.save("fortran", np.asfortranarray(a.astype(">i4")))
np.save("bool", a % 2 == 0)
np.save("scalar", np.float32(2.5))
np.save("empty", np.zeros((0, 3), np.int64))
np.save("unicode", np.array([["ä", "日本語"], ["", "x y"]]))
np.save("unicode_be_f", np.asfortranarray(np.array([["ä", "日本語"], ["", "x y"]]).astype(">U3")))
np.save("bytes", np.array([b"ab", b"", b"c"]))
np.save("raw2", np.array([0x3F80, 0xC000], np.uint16).view("V2"))
np.save("object", np.array([{}], object), allow_pickle=True)
np.save("record", np.zeros(2, [("x", "<f4"), ("y", "<i4")]))
with open("version2.npy", "wb") as f:
    npf.write_array(f, a.astype("<f4"), version=(2, 0))
with open("version3.npy", "wb") as f:
    npf.write_array(f, a.astype("<f4"), version=(3, 0))
np.savez("stored", x=a.astype("<f4"), y=np.arange(3))
np.savez_compressed("deflated", x=a.astype("<f4"), y=np.arange(3))
