"""An ONNX graph run node by node in PyTorch float64, so that autograd differentiates it: the witness of derived graphs.

Written from the operators' documentation alone (onnx/docs/Operators.md, onnxruntime/docs/ContribOperators.md).
"""
import math, numpy as np, onnx, torch
import torch.nn.functional as F
from onnx import numpy_helper
torch.set_default_dtype(torch.float64)

def attr(n):
    return {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}
def to_t(a):
    a = np.asarray(a)
    if a.dtype.name in ("float16","float32","float64","bfloat16"): a = a.astype(np.float64)
    return torch.from_numpy(np.array(a))
DT = {1: torch.float64, 10: torch.float64, 11: torch.float64, 16: torch.float64, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64, 9: torch.bool}
def lst(t): return [int(v) for v in t.reshape(-1).tolist()]

class Run:
    def __init__(self, model, opset, ids):
        self.g = model.graph; self.opset = opset
    def __call__(self, feeds, wrt):
        """feeds: name -> numpy; wrt: names of values to make leaves of. Returns env, leaves."""
        env = {"": None}
        for i in self.g.initializer: env[i.name] = to_t(numpy_helper.to_array(i))
        for k, v in feeds.items(): env[k] = to_t(v)
        leaves = {}
        def leaf(k):
            if k in wrt and k in env and k not in leaves:
                base = env[k]
                leaves[k] = torch.zeros_like(base, requires_grad=True)
                env[k] = base + leaves[k]
        for k in list(env): leaf(k)
        for n in self.g.node:
            self.run(n, env)
            for o in n.output: leaf(o)
        return env, leaves
    def run(self, n, env):
        x = [env[i] for i in n.input]
        f = getattr(self, ("ms_" if n.domain == "com.microsoft" else "op_") + n.op_type, None)
        if f is None: raise NotImplementedError(n.domain + ":" + n.op_type)
        y = f(x, attr(n), n)
        if not isinstance(y, (tuple, list)): y = (y,)
        for o, v in zip(n.output, y):
            if o: env[o] = v
    # --- elementwise
    def op_Add(s, x, a, n): return x[0] + x[1]
    def op_Sub(s, x, a, n): return x[0] - x[1]
    def op_Mul(s, x, a, n): return x[0] * x[1]
    def op_Div(s, x, a, n): return x[0] / x[1] if x[0].is_floating_point() else torch.div(x[0], x[1], rounding_mode="trunc")
    def op_Pow(s, x, a, n): return torch.pow(x[0], x[1]).to(x[0].dtype)
    def op_Mod(s, x, a, n): return torch.fmod(x[0], x[1]) if a.get("fmod") else torch.remainder(x[0], x[1])
    def op_Sqrt(s, x, a, n): return torch.sqrt(x[0])
    def op_Reciprocal(s, x, a, n): return 1 / x[0]
    def op_Exp(s, x, a, n): return torch.exp(x[0])
    def op_Log(s, x, a, n): return torch.log(x[0])
    def op_Neg(s, x, a, n): return -x[0]
    def op_Abs(s, x, a, n): return abs(x[0])
    def op_Sign(s, x, a, n): return torch.sign(x[0])
    def op_Floor(s, x, a, n): return torch.floor(x[0])
    def op_Ceil(s, x, a, n): return torch.ceil(x[0])
    def op_Round(s, x, a, n): return torch.round(x[0])
    def op_Erf(s, x, a, n): return torch.erf(x[0])
    def op_Sigmoid(s, x, a, n): return torch.sigmoid(x[0])
    def op_Tanh(s, x, a, n): return torch.tanh(x[0])
    def op_Relu(s, x, a, n): return torch.relu(x[0])
    def op_Sin(s, x, a, n): return torch.sin(x[0])
    def op_Cos(s, x, a, n): return torch.cos(x[0])
    def op_Softplus(s, x, a, n): return F.softplus(x[0])
    def op_Gelu(s, x, a, n): return F.gelu(x[0], approximate=a.get("approximate", b"none").decode())
    def op_Clip(s, x, a, n):
        y = x[0]
        if len(x) > 1 and x[1] is not None: y = torch.maximum(y, x[1])
        if len(x) > 2 and x[2] is not None: y = torch.minimum(y, x[2])
        return y
    def op_Max(s, x, a, n):
        y = x[0]
        for v in x[1:]: y = torch.maximum(y, v)
        return y
    def op_Min(s, x, a, n):
        y = x[0]
        for v in x[1:]: y = torch.minimum(y, v)
        return y
    def op_Sum(s, x, a, n): return sum(x[1:], x[0])
    def op_Where(s, x, a, n): return torch.where(x[0], x[1], x[2])
    def op_Identity(s, x, a, n): return x[0]
    def op_Dropout(s, x, a, n): return x[0]
    def op_Cast(s, x, a, n):
        return x[0].to(DT[a["to"]])
    def op_CastLike(s, x, a, n): return x[0].to(x[1].dtype)
    def op_Equal(s, x, a, n): return x[0] == x[1]
    def op_Less(s, x, a, n): return x[0] < x[1]
    def op_LessOrEqual(s, x, a, n): return x[0] <= x[1]
    def op_Greater(s, x, a, n): return x[0] > x[1]
    def op_GreaterOrEqual(s, x, a, n): return x[0] >= x[1]
    def op_And(s, x, a, n): return x[0] & x[1]
    def op_Or(s, x, a, n): return x[0] | x[1]
    def op_Xor(s, x, a, n): return x[0] ^ x[1]
    def op_Not(s, x, a, n): return ~x[0]
    def op_IsNaN(s, x, a, n): return torch.isnan(x[0])
    # --- shapes
    def op_Constant(s, x, a, n):
        (k, v), = a.items()
        if k == "value": return to_t(numpy_helper.to_array(v))
        return to_t(np.array(v, dtype=np.float64 if "float" in k else np.int64))
    def op_Shape(s, x, a, n): return torch.tensor(list(x[0].shape)[a.get("start", 0):a.get("end", None)], dtype=torch.int64)
    def op_Size(s, x, a, n): return torch.tensor(x[0].numel())
    def op_ConstantOfShape(s, x, a, n):
        v = to_t(numpy_helper.to_array(a["value"])) if "value" in a else torch.zeros(1)
        return v.reshape(()).expand(lst(x[0])).clone()
    def op_Reshape(s, x, a, n):
        d = lst(x[1])
        if not a.get("allowzero"): d = [x[0].shape[i] if v == 0 else v for i, v in enumerate(d)]
        return x[0].reshape(d)
    def op_Flatten(s, x, a, n):
        k = a.get("axis", 1); sh = x[0].shape; k = k if k >= 0 else k + len(sh)
        return x[0].reshape(math.prod(sh[:k]), -1)
    def axes(s, x, a, i=1): 
        if len(x) > i and x[i] is not None: return lst(x[i])
        return list(a["axes"]) if "axes" in a else None
    def op_Unsqueeze(s, x, a, n):
        ax = s.axes(x, a); r = x[0].dim() + len(ax); ax = sorted(k % r for k in ax); y = x[0]
        for k in ax: y = y.unsqueeze(k)
        return y
    def op_Squeeze(s, x, a, n):
        ax = s.axes(x, a)
        if ax is None: return x[0].squeeze()
        y = x[0]
        for k in sorted((k % x[0].dim() for k in ax), reverse=True): y = y.squeeze(k)
        return y
    def op_Transpose(s, x, a, n): return x[0].permute(list(a["perm"]) if "perm" in a else list(range(x[0].dim()))[::-1])
    def op_Concat(s, x, a, n): return torch.cat(x, a["axis"])
    def op_Split(s, x, a, n):
        k = a.get("axis", 0); size = x[0].shape[k]
        if len(x) > 1 and x[1] is not None: p = lst(x[1])
        elif "split" in a: p = list(a["split"])
        else:
            c = len(n.output); e = -(-size // c); p = [min(e, size - i * e) for i in range(c)]
        return torch.split(x[0], p, k)
    def op_Slice(s, x, a, n):
        if "starts" in a: st, en, ax, sp = list(a["starts"]), list(a["ends"]), a.get("axes"), None
        else:
            st, en = lst(x[1]), lst(x[2]); ax = lst(x[3]) if len(x) > 3 and x[3] is not None else None; sp = lst(x[4]) if len(x) > 4 and x[4] is not None else None
        ax = list(ax) if ax is not None else list(range(len(st))); sp = sp or [1] * len(st); y = x[0]
        for b, e, k, p in zip(st, en, ax, sp):
            d = y.shape[k]
            e2 = None if (p < 0 and e < -d) else e
            idx = list(range(d))[slice(b, e2, p)]
            y = y.index_select(k, torch.tensor(idx, dtype=torch.int64))
        return y
    def op_Gather(s, x, a, n):
        k = a.get("axis", 0) % x[0].dim(); i = x[1].long(); i = torch.where(i < 0, i + x[0].shape[k], i)
        y = x[0].index_select(k, i.reshape(-1))
        return y.reshape(list(x[0].shape[:k]) + list(i.shape) + list(x[0].shape[k + 1:]))
    def op_GatherElements(s, x, a, n):
        k = a.get("axis", 0); i = x[1].long(); i = torch.where(i < 0, i + x[0].shape[k], i)
        return torch.gather(x[0], k, i)
    def op_GatherND(s, x, a, n):
        b = a.get("batch_dims", 0); i = x[1].long()
        if b == 0: return x[0][tuple(i.unbind(-1))]
        lead = x[0].shape[:b]; data = x[0].reshape(-1, *x[0].shape[b:]); idx = i.reshape(-1, *i.shape[b:])
        return torch.stack([d[tuple(q.unbind(-1))] for d, q in zip(data, idx)]).reshape(*lead, *i.shape[b:-1], *x[0].shape[b + i.shape[-1]:])
    def op_ScatterND(s, x, a, n):
        return x[0].index_put(tuple(x[1].unbind(-1)), x[2], accumulate=a.get("reduction", b"none") == b"add")
    def op_ScatterElements(s, x, a, n): return (x[0].scatter_add if a.get("reduction") == b"add" else x[0].scatter)(a.get("axis", 0), x[1], x[2])
    def op_Expand(s, x, a, n): return x[0].expand(torch.broadcast_shapes(x[0].shape, tuple(lst(x[1]))))
    def op_Tile(s, x, a, n): return x[0].repeat(lst(x[1]))
    def op_Range(s, x, a, n): return torch.arange(x[0].item(), x[1].item(), x[2].item(), dtype=x[0].dtype)
    def op_Trilu(s, x, a, n):
        k = int(x[1]) if len(x) > 1 and x[1] is not None else 0
        return torch.triu(x[0], k) if a.get("upper", 1) else torch.tril(x[0], k)
    def op_CumSum(s, x, a, n): return torch.cumsum(x[0], int(x[1]))
    def op_ArgMax(s, x, a, n): return torch.argmax(x[0], dim=a.get("axis", 0), keepdim=bool(a.get("keepdims", 1)))
    def op_NonZero(s, x, a, n): return torch.nonzero(x[0]).T
    def op_Pad(s, x, a, n):
        p = lst(x[1]); r = x[0].dim(); ax = lst(x[3]) if len(x) > 3 and x[3] is not None else range(r)
        full = [[0, 0] for _ in range(r)]
        for i, k in enumerate(ax): full[k] = [p[i], p[len(p)//2 + i]]
        return F.pad(x[0], [v for k in reversed(full) for v in k], value=float(x[2]) if len(x) > 2 and x[2] is not None else 0)
    # --- reductions
    def red(s, f, x, a):
        ax = s.axes(x, a); keep = bool(a.get("keepdims", 1))
        if not ax:
            if a.get("noop_with_empty_axes"): return x[0]
            ax = list(range(x[0].dim()))
        return f(x[0], ax, keep)
    def op_ReduceSum(s, x, a, n): return s.red(lambda t, d, k: t.sum(d, keepdim=k), x, a)
    def op_ReduceMean(s, x, a, n): return s.red(lambda t, d, k: t.mean(d, keepdim=k), x, a)
    def op_ReduceMax(s, x, a, n): return s.red(lambda t, d, k: t.amax(d, keepdim=k), x, a)
    def op_ReduceMin(s, x, a, n): return s.red(lambda t, d, k: t.amin(d, keepdim=k), x, a)
    def op_ReduceL2(s, x, a, n): return s.red(lambda t, d, k: torch.linalg.vector_norm(t, dim=d, keepdim=k), x, a)
    def op_ReduceProd(s, x, a, n):
        def f(t, d, k):
            for q in sorted(d, reverse=True): t = t.prod(q, keepdim=k)
            return t
        return s.red(f, x, a)
    def soft(s, f, x, a):
        if s.opset < 13:
            k = a.get("axis", 1); sh = x[0].shape; k = k % len(sh)
            return f(x[0].reshape(math.prod(sh[:k]), -1), -1).reshape(sh)
        return f(x[0], a.get("axis", -1))
    def op_Softmax(s, x, a, n):
        """A row of -inf alone gives NaN, as it should, but has no gradient, which would be NaN for all that is below."""
        none = torch.isneginf(x[0]).all(a.get("axis", -1), keepdim=True) if s.opset >= 13 else torch.zeros(1, dtype=torch.bool)
        y = s.soft(torch.softmax, [torch.where(none, torch.zeros_like(x[0]), x[0])], a)
        return torch.where(none, torch.full_like(y, math.nan), y)
    def op_LogSoftmax(s, x, a, n): return s.soft(torch.log_softmax, x, a)
    # --- products
    def op_MatMul(s, x, a, n): return torch.matmul(x[0], x[1])
    def op_Einsum(s, x, a, n): return torch.einsum(a["equation"].decode(), *x)
    def op_Gemm(s, x, a, n):
        A = x[0].T if a.get("transA") else x[0]; B = x[1].T if a.get("transB") else x[1]
        y = a.get("alpha", 1.0) * (A @ B)
        return y + a.get("beta", 1.0) * x[2] if len(x) > 2 and x[2] is not None else y
    def op_Conv(s, x, a, n):
        d = x[0].dim() - 2; p = a.get("pads", [0] * 2 * d)
        assert list(p[:d]) == list(p[d:])
        f = {1: F.conv1d, 2: F.conv2d}[d]
        return f(x[0], x[1], x[2] if len(x) > 2 else None, list(a.get("strides", [1] * d)), list(p[:d]), list(a.get("dilations", [1] * d)), a.get("group", 1))
    # --- norms
    def op_LayerNormalization(s, x, a, n):
        k = a.get("axis", -1) % x[0].dim(); d = list(range(k, x[0].dim())); m = x[0].mean(d, keepdim=True); v = ((x[0] - m) ** 2).mean(d, keepdim=True)
        inv = 1 / torch.sqrt(v + a.get("epsilon", 1e-5)); y = (x[0] - m) * inv * x[1]
        return (y + x[2] if len(x) > 2 and x[2] is not None else y), m, inv
    def op_SimplifiedLayerNormalization(s, x, a, n):
        inv = 1 / torch.sqrt((x[0] ** 2).mean(-1, keepdim=True) + a.get("epsilon", 1e-5)); return x[0] * inv * x[1], inv
    def op_RMSNormalization(s, x, a, n): return s.op_SimplifiedLayerNormalization(x, a, n)[0]
    def op_LpNormalization(s, x, a, n): return F.normalize(x[0], p=a.get("p", 2), dim=a.get("axis", -1))
    def op_BatchNormalization(s, x, a, n):
        sh = [1, -1] + [1] * (x[0].dim() - 2); return (x[0] - x[3].reshape(sh)) / torch.sqrt(x[4].reshape(sh) + a.get("epsilon", 1e-5)) * x[1].reshape(sh) + x[2].reshape(sh)
    def op_Attention(s, x, a, n):
        x = list(x) + [None] * (7 - len(x)); q, k, v = x[:3]; three = q.dim() == 3
        sp = lambda t, h: t.reshape(t.shape[0], t.shape[1], h, -1).transpose(1, 2)
        if three: q, k, v = sp(q, a["q_num_heads"]), sp(k, a["kv_num_heads"]), sp(v, a["kv_num_heads"])
        P = 0
        if x[4] is not None: P = x[4].shape[2]; k, v = torch.cat([x[4], k], 2), torch.cat([x[5], v], 2)
        pk, pv = k, v; r = q.shape[1] // k.shape[1]; k, v = k.repeat_interleave(r, 1), v.repeat_interleave(r, 1)
        sc = q @ k.transpose(-1, -2) * a.get("scale", 1 / math.sqrt(q.shape[-1]))
        if a.get("softcap", 0) > 0: sc = torch.tanh(sc / a["softcap"]) * a["softcap"]
        if x[3] is not None: sc = sc.masked_fill(~x[3], -1e300) if x[3].dtype == torch.bool else sc + x[3]
        if a.get("is_causal"): sc = sc.masked_fill(~torch.tril(torch.ones(sc.shape[-2:], dtype=torch.bool), P), -1e300)
        y = torch.softmax(sc, -1) @ v
        return (y.transpose(1, 2).reshape(y.shape[0], y.shape[2], -1) if three else y), pk, pv
    # --- com.microsoft
    def ms_Gelu(s, x, a, n): return F.gelu(x[0])
    def ms_BiasGelu(s, x, a, n): return F.gelu(x[0] + x[1])
    def ms_FastGelu(s, x, a, n): return F.gelu(x[0] + x[1] if len(x) > 1 and x[1] is not None else x[0], approximate="tanh")
    def ms_QuickGelu(s, x, a, n): return x[0] * torch.sigmoid(a.get("alpha", 1.702) * x[0])
    def act(s, y, a):
        kind = a.get("activation", b"").decode()
        if kind == "LeakyRelu": return F.leaky_relu(y, a.get("activation_alpha", 0.01))
        return {"": lambda t: t, "Relu": torch.relu, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid}[kind](y)
    def ms_FusedGemm(s, x, a, n): return s.act(s.op_Gemm(x, a, n), a)
    def ms_FusedConv(s, x, a, n):
        y = s.op_Conv(x[:3], a, n); return s.act(y + x[3] if len(x) > 3 and x[3] is not None else y, a)
    def ms_FusedMatMul(s, x, a, n):
        A = x[0].transpose(-1, -2) if a.get("transA") else x[0]; B = x[1].transpose(-1, -2) if a.get("transB") else x[1]
        return a.get("alpha", 1.0) * (A @ B)
    def ms_SkipLayerNormalization(s, x, a, n):
        t = x[0] + x[1]
        if len(x) > 4 and x[4] is not None: t = t + x[4]
        y, m, i = s.op_LayerNormalization([t, x[2], x[3]], {"epsilon": a.get("epsilon", 1e-12)}, n); return y, m, i, t
    def ms_SkipSimplifiedLayerNormalization(s, x, a, n):
        t = x[0] + x[1]
        if len(x) > 3 and x[3] is not None: t = t + x[3]
        y, i = s.op_SimplifiedLayerNormalization([t, x[2]], {"epsilon": a.get("epsilon", 1e-12)}, n); return y, None, i, t
    def ms_EmbedLayerNormalization(s, x, a, n):
        x = list(x) + [None] * (9 - len(x)); ids = x[0].long(); t = x[2][ids] + x[3][x[8].long() if x[8] is not None else torch.arange(ids.shape[1])]
        if x[4] is not None: t = t + x[4][x[1].long()]
        y = s.op_LayerNormalization([t, x[5], x[6]], {"epsilon": a.get("epsilon", 1e-12)}, n)[0]
        mi = x[7].sum(1).to(torch.int32) if x[7] is not None else torch.zeros(ids.shape[0], dtype=torch.int32)
        return y, mi, t
    def rot(s, x, cos, sin, inter):  # x B,H,S,D ; cos B,1,S,h
        h = cos.shape[-1]; t, rest = x[..., :2 * h], x[..., 2 * h:]
        if inter: a_, b_ = t[..., 0::2], t[..., 1::2]; y = torch.stack([a_ * cos - b_ * sin, b_ * cos + a_ * sin], -1).flatten(-2)
        else: a_, b_ = t[..., :h], t[..., h:]; y = torch.cat([a_ * cos - b_ * sin, b_ * cos + a_ * sin], -1)
        return torch.cat([y, rest], -1)
    def ms_RotaryEmbedding(s, x, a, n):
        q, pos, cos, sin = x; three = q.dim() == 3
        if three:
            h = a.get("num_heads", 0) or q.shape[-1] // (2 * cos.shape[-1]); q = q.reshape(q.shape[0], q.shape[1], h, -1).transpose(1, 2)
        p = pos if pos.dim() == 2 else (pos + torch.arange(q.shape[2]))[None]
        y = s.rot(q, cos[p][:, None], sin[p][:, None], a.get("interleaved", 0))
        return y.transpose(1, 2).flatten(2) if three else y
    def ms_GroupQueryAttention(s, x, a, n):
        x = list(x) + [None] * (12 - len(x)); H, KV = a["num_heads"], a["kv_num_heads"]; q, k, v = x[:3]; B, S = q.shape[:2]
        sp = lambda t, h: t.reshape(B, S, h, -1).transpose(1, 2)
        if k is None:
            t = sp(q, H + 2 * KV); q, k, v = t[:, :H], t[:, H:H + KV], t[:, H + KV:]
        else: q, k, v = sp(q, H), sp(k, KV), sp(v, KV)
        total = x[5].long().reshape(-1) + 1; prompt = int(x[6]) == S; past = torch.zeros(B, dtype=torch.int64) if prompt else total - S
        if a.get("do_rotary"):
            p = x[9].long() if x[9] is not None else past[:, None] + torch.arange(S); cos, sin = x[7][p][:, None], x[8][p][:, None]
            q, k = s.rot(q, cos, sin, a.get("rotary_interleaved", 0)), s.rot(k, cos, sin, a.get("rotary_interleaved", 0))
        W = a.get("local_window_size", -1); sc_ = a.get("scale", 0) or 1 / math.sqrt(q.shape[-1]); out = []
        PK, PV = [], []
        for b in range(B):
            pb = int(past[b]); kb = torch.cat([x[3][b][:, :pb], k[b]], 1) if x[3] is not None else k[b]; vb = torch.cat([x[4][b][:, :pb], v[b]], 1) if x[4] is not None else v[b]
            PK.append(kb); PV.append(vb)
            r = H // KV; kb, vb = kb.repeat_interleave(r, 0), vb.repeat_interleave(r, 0)
            c = q[b] @ kb.transpose(-1, -2) * sc_
            if a.get("softcap", 0) > 0: c = torch.tanh(c / a["softcap"]) * a["softcap"]
            i = torch.arange(S)[:, None] + pb; j = torch.arange(kb.shape[1])[None]; ok = j <= i
            if W > 0: ok = ok & (i - j < W)
            c = c.masked_fill(~ok, -1e300)
            if x[10] is not None: c = c + x[10][b % x[10].shape[0]]
            if a.get("smooth_softmax") or x[11] is not None:
                sink = x[11].reshape(H, 1, 1).expand(H, S, 1) if x[11] is not None else torch.zeros(H, S, 1)
                w = torch.softmax(torch.cat([c, sink], -1), -1)[..., :-1]
            else: w = torch.softmax(c, -1)
            out.append((w @ vb).transpose(0, 1).reshape(S, -1))
        m = max(t.shape[1] for t in PK); padk = lambda t: F.pad(t, (0, 0, 0, m - t.shape[1]))
        return torch.stack(out), torch.stack([padk(t) for t in PK]), torch.stack([padk(t) for t in PV])
    def mask_add(s, m, T, S, fv):
        if m is None: return 0
        if m.dim() == 1:
            ok = torch.arange(T)[None] < m.long()[:, None]; return torch.where(ok, 0., fv)[:, None, None]
        ok = m > 0; return torch.where(ok, 0., fv)[:, None, None] if m.dim() == 2 else torch.where(ok, 0., fv)[:, None]
    def ms_Attention(s, x, a, n):
        x = list(x) + [None] * (7 - len(x)); H = a["num_heads"]; t = x[0] @ x[1]
        if x[2] is not None: t = t + x[2]
        qs = list(a.get("qkv_hidden_sizes", [t.shape[-1] // 3] * 3)); q, k, v = torch.split(t, qs, -1)
        sp = lambda t: t.reshape(t.shape[0], t.shape[1], H, -1).transpose(1, 2); q, k, v = sp(q), sp(k), sp(v)
        if x[4] is not None: k, v = torch.cat([x[4][0], k], 2), torch.cat([x[4][1], v], 2)
        c = q @ k.transpose(-1, -2) * (a.get("scale", 0) or 1 / math.sqrt(q.shape[-1])) + s.mask_add(x[3], k.shape[2], q.shape[2], a.get("mask_filter_value", -10000.0))
        if a.get("unidirectional"): c = c.masked_fill(~torch.tril(torch.ones(c.shape[-2:], dtype=torch.bool), k.shape[2] - q.shape[2]), -1e300)
        if x[5] is not None: c = c + x[5]
        y = torch.softmax(c, -1) @ v
        return y.transpose(1, 2).flatten(2), (torch.stack([k, v]) if k.shape == v.shape else None)
    def ms_MultiHeadAttention(s, x, a, n):
        x = list(x) + [None] * (10 - len(x)); H = a["num_heads"]; q, k, v, bias = x[:4]
        sp = lambda t: t.reshape(t.shape[0], t.shape[1], H, -1).transpose(1, 2)
        if k is None: q, k, v = (q[:, :, :, i].flatten(2) for i in range(3))
        elif v is None: k, v = k[:, :, :, 0].flatten(2), k[:, :, :, 1].flatten(2)
        kk = k.dim() == 4
        if bias is not None:
            h = q.shape[-1]; q = q + bias[:h]
            if not kk: k = k + bias[h:2 * h]; v = v + bias[2 * h:]
        q = sp(q)
        if not kk: k, v = sp(k), sp(v)
        if x[6] is not None: k, v = torch.cat([x[6], k], 2), torch.cat([x[7], v], 2)
        c = q @ k.transpose(-1, -2) * (a.get("scale", 0) or 1 / math.sqrt(q.shape[-1])) + s.mask_add(x[4], k.shape[2], q.shape[2], a.get("mask_filter_value", -10000.0))
        if a.get("unidirectional"): c = c.masked_fill(~torch.tril(torch.ones(c.shape[-2:], dtype=torch.bool), k.shape[2] - q.shape[2]), -1e300)
        if x[5] is not None: c = c + x[5]
        y = torch.softmax(c, -1) @ v
        return y.transpose(1, 2).flatten(2), k, v
    def ms_MatMulNBits(s, x, a, n):
        K, N, bs, bits = a["K"], a["N"], a["block_size"], a.get("bits", 4); nb = -(-K // bs); x = list(x) + [None] * (6 - len(x))
        raw = x[1].reshape(N, nb, -1); q = torch.stack([raw & 15, raw >> 4], -1).flatten(-2) if bits == 4 else raw
        sc = x[2].reshape(N, nb, 1)
        if x[3] is None: z = float(1 << (bits - 1))
        elif x[3].is_floating_point(): z = x[3].reshape(N, nb, 1)
        else:
            z = x[3].reshape(N, -1); z = torch.stack([z & 15, z >> 4], -1).flatten(-2) if bits == 4 else z; z = z[:, :nb, None].double()
        W = ((q.double() - z) * sc).reshape(N, -1)[:, :K]; y = x[0] @ W.T
        return y + x[5] if x[5] is not None else y
    def ms_GatherBlockQuantized(s, x, a, n):
        d, i, sc = x[:3]; bs = a.get("block_size", 128); bits = a.get("bits", 4)
        if d.dtype == torch.uint8 and bits == 4: d = torch.stack([d & 15, d >> 4], -1).flatten(-2)
        z = 0.0
        if len(x) > 3 and x[3] is not None:
            z = x[3]; z = torch.stack([z & 15, z >> 4], -1).flatten(-2) if bits == 4 and x[3].dtype == torch.uint8 else z
            z = z[..., :sc.shape[-1]].double().repeat_interleave(bs, -1)[..., :d.shape[-1]]
        elif x[0].dtype == torch.uint8: z = 8.0 if bits == 4 else 128.0
        W = (d.double() - z) * sc.repeat_interleave(bs, -1)[..., :d.shape[-1]]
        return W[i.long()]
    # --- quantised, straight-through
    def op_DynamicQuantizeLinear(s, x, a, n):
        v = x[0].detach(); lo, hi = min(0., v.min().item()), max(0., v.max().item()); f = np.float32
        sc = f((f(hi) - f(lo)) / f(255)); z = int(np.clip(np.rint(f(0) - f(lo) / sc), 0, 255))
        q = torch.clamp(torch.round(v / float(sc)) + z, 0, 255)
        # kept as a real number, so that autograd goes straight through
        real = x[0] / float(sc); return real + (q - real).detach(), torch.tensor(float(sc)), torch.tensor(float(z))
    def op_MatMulInteger(s, x, a, n):
        f = lambda t: t.double() if t is not None else 0.
        A = x[0].double() - (f(x[2]) if len(x) > 2 else 0.); B = x[1].double() - (f(x[3]) if len(x) > 3 else 0.); return A @ B
    def ms_MatMulIntegerToFloat(s, x, a, n):
        x = list(x) + [None] * (7 - len(x)); y = s.op_MatMulInteger([x[0], x[1], x[4], x[5]], a, n) * x[2] * x[3]; return y + x[6] if x[6] is not None else y
    def ms_DynamicQuantizeMatMul(s, x, a, n):
        x = list(x) + [None] * (5 - len(x)); q, sc, z = s.op_DynamicQuantizeLinear([x[0]], a, n); return s.ms_MatMulIntegerToFloat([q, x[1], sc, x[2], z, x[3], x[4]], a, n)
    def sh(s, t, v, axis):
        if v is None or v.dim() == 0 or v.numel() == 1: return v
        return v.reshape([-1 if i == axis % t.dim() else 1 for i in range(t.dim())])
    def op_DequantizeLinear(s, x, a, n):
        ax = a.get("axis", 1); sc = s.sh(x[0], x[1], ax); z = s.sh(x[0], x[2], ax).double() if len(x) > 2 and x[2] is not None else 0.
        return (x[0].double() - z) * sc
    def op_QuantizeLinear(s, x, a, n):
        ax = a.get("axis", 1); sc = s.sh(x[0], x[1], ax); zt = x[2] if len(x) > 2 else None; z = s.sh(x[0], zt, ax).double() if zt is not None else 0.
        lo, hi = (-128, 127) if zt is not None and zt.dtype == torch.int8 else (0, 255)
        r = x[0] / sc; q = torch.clamp(torch.round(r) + z, lo, hi); return r + (q - r).detach()
