"""Writes operations.json: calls of keras.ops with what NumPy computes for them."""
import json, math, os
import numpy as np

rng = np.random.default_rng(7)
f32 = np.float32
A = rng.normal(size=(2, 3, 4)).astype(f32)
B = rng.normal(size=(2, 3, 4)).astype(f32)
P = (np.abs(A) + 0.3).astype(f32)
U = rng.uniform(-0.9, 0.9, size=(2, 3, 4)).astype(f32)
I = rng.integers(1, 20, size=(2, 5)).astype(np.int32)
J = rng.integers(1, 6, size=(2, 5)).astype(np.int32)
N = A.copy(); N[0, 1, 2] = np.nan; N[1, 0, 0] = np.nan
M = (rng.normal(size=(2, 4, 4)) + 3 * np.eye(4)).astype(f32)
S = (M @ M.transpose(0, 2, 1)).astype(f32)
L = np.tril(M).astype(f32)
C3 = rng.normal(size=(2, 4, 3)).astype(f32); D3 = rng.normal(size=(2, 4, 3)).astype(f32)
IMG = rng.uniform(size=(2, 6, 5, 3)).astype(f32)
SIG = rng.normal(size=(2, 20)).astype(f32)
sig = lambda x: 1 / (1 + np.exp(-x))
cases = []
short = lambda x: [v if not np.isfinite(v) else float("%.9g" % v) for v in np.asarray(x, dtype=np.float64).ravel()]

def case(op, ins, want, config=None, args=None, kwargs=None):
    want = want if isinstance(want, (list, tuple)) else [want]
    cases.append(dict(op=op, config=config or {}, args=args, kwargs=kwargs or {},
                      inputs=[dict(dtype=str(x.dtype), shape=list(x.shape), data=short(x)) for x in ins],
                      want=[dict(shape=list(np.shape(w)), data=short(w)) for w in want]))

for op, fn, x in [("Fabs", np.abs, A), ("Cbrt", np.cbrt, A), ("Deg2rad", np.deg2rad, A), ("Rad2deg", np.rad2deg, A), ("Exp2", np.exp2, A),
                  ("Signbit", np.signbit, A), ("Sinc", np.sinc, A), ("Trunc", np.trunc, A * 3), ("I0", np.i0, A * 3), ("Isfinite", np.isfinite, N),
                  ("Isinf", np.isinf, N), ("Angle", np.angle, A), ("NanToNum", np.nan_to_num, N), ("Log2", np.log2, P), ("Log10", np.log10, P),
                  ("Real", np.real, A), ("Imag", np.imag, A), ("Fliplr", np.fliplr, A), ("Flipud", np.flipud, A), ("Rot90", np.rot90, A),
                  ("Tril", np.tril, A), ("Triu", np.triu, A), ("Diff", np.diff, A), ("Sort", np.sort, A), ("Argsort", np.argsort, A)]:
    case(op, [x], fn(x))
erf = np.vectorize(math.erf)
for op, fn in [("Hypot", np.hypot), ("Logaddexp", np.logaddexp), ("Logaddexp2", np.logaddexp2), ("Fmod", np.fmod), ("Heaviside", np.heaviside),
               ("Arctan2", np.arctan2), ("FloorDivide", np.floor_divide), ("Mod", np.mod)]:
    case(op, [A, B], fn(A, B))
case("Fmax", [N, B], np.fmax(N, B)); case("Fmin", [N, B], np.fmin(N, B)); case("Ldexp", [A, I[:, :3, None].astype(np.int32)], np.ldexp(A, I[:, :3, None]))
for op, fn in [("Gcd", np.gcd), ("Lcm", np.lcm), ("BitwiseAnd", np.bitwise_and), ("BitwiseOr", np.bitwise_or), ("BitwiseXor", np.bitwise_xor), ("LeftShift", np.left_shift), ("RightShift", np.right_shift)]:
    case(op, [I, J], fn(I, J))
case("BitwiseNot", [I], ~I)
case("Isclose", [A, A + f32(1e-6)], np.isclose(A, A + f32(1e-6)))
case("IsIn", [I, J], np.isin(I, J))
case("Round", [A], np.round(A, 2), {"decimals": 2}); case("Clip", [A], np.clip(A, -0.5, None), {"x_min": -0.5, "x_max": None})
case("Roll", [A], np.roll(A, 2, 2), {"shift": 2, "axis": 2}); case("Roll", [A], np.roll(A, [1, -1], [1, 2]), {"shift": [1, -1], "axis": [1, 2]})
case("Rot90", [A], np.rot90(A, 3, (1, 2)), {"k": 3, "axes": [1, 2]}); case("Append", [A, B], np.append(A, B, 1), {"axis": 1})
case("Hstack", [A, B], np.hstack([A, B]), args=[["$0", "$1"]]); case("Dstack", [A, B], np.dstack([A, B]), args=[["$0", "$1"]]); case("Vstack", [A, B], np.vstack([A, B]), args=[["$0", "$1"]])
case("Hsplit", [A], np.hsplit(A, 3), {"indices_or_sections": 3}); case("Dsplit", [A], np.dsplit(A, [1, 3]), {"indices_or_sections": [1, 3]})
case("ArraySplit", [A], np.array_split(A, 3, 2), {"indices_or_sections": 3, "axis": 2}); case("Unstack", [A], [A[:, i] for i in range(3)], {"axis": 1})
case("Diagonal", [M], np.diagonal(M, 1, 1, 2), {"offset": 1, "axis1": 1, "axis2": 2}); case("Trace", [M], np.trace(M, 0, 1, 2), {"axis1": 1, "axis2": 2})
case("Diff", [A], np.diff(A, 2, 1), {"n": 2, "axis": 1}); case("TakeAlongAxis", [A, np.argsort(A, 2).astype(np.int32)], np.sort(A, 2), {"axis": 2})
case("Digitize", [A], np.digitize(A, [-1, 0, 0.5]), args=["$0", [-1, 0, 0.5]]); case("SearchSorted", [A], np.searchsorted([-1, 0, 0.5], A), args=[[-1, 0, 0.5], "$0"])
case("Meshgrid", [A[0, 0], B[0, 1]], np.meshgrid(A[0, 0], B[0, 1])); case("CountNonzero", [I], np.count_nonzero(I, 1), {"axis": [1]})
case("Average", [A, B], (A * B).sum(1) / B.sum(1), {"axis": 1}); case("Ptp", [A], np.ptp(A, 2), {"axis": 2})
case("Cumsum", [A], np.cumsum(A, 1), {"axis": 1}); case("Cumprod", [A], np.cumprod(A, 2), {"axis": 2}); case("Cumsum", [A], np.cumsum(A), {"axis": None})
case("Nancumsum", [N], np.nancumsum(N, 2), {"axis": 2}); case("Trapezoid", [A], np.trapz(A, dx=0.5, axis=2), {"dx": 0.5, "axis": 2})
case("Median", [A], np.median(A, 2), {"axis": [2]}); case("Quantile", [A], np.quantile(A, [0.2, 0.7], 2), {"axis": [2]}, args=["$0", [0.2, 0.7]])
case("Percentile", [A], np.percentile(A, 30, 1, keepdims=True), {"axis": [1], "keepdims": True}, args=["$0", 30])
case("Quantile", [A], np.quantile(A, 0.4, (1, 2), method="nearest"), {"axis": [1, 2], "method": "nearest"}, args=["$0", 0.4])
for op, fn in [("Nansum", np.nansum), ("Nanprod", np.nanprod), ("Nanmax", np.nanmax), ("Nanmin", np.nanmin), ("Nanmean", np.nanmean), ("Nanvar", np.nanvar), ("Nanstd", np.nanstd), ("Nanmedian", np.nanmedian), ("Nanargmax", np.nanargmax), ("Nanargmin", np.nanargmin)]:
    case(op, [N], fn(N, 2), {"axis": 2})
case("Max", [A], np.max(A, 1, initial=0.5), {"axis": [1], "initial": 0.5}); case("Prod", [A], np.prod(A, 1), {"axis": [1]})
case("Corrcoef", [A[:, 0]], np.corrcoef(A[:, 0])); case("Vander", [A[:, 0, 0]], np.vander(A[:, 0, 0], 3), {"N": 3})
case("Norm", [A], np.linalg.norm(A, 1, 2), {"ord": 1, "axis": [2]}); case("Norm", [A], np.linalg.norm(A, np.inf, (1, 2)), {"ord": "Infinity", "axis": [1, 2]})
case("Norm", [A], np.linalg.norm(A, 3, 2, keepdims=True), {"ord": 3, "axis": [2], "keepdims": True}); case("Norm", [A], np.linalg.norm(A, axis=(1, 2)), {"axis": [1, 2]})
case("Normalize", [A], A / np.maximum(np.linalg.norm(A, 1, 2, keepdims=True), 1e-7), {"axis": 2, "order": 1})
# neural network functions
case("SoftShrink", [A], np.sign(A) * np.maximum(np.abs(A) - 0.3, 0), {"threshold": 0.3}); case("Threshold", [A], np.where(A > 0.2, A, 9), {"threshold": 0.2, "default_value": 9})
a, b = np.split(A, 2, 2); case("Glu", [A], a * sig(b)); a, b = np.split(M, 2, 1); case("Glu", [M], a * sig(b), {"axis": 1})
T = sig(B); Y = sig(A)
case("BinaryCrossentropy", [T, Y], -(T * np.log(Y) + (1 - T) * np.log(1 - Y))); case("BinaryCrossentropy", [T, A], -(T * np.log(Y) + (1 - T) * np.log(1 - Y)), {"from_logits": True})
sm = np.exp(A) / np.exp(A).sum(-1, keepdims=True); case("CategoricalCrossentropy", [T, A], -(T * np.log(sm)).sum(-1), {"from_logits": True})
case("SparseCategoricalCrossentropy", [I[:, :3] % 4, A], -np.log(np.take_along_axis(sm, (I[:, :3] % 4)[..., None], 2))[..., 0], {"from_logits": True})
case("Moments", [A], [A.mean(1), A.var(1)], {"axes": [1]}); case("PSNR", [A, B], 20 * np.log10(2) - 10 * np.log10(((A - B) ** 2).mean()), {"max_val": 2})
case("LayerNorm", [A], (A - A.mean(2, keepdims=True)) / np.sqrt(A.var(2, keepdims=True) + 1e-3), {"axis": 2, "epsilon": 1e-3})
case("RMSNorm", [A], A / np.sqrt((A ** 2).mean(2, keepdims=True) + 1e-7))
q, k, v = rng.normal(size=(3, 2, 3, 2, 4)).astype(f32); s = np.einsum("bqhd,bkhd->bhqk", q, k) / 2
s = np.where(np.tril(np.ones((3, 3))) > 0, s, -1e9); w = np.exp(s - s.max(-1, keepdims=True)); w /= w.sum(-1, keepdims=True)
case("DotProductAttention", [q, k, v], np.einsum("bhqk,bkhd->bqhd", w, v), {"is_causal": True})
case("MaxPool", [IMG], IMG[:, :6, :4].reshape(2, 3, 2, 2, 2, 3).max((2, 4)), {"pool_size": 2}); case("AveragePool", [IMG], IMG[:, :6, :4].reshape(2, 3, 2, 2, 2, 3).mean((2, 4)), {"pool_size": [2, 2]})
K = rng.normal(size=(1, 1, 3, 4)).astype(f32); case("Conv", [IMG], IMG @ K[0, 0], args=["$0", dict(class_name="__numpy__", config=dict(value=K.tolist(), dtype="float32"))]); case("MultiHot", [I % 6], np.stack([[1.0 * (c in r) for c in range(6)] for r in I % 6]), {"num_classes": 6})
# products, linear algebra, transforms
case("Einsum", [A, B], np.einsum("bij,bkj->bik", A, B), {"subscripts": "bij,bkj->bik"}); case("Dot", [A[0], B[0].T], A[0] @ B[0].T); case("Inner", [A, B], np.inner(A, B)); case("Vdot", [A, B], np.vdot(A, B))
case("Outer", [A[0], B[0]], np.outer(A[0], B[0])); case("Kron", [A[0], B[0]], np.kron(A[0], B[0])); case("Cross", [C3, D3], np.cross(C3, D3)); case("Tensordot", [A, B], np.tensordot(A, B, [[2], [2]]), {"axes": [[2], [2]]})
case("Det", [M], np.linalg.det(M)); case("Inv", [M], np.linalg.inv(M)); case("Solve", [M, A[:, :, :1].repeat(4, 1)[:, :4]], np.linalg.solve(M, A[:, :, :1].repeat(4, 1)[:, :4])); case("Cholesky", [S], np.linalg.cholesky(S))
case("SolveTriangular", [L, S], np.linalg.solve(L, S), {"lower": True}); case("MatrixPower", [M], np.linalg.matrix_power(M, 3), {"n": 3}); case("Slogdet", [M], list(np.linalg.slogdet(M)))
r = np.fft.rfft(SIG); case("RFFT", [SIG], [r.real, r.imag]); case("IRFFT", [r.real.astype(f32), r.imag.astype(f32)], SIG, args=[["$0", "$1"]]); c = np.fft.fft(SIG + 1j * SIG[::-1]); case("FFT", [SIG, SIG[::-1].copy()], [c.real, c.imag], args=[["$0", "$1"]])
fr = np.stack([SIG[:, i * 3:i * 3 + 8] for i in range(5)], 1); case("ExtractSequences", [SIG], fr, {"sequence_length": 8, "sequence_stride": 3})
win = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(8) / 8); st = np.fft.rfft(fr * win); case("STFT", [SIG], [st.real, st.imag], {"sequence_length": 8, "sequence_stride": 3, "fft_length": 8, "center": False})
top = np.sort(A, 2)[..., ::-1][..., :2]; case("TopK", [A], [top, np.argsort(-A, 2, kind="stable")[..., :2]], {"k": 2})
case("CDist", [A, B], np.sqrt(((A[:, :, None] - B[:, None]) ** 2).sum(-1))); case("Scatter", [np.array([[0], [2], [0]], np.int32), A[0]], np.stack([A[0, 0] + A[0, 2], A[0, 0] * 0, A[0, 1]]), {"shape": [3, 4]})
case("Correlate", [A], np.correlate(SIG[0], SIG[1, :4], "same"), {"mode": "same"}, args=[SIG[0].tolist(), SIG[1, :4].tolist()])
# images
case("RGBToGrayscale", [IMG], IMG @ np.array([[0.2989], [0.587], [0.114]])); import colorsys
case("RGBToHSV", [IMG], np.array([colorsys.rgb_to_hsv(*map(float, p)) for p in IMG.reshape(-1, 3)]).reshape(IMG.shape)); case("HSVToRGB", [IMG], np.array([colorsys.hsv_to_rgb(*map(float, p)) for p in IMG.reshape(-1, 3)]).reshape(IMG.shape))
case("PadImages", [IMG], np.pad(IMG, [(0, 0), (1, 2), (0, 3), (0, 0)]), {"top_padding": 1, "bottom_padding": 2, "left_padding": 0, "target_width": 8}); case("CropImages", [IMG], IMG[:, 1:4, 2:], {"top_cropping": 1, "bottom_cropping": 2, "left_cropping": 2, "right_cropping": 0})
case("AffineTransform", [IMG, np.array([[1, 0, 1, 0, 1, 2, 0, 0]] * 2, f32)], np.pad(IMG[:, 2:, 1:], [(0, 0), (0, 2), (0, 1), (0, 0)]))
case("AffineTransform", [IMG, np.array([[1, 0, -1, 0, 1, 0, 0, 0]] * 2, f32)], np.pad(IMG, [(0, 0), (0, 0), (1, 0), (0, 0)], "symmetric")[:, :, :5], {"fill_mode": "reflect"})
case("PerspectiveTransform", [IMG, np.array([[[0, 0], [4, 0], [0, 5], [4, 5]]] * 2, f32), np.array([[[0, 0], [4, 0], [0, 5], [4, 5]]] * 2, f32)], IMG)
case("ExtractPatches", [IMG], np.stack([IMG[:, i:i + 2, j:j + 2].reshape(2, -1) for i in (0, 2, 4) for j in (0, 2)], 1).reshape(2, 3, 2, 12), {"size": [2, 2]})
case("DepthToSpace", [IMG[..., [0, 1, 2, 0]]], IMG[..., [0, 1, 2, 0]].reshape(2, 6, 5, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(2, 12, 10, 1), {"block_size": 2})
json.dump(cases, open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "operations.json"), "w"), separators=(",", ":"))
print(len(cases))
