"""Single nodes of fused operators in many variants: (name, operator, inputs, options)."""
import numpy as np

rng = np.random.default_rng(3)
B, S, H, KV, D = 2, 3, 4, 2, 4
CAUSAL = np.tril(np.ones((S, S), dtype=bool))
MASK = np.array([[1, 1, 1], [1, 0, 0]], dtype=np.int32)
COS, SIN = np.cos(np.arange(16 * D // 2)).reshape(16, -1), np.sin(np.arange(16 * D // 2)).reshape(16, -1)
COS, SIN = COS.astype(np.float32), SIN.astype(np.float32)


def f(*dims):
    return rng.standard_normal(dims).astype(np.float32)


def i32(*values):
    return np.array(values, dtype=np.int32)


def trim(inputs):
    while inputs[-1] is None:
        inputs = inputs[:-1]
    return inputs


def group_query(name, packed=False, past=0, lengths=None, rotary=False, length=S, half=D // 2, bias=None, sink=None, **attributes):
    query = f(B, length, (H + 2 * KV) * D if packed else H * D)
    key, value = (None, None) if packed else (f(B, length, KV * D), f(B, length, KV * D))
    ends = i32(*(lengths or [past + length - 1] * B))
    caches = [COS[:, :half].copy(), SIN[:, :half].copy()] if rotary else [None, None]
    inputs = [query, key, value, f(B, KV, past, D), f(B, KV, past, D), ends, np.array(past + length, dtype=np.int32)]
    inputs = trim([*inputs, *caches, None, bias, sink])
    attributes.update(num_heads=H, kv_num_heads=KV, do_rotary=int(rotary))
    return name, "GroupQueryAttention", inputs, dict(outputs=3, constants=[7, 8] if rotary else [], **attributes)


def multi_head(name, form="apart", bias=False, mask=None, scores=None, past=0, length=S, **attributes):
    query, key, value = f(B, S, H * D), f(B, length, H * D), f(B, length, H * D)
    if form == "packed":
        query, key, value = f(B, S, H, 3, D), None, None
    if form == "packed key and value":
        key, value = f(B, length, H, 2, D), None
    if form == "heads apart":
        key, value = f(B, H, length, D), f(B, H, length, D)
    cache = [f(B, H, past, D), f(B, H, past, D)] if past else [None, None]
    inputs = trim([query, key, value, f(3 * H * D) if bias else None, mask, scores, *cache])
    return name, "MultiHeadAttention", inputs, dict(outputs=3 if past else 1, num_heads=H, **attributes)


def packed_weight(name, mask=None, past=0, scores=None, sizes=None, **attributes):
    width = sum(sizes) if sizes else 3 * H * D
    inputs = trim([f(B, S, 8), f(8, width), f(width), mask, f(2, B, H, past, D) if past else None, scores])
    if sizes:
        attributes["qkv_hidden_sizes"] = sizes
    return name, "Attention", inputs, dict(outputs=2 if past else 1, num_heads=H, **attributes)


def standard(name, three=False, mask=None, past=0, length=S, **attributes):
    shape = (lambda heads, size: (B, size, heads * D)) if three else (lambda heads, size: (B, heads, size, D))
    cache = [f(B, KV, past, D), f(B, KV, past, D)] if past else [None, None]
    inputs = trim([f(*shape(H, S)), f(*shape(KV, length)), f(*shape(KV, length)), mask, *cache])
    if three:
        attributes.update(q_num_heads=H, kv_num_heads=KV)
    return name, "Attention", inputs, dict(domain="", opset=23, outputs=3 if past else 1, **attributes)


def in_blocks(name, width, outputs, block, bits=4, zero=None, bias=False):
    blocks = -(-width // block)
    codes = rng.integers(0, 256, (outputs, blocks, block * bits // 8), dtype=np.uint8)
    scales = (np.abs(f(outputs * blocks)) + 0.1).astype(np.float32)
    zeros = {None: None, "packed": rng.integers(0, 256, (outputs * -(-blocks * bits // 8)), dtype=np.uint8),
             "float": f(outputs, blocks) * 4 + 8}[zero]
    inputs = trim([f(2, 3, width), codes, scales, zeros, None, f(outputs) if bias else None])
    constants = [i for i in range(1, len(inputs)) if inputs[i] is not None]
    return name, "MatMulNBits", inputs, dict(constants=constants, K=width, N=outputs, block_size=block, bits=bits)


def rotary(name, inputs, **attributes):
    return name, "RotaryEmbedding", inputs, dict(constants=[2, 3], **attributes)


POSITIONS = np.arange(B * S).reshape(B, S)
WEIGHT = rng.integers(-128, 127, (8, 4)).astype(np.int8)

VARIANTS = [
    group_query("plain"),
    group_query("packed", packed=True),
    group_query("packed, rotary inside", packed=True, rotary=True),
    group_query("rotary by pairs", rotary=True, rotary_interleaved=1),
    group_query("rotary of half a head", rotary=True, half=1),
    group_query("past keys", past=3, rotary=True),
    group_query("one token after a ragged past", past=4, length=1, lengths=[4, 2], rotary=True),
    group_query("a window", local_window_size=2),
    group_query("a window over past keys", local_window_size=3, past=4, length=2),
    group_query("softcap", softcap=5.0),
    group_query("a scale", scale=0.3),
    group_query("smooth softmax", smooth_softmax=1),
    group_query("sinks", sink=f(H)),
    group_query("a bias", bias=f(1, 1, S, S)),
    multi_head("apart"),
    multi_head("biases", bias=True),
    multi_head("packed", form="packed", bias=True),
    multi_head("packed key and value", form="packed key and value", length=4),
    multi_head("keys of an encoder", form="heads apart", length=4),
    multi_head("a mask by key", mask=MASK),
    multi_head("a mask by length", mask=i32(3, 1)),
    multi_head("a mask by query and key", mask=np.broadcast_to(MASK[:, None], (B, S, S)).copy()),
    multi_head("causal", unidirectional=1),
    multi_head("scores added", scores=f(B, 1, S, S)),
    multi_head("past keys, causal", past=2, unidirectional=1),
    packed_weight("plain"),
    packed_weight("a mask by key", mask=MASK),
    packed_weight("a mask by length", mask=i32(3, 1)),
    packed_weight("past keys, causal", past=2, unidirectional=1),
    packed_weight("values of another width", sizes=[16, 16, 8]),
    standard("plain"),
    standard("three dimensions", three=True),
    standard("causal", is_causal=1),
    standard("scores added, softcap", mask=f(B, 1, S, S), softcap=2.0),
    standard("truth values", mask=CAUSAL),
    standard("past keys, causal", past=2, is_causal=1),
    standard("another length", length=4, scale=0.2),
    in_blocks("4 bits", 32, 6, 16),
    in_blocks("4 bits, zero points", 32, 6, 16, zero="packed"),
    in_blocks("4 bits, an odd number of blocks", 48, 6, 16, zero="packed"),
    in_blocks("4 bits, zero points in floats", 32, 6, 16, zero="float"),
    in_blocks("4 bits, a last block that is not full", 38, 6, 16, bias=True),
    in_blocks("8 bits", 32, 6, 16, bits=8),
    in_blocks("8 bits, zero points", 32, 6, 16, bits=8, zero="packed"),
    rotary("three dimensions", [f(B, S, H * D), POSITIONS, COS, SIN]),
    rotary("four dimensions, one position, by pairs", [f(B, H, S, D), np.array([2]), COS, SIN], interleaved=1),
    rotary("half of a head", [f(B, S, H * D), POSITIONS, COS[:, :1].copy(), SIN[:, :1].copy()], num_heads=H, rotary_embedding_dim=2),
    ("all outputs", "SkipLayerNormalization", [f(B, S, 8), f(B, S, 8), f(8), f(8), f(8)], dict(outputs=1, epsilon=1e-5)),
    ("a skip of every row", "SkipLayerNormalization", [f(B, S, 8), f(1, S, 8), f(8), f(8)], {}),
    ("with a bias", "SkipSimplifiedLayerNormalization", [f(B, S, 8), f(B, S, 8), f(8), f(8)], dict(epsilon=1e-5)),
    ("float32", "SimplifiedLayerNormalization", [f(2, 3, 8), f(8)], dict(domain="", epsilon=1e-5)),
    ("a bias", "BiasGelu", [f(2, 3, 4), f(4)], {}),
    ("a bias", "FastGelu", [f(2, 3, 4), f(4)], {}),
    ("no bias", "FastGelu", [f(2, 3, 4)], {}),
    ("alpha", "QuickGelu", [f(2, 3)], dict(alpha=1.5)),
    ("plain", "Gelu", [f(2, 3)], {}),
    ("leaky relu", "FusedGemm", [f(2, 3), f(4, 3), f(4)], dict(transB=1, activation="LeakyRelu", activation_alpha=0.3)),
    ("relu after a sum", "FusedConv", [f(1, 2, 4), f(3, 2, 2), f(3), f(1, 3, 3)], dict(activation="Relu", kernel_shape=[2])),
    ("right transposed", "FusedMatMul", [f(2, 3, 4), f(2, 5, 4)], dict(transB=1, alpha=0.5)),
    ("left transposed", "FusedMatMul", [f(2, 4, 3), f(2, 4, 5)], dict(transA=1)),
    ("a scale a column", "DynamicQuantizeMatMul", [f(2, 3, 8), WEIGHT, np.abs(f(4)) / 50, np.zeros(4, dtype=np.int8)],
     dict(constants=[1, 2, 3])),
    ("one scale and a bias", "DynamicQuantizeMatMul", [f(2, 3, 8), WEIGHT, f(1) ** 2 / 50, np.zeros(1, dtype=np.int8), f(4)],
     dict(constants=[1, 2, 3])),
]
