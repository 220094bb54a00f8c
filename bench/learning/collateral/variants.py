"""What was tried to bring collateral down, as data: (idea, label, what differs from `Variant()`)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    # Recall.
    kept: int = 128
    sharpness: float = 14
    strength: float = 0.27
    null: float | None = 0.2  # similarity of a null key
    gate: tuple | None = None  # ramp on the nearest similarity
    target_gate: tuple | None = None  # ramp on the similarity to what was chosen
    background: int = 0  # null keys drawn from the documents
    background_weight: float = 0.1
    centred: int | None = None  # route without the documents' mean and this many principal axes
    agreement: float = 0  # power of |mean value| / mean |value|
    through_gate: float = 0.1  # learning rate of kept values through the routing
    by_error: bool = False
    whiten: float | None = None  # ridge of values whitened by the documents' covariance
    strip_axes: int = 0  # principal axes taken out of values
    key_target: float = 0  # what was chosen, mixed into the key
    int8: bool = False
    merge: float | None = None  # similarity from which a click joins a kept one
    leaving: float = 0  # consolidates what leaves into the slow weights
    # The loss.
    temperature: float = 0.5
    soft_labels: float = 0  # labels that what resembles the chosen one shares
    # The slow weights.
    lora: bool = True
    rank: int = 8
    scaling: float = 2.2
    bias: bool = True
    learning_rate: float = 0.0015
    slow_gate: bool = False  # shares recall's gate
    slow_cap: float | None = None  # bound of the delta's norm
    prototypes: int = 0  # softmax-routed offsets instead of LoRA
    prototype_sharpness: float = 12


OLD = dict(temperature=0.2, strength=0.42, null=None, gate=(0.05, 0.45), through_gate=0, learning_rate=0.0015)
NO_SLOW = dict(lora=False, bias=False, learning_rate=0)
RECALL = dict(**NO_SLOW, through_gate=0, temperature=0.2, null=None, gate=(0.05, 0.45), strength=0.42)
SLOW = dict(kept=0, temperature=0.2)
OFFSET = dict(SLOW, lora=False, temperature=0.1)

VARIANTS = [
    ("default", "default", {}),
    ("default", "default before", OLD),
    *[("default with", f"default, strength {s}", {"strength": s}) for s in (0.2, 0.36, 0.45)],
    *[("offset", f"constant offset, rate {r}", {**OFFSET, "learning_rate": r}) for r in (0.001, 0.002, 0.004, 0.009)],
    *[("slow", f"LoRA + bias, rate {r}", {**SLOW, "learning_rate": r}) for r in (0.0008, 0.0015, 0.003, 0.0045)],
    *[("slow without bias", f"LoRA, rate {r}", {**SLOW, "bias": False, "learning_rate": r}) for r in (0.0015, 0.003)],
    *[("strength", f"recall, strength {s}", {**RECALL, "strength": s}) for s in (0.2, 0.3, 0.42, 0.6)],
    *[("gate", f"recall, gate from {low}", {**RECALL, "gate": (low, low + 0.4)}) for low in (-0.05, 0.15, 0.25)],
    *[("centred gate", f"recall, centred, gate from {low}", {**RECALL, "centred": 0, "gate": (low, low + 0.4)}) for low in (0.05, 0.2)],
    ("centred gate", "recall, centred, 4 axes out, gate from 0.05", {**RECALL, "centred": 4}),
    *[("null key", f"recall, null key {null}", {**RECALL, "gate": None, "null": null}) for null in (0.2, 0.3, 0.4, 0.5)],
    *[("background", f"recall, 100 documents as null keys, weight {w}", {**RECALL, "gate": (-0.05, 0.2), "background": 100, "background_weight": w}) for w in (0.1, 0.3, 1)],
    *[("sharpness", f"recall, sharpness {s}", {**RECALL, "sharpness": s}) for s in (8, 20)],
    *[("through the gate", f"recall, values learn at {r}", {**RECALL, "through_gate": r, "strength": 0.3}) for r in (0.02, 0.05, 0.1)],
    *[("temperature", f"recall, temperature {t}", {**RECALL, "temperature": t, "strength": 0.3}) for t in (0.05, 0.1, 0.5, 1)],
    *[("chosen gate", f"recall, gate on the chosen from {low}", {**RECALL, "target_gate": (low, low + 0.3)}) for low in (-0.1, 0, 0.1)],
    *[("agreement", f"recall, agreement to the power of {a}", {**RECALL, "agreement": a, "strength": 0.6}) for a in (0.5, 1)],
    *[("whitened values", f"recall, values whitened, ridge {w}", {**RECALL, "whiten": w}) for w in (0.03, 0.3)],
    *[("values without axes", f"recall, {k} axes out of values", {**RECALL, "strip_axes": k}) for k in (1, 16)],
    *[("soft labels", f"recall, soft labels {s}", {**RECALL, "soft_labels": s, "strength": 0.3}) for s in (6, 12)],
    ("length by error", "recall, length by error", {**RECALL, "by_error": True}),
    *[("key with chosen", f"recall, {m} of the chosen in the key", {**RECALL, "key_target": m}) for m in (0.3, 0.7)],
    ("int8", "recall, int8 keys and values", {**RECALL, "int8": True}),
    *[("merge", f"recall, merged from {m}", {**RECALL, "merge": m}) for m in (0.6, 0.8)],
    *[("norm cap", f"LoRA + bias, norm capped at {cap}", {**SLOW, "slow_cap": cap, "learning_rate": 0.003}) for cap in (0.1, 0.2)],
    ("shared gate", "default, slow behind recall's gate", {"slow_gate": True, "gate": (0.05, 0.45)}),
    *[("prototypes", f"8 prototypes, rate {r}", {**SLOW, "prototypes": 8, "learning_rate": r}) for r in (0.03, 0.1)],
    ("leaving", "default, 32 kept", {"kept": 32}),
    ("leaving", "default, 32 kept, what leaves consolidated", {"kept": 32, "leaving": 0.05, "learning_rate": 0}),
    *[("default with", f"default, rate {r}", {"learning_rate": r}) for r in (0.0008, 0.003)],
    *[("default with", f"default, sharpness {s}, strength {t}", {"sharpness": s, "strength": t}) for s, t in ((10, 0.36), (18, 0.25))],
    ("default with", "default, values as kept", {"through_gate": 0}),
    ("default with", "default, no slow weights", {**NO_SLOW, "strength": 0.32}),
]
