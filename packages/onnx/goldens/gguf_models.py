"""Tiny models of every architecture that packages/onnx reads from GGUF, and their logits and gradients by PyTorch in float64.

`npm run goldens -- gguf-models` calls it. Weights are random blocks of every type that GGUF has; PyTorch gets what llama.cpp's own
`gguf` package dequantises them to. Writes fixtures/gguf/NAME.gguf and goldens/gguf/NAME.json.
"""

import base64, json, sys, warnings
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as T
from make import Adapted, packed, past_of, weights

warnings.filterwarnings("ignore")
WIDTH, FEED_FORWARD, HEADS, KV_HEADS, HEAD, VOCABULARY, CONTEXT = 64, 256, 4, 2, 16, 288, 64
RANK, ROWS, TOKENS = 2, 2, 10

# Which class of transformers, the config beyond the common one, layers, and the types of the weights, which tensors take in turn.
# `wide` are those whose blocks have 256 elements: only ffn_down and what has as many columns can be of them.
MODELS = {
    "llama": ("Llama", {}, 2, [T.Q4_0, T.Q8_0], [T.Q4_K]),
    "llama-scaled": ("Llama", dict(rope_parameters=dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0,
                                                         high_freq_factor=4.0, original_max_position_embeddings=16)), 2, [T.BF16, T.F16], [T.F32]),
    "qwen2": ("Qwen2", {}, 2, [T.Q4_1, T.Q5_0], [T.Q6_K]),
    "qwen3": ("Qwen3", {}, 2, [T.Q5_1, T.IQ4_NL], [T.Q5_K]),
    "gemma": ("Gemma", {}, 2, [T.F16, T.Q8_0], [T.Q2_K]),
    "gemma2": ("Gemma2", dict(sliding_window=4, query_pre_attn_scalar=HEAD), 2, [T.Q4_0, T.MXFP4], [T.Q3_K]),
    "gemma3": ("Gemma3", dict(sliding_window=4, query_pre_attn_scalar=HEAD), 6, [T.Q4_1, T.Q8_0], [T.IQ4_XS]),
    "phi3": ("Phi3", dict(sliding_window=4, pad_token_id=0), 2, [T.Q5_0, T.Q4_0], [T.Q6_K]),
    "smollm3": ("SmolLM3", {}, 4, [T.Q8_0, T.Q4_1], [T.Q4_K]),
    "granite": ("Granite", dict(embedding_multiplier=3.0, residual_multiplier=0.5, attention_multiplier=0.2, logits_scaling=2.0), 2,
                [T.Q4_0, T.Q5_1], [T.Q3_K]),
}

# The bytes of a block that hold float16 scales; everything else is random. MXFP4 has one byte of exponent.
HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2],
          T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0]}
# Scales by type, so that weights are about 0.1.
SIZE = {T.Q4_0: 0.02, T.Q4_1: 0.02, T.Q5_0: 0.01, T.Q5_1: 0.01, T.Q8_0: 0.0015, T.Q2_K: 0.006, T.Q3_K: 0.002, T.Q4_K: 0.0005, T.Q5_K: 0.0003,
        T.Q6_K: 0.00005, T.IQ4_NL: 0.002, T.IQ4_XS: 0.0001}
# Where the second float16 is a minimum that is taken off or added.
MINIMUM = {T.Q4_1: -8, T.Q5_1: -16, T.Q2_K: 1, T.Q4_K: 6, T.Q5_K: 12}


def blocks(rng, kind, rows, columns):
    """Random blocks of a type as bytes [rows, bytes of a row], and the float32 that they stand for."""
    if kind in (T.F32, T.F16, T.BF16):
        values = (rng.standard_normal((rows, columns)) * 0.1).astype(np.float32)
        data = gguf.quants.quantize(values, kind)
        return data, gguf.quants.dequantize(data, kind)
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows, columns // elements, size), dtype=np.uint8)
    count = rows * columns // elements
    if kind == T.MXFP4:
        data[:, :, 0] = rng.integers(120, 124, (rows, columns // elements))
    else:
        scale = (SIZE[kind] * rng.uniform(0.5, 1, count)).astype(np.float16)
        for place, at in enumerate(HALVES[kind]):
            half = scale if place == 0 else (scale.astype(np.float32) * MINIMUM[kind]).astype(np.float16)
            data[:, :, at : at + 2] = half.view(np.uint8).reshape(rows, -1, 2)
    data = data.reshape(rows, -1)
    return data, gguf.quants.dequantize(data, kind).reshape(rows, columns)


def permute(rows, heads):
    """`LlamaModel.permute` of llama.cpp's conversion."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def unpermute(rows, heads):
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def model_of(name):
    kind, more, layers, *_ = MODELS[name]
    config = dict(hidden_size=WIDTH, intermediate_size=FEED_FORWARD, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=HEAD,
                  num_hidden_layers=layers, vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5,
                  attn_implementation="eager", bos_token_id=1, eos_token_id=2, pad_token_id=0)
    prefix = "Gemma3Text" if kind == "Gemma3" else kind
    config = getattr(transformers, f"{prefix}Config")(**{**config, **more})
    model = getattr(transformers, f"{kind}ForCausalLM")(config).double().eval()
    return model, config


# By GGUF's name, the module under model.layers.N.
NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_qkv": "self_attn.qkv_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def names_of(name):
    gemma = name in ("gemma2", "gemma3")
    more = dict(post_attention_norm="post_attention_layernorm", ffn_norm="pre_feedforward_layernorm", post_ffw_norm="post_feedforward_layernorm")
    names = {**NAMES, **(more if gemma else dict(ffn_norm="post_attention_layernorm"))}
    return {**names, "ffn_up": "mlp.gate_up_proj"} if name == "phi3" else names


def write(name, path):
    """Writes the GGUF file, and gives the model with the same weights."""
    model, config = model_of(name)
    _, _, layers, narrow, wide = MODELS[name]
    architecture = name.split("-")[0]
    rng = np.random.default_rng(sum(name.encode()))
    writer = gguf.GGUFWriter(str(path), architecture)
    metadata(writer, architecture, config)
    state, turn = model.state_dict(), 0
    added = 1 if architecture.startswith("gemma") else 0  # llama.cpp keeps 1 + weight.

    def matrix(tensor, module, kind, heads=None):
        rows, columns = state[f"{module}.weight"].shape
        data, values = blocks(rng, kind, rows, columns)
        writer.add_tensor(f"{tensor}.weight", data, raw_dtype=kind)
        state[f"{module}.weight"] = torch.tensor(unpermute(values, heads) if heads else values).double()

    def vector(tensor, module, heads=None):
        values = (rng.standard_normal(state[module].shape) * 0.1 + (1 if "norm" in tensor else 0)).astype(np.float32)
        writer.add_tensor(tensor, values)
        state[module] = torch.tensor(unpermute(values, heads) if heads else values).double() - (added if "norm" in tensor else 0)

    tied = "output" not in name and name in ("qwen3", "gemma", "gemma2", "gemma3", "smollm3")
    matrix("token_embd", "model.embed_tokens", narrow[1])
    if not tied:
        matrix("output", "lm_head", narrow[0])
    else:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    vector("output_norm.weight", "model.norm.weight")
    for layer in range(layers):
        for tensor, module in names_of(name).items():
            at, to = f"blk.{layer}.{tensor}", f"model.layers.{layer}.{module}"
            heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(tensor) if architecture in ("llama", "smollm3", "granite") else None
            if f"{to}.weight" not in state:
                continue
            if state[f"{to}.weight"].dim() == 1:
                vector(f"{at}.weight", f"{to}.weight")
                continue
            matrix(at, to, wide[0] if tensor == "ffn_down" else narrow[turn % 2], heads)
            turn += 1
            if f"{to}.bias" in state:
                vector(f"{at}.bias", f"{to}.bias", heads)
    if name == "llama-scaled":
        factors = 1.0 / (model.model.rotary_emb.inv_freq * config.rope_parameters["rope_theta"] ** (torch.arange(0, HEAD, 2) / HEAD))
        writer.add_tensor("rope_freqs.weight", factors.numpy().astype(np.float32))
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    model.config.tie_word_embeddings = False
    if tied:
        model.lm_head.weight = torch.nn.Parameter(state["lm_head.weight"].clone())
    model.load_state_dict(state)
    return model


def metadata(writer, architecture, config):
    writer.add_name("tiny")  # llama.cpp looks for "phi-3" and the like in names
    writer.add_context_length(CONTEXT), writer.add_embedding_length(WIDTH), writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(FEED_FORWARD), writer.add_head_count(HEADS), writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps), writer.add_rope_dimension_count(HEAD)
    writer.add_key_length(HEAD), writer.add_value_length(HEAD), writer.add_vocab_size(VOCABULARY)
    rope = getattr(config, "rope_parameters", None) or {}
    writer.add_rope_freq_base(float(rope.get("full_attention", rope).get("rope_theta", 10000.0)))
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping), writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if architecture == "granite":
        writer.add_embedding_scale(config.embedding_multiplier), writer.add_residual_scale(config.residual_multiplier)
        writer.add_attention_scale(config.attention_multiplier), writer.add_logit_scale(config.logits_scaling)
    vocabulary(writer, architecture)


TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def vocabulary(writer, architecture):
    """288 tokens: bytes, a few merges, and three special tokens: byte-level BPE, or SentencePiece's for those that have it."""
    writer.add_chat_template(TEMPLATE)
    writer.add_bos_token_id(1), writer.add_eos_token_id(2), writer.add_unk_token_id(0)
    kinds = lambda total, byte: [3] * len(SPECIAL) + [byte] * 256 + [1] * (total - 256 - len(SPECIAL))
    if architecture.startswith("gemma") or architecture == "phi3":
        words = ["▁", "e", "t", "a", "o", "n", "i", "h", "s", "r", "th", "▁t", "he", "the", "▁the", "in", "an", "er", "on", "re", "is", "▁is", "▁a", "and", "▁and",
                 ".", "?", "d", "en"]
        tokens = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)] + words
        writer.add_tokenizer_model("llama"), writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens), writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(len(words))])
        writer.add_token_types(kinds(len(tokens), 6)), writer.add_add_space_prefix(architecture == "phi3")
        return
    order = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table = {byte: chr(byte) for byte in order}
    for byte in range(256):
        table.setdefault(byte, chr(256 + sum(1 for b in range(byte) if b not in order)))
    merges = ["Ġ t", "h e", "Ġ a", "i n", "r e", "o n", "Ġt he", "e r", "Ġ s", "a t", "Ġ w", "Ġ o", "e n", "Ġ c", "i t", "i s", "a n", "o r", "e s", "Ġ b", "e d", "Ġ f",
              "in g", "Ġ p", "o u", "Ġa n", "a l", "a r", "Ġ m"]
    tokens = SPECIAL + [table[byte] for byte in range(256)] + [merge.replace(" ", "") for merge in merges]
    writer.add_tokenizer_model("gpt2"), writer.add_tokenizer_pre("qwen2" if architecture.startswith("qwen") else "smollm")
    writer.add_token_list(tokens), writer.add_token_types(kinds(len(tokens), 1)), writer.add_token_merges(merges)


def case(model, past=0):
    """Two rows, the second one padded on the right; one row behind a past, of which onnxruntime takes no more at once."""
    rows = 1 if past else ROWS
    ids = torch.tensor([[(r * 53 + t * 29 + 7) % VOCABULARY for t in range(TOKENS)] for r in range(rows)])
    short = TOKENS if past else TOKENS - 3
    own = torch.tensor([[1] * TOKENS, [1 if t < short else 0 for t in range(TOKENS)]][:rows])
    mask = torch.cat([torch.ones(rows, past, dtype=torch.int64), own], 1)
    positions = torch.where(mask == 1, mask.cumsum(1) - 1, torch.ones_like(mask))[:, past:]
    labels = torch.where(own == 1, ids, torch.full_like(ids, -100))
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "k_proj" not in n]
    if past:
        names = [n for n in names if n != "lm_head"]
    adapted = Adapted(model, names, rows)
    cache = past_of(model, rows, past) if past else None
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, VOCABULARY), labels[:, 1:].reshape(-1), ignore_index=-100)
    # The last token's scores are those without adapters: what the file alone computes.
    gradients = packed(adapted.gradients(loss))
    for name in names:
        adapted.b[name].data.zero_()
    plain = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=past_of(model, rows, past) if past else None).logits
    last = [short - 1 if row else TOKENS - 1 for row in range(rows)]
    pack = lambda t: base64.b64encode(t.detach().numpy().astype("<f4").tobytes()).decode()
    return {"rows": rows, "rank": RANK, **({"past": past} if past else {}), "input_ids": ids.tolist(), "attention_mask": mask.tolist(),
            "labels": labels.tolist(), "loss": loss.item(), "last": last,
            "logits": [pack(plain[row, at]) for row, at in enumerate(last)], "gradients": gradients}


def main(root):
    fixtures, goldens = root / "fixtures/gguf", root / "goldens/gguf"
    fixtures.mkdir(exist_ok=True), goldens.mkdir(exist_ok=True)
    for name in sys.argv[1:] or MODELS:
        torch.manual_seed(0)
        model = write(name, fixtures / f"{name}.gguf")
        for past in (0, 6) if name in ("llama", "gemma3") else (0,):
            golden = goldens / f"{name}{'-past' if past else ''}.json"
            golden.write_text(json.dumps(case(model, past)) + "\n")
            print(name, past, json.loads(golden.read_text())["loss"], golden.stat().st_size, (fixtures / f"{name}.gguf").stat().st_size)
            model = write(name, fixtures / f"{name}.gguf")  # without hooks


if __name__ == "__main__":
    main(Path(__file__).resolve().parent.parent)
