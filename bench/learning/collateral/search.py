"""Gain against collateral of ways to learn from clicks, on the tuning groups: search.py FOLDER EMBEDDING RESULTS.json.

A prototype of `Personalizer` for many users at once (torch, float32), so that ideas can be compared before they are built.
FOLDER is what tasks.mjs and minilm.py wrote, EMBEDDING is static or minilm. Prints and writes, for each variant and kind
of user, the mean gain in MRR on unseen queries and the change of MRR on unrelated keywords in percent. Rows that RESULTS
holds already are not measured again.
"""

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from variants import VARIANTS, Variant

SHOWN = 50
UNRELATED = 300
KINDS = ("topics", "pairs")


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-9)


def dot_rows(matrix: Tensor, x: Tensor) -> Tensor:
    """[users, rows, n] and [users, n] to [users, rows]."""
    return torch.bmm(matrix, x[:, :, None])[:, :, 0]


@dataclass
class Users:
    """Users of one kind, padded to the longest."""

    queries: Tensor
    live: Tensor
    wanted: Tensor
    unseen: list
    unrelated: list


class World:
    """One embedding of the corpus, and its users."""

    def __init__(self, folder: Path, name: str):
        corpus = json.loads((folder / "corpus.json").read_text())
        self.relevant = [keyword["relevant"] for keyword in corpus["keywords"]]
        count = len(corpus["documents"])
        read = lambda part, rows: torch.from_numpy(np.fromfile(folder / f"{name}-{part}.f32", np.float32).reshape(rows, -1))
        self.name = name
        self.documents = unit(read("documents", count))
        self.keywords = unit(read("keywords", len(self.relevant)))
        self.n = self.documents.shape[1]
        spread = self.documents - self.documents.mean(0)
        _, self.singular, self.axes = torch.linalg.svd(spread, full_matrices=False)
        tasks = json.loads((folder / f"{name}-tasks.json").read_text())
        self.users = {kind: self.pad(users[::2]) for kind, users in tasks.items()}
        self.known_centres: dict = {}

    def pad(self, tasks: list) -> Users:
        shape = len(tasks), max(len(task["learning"]) for task in tasks)
        users = Users(
            torch.zeros(shape, dtype=torch.long),
            torch.zeros(shape, dtype=torch.bool),
            torch.zeros(*shape, len(self.documents), dtype=torch.bool),
            [],
            [],
        )
        for u, task in enumerate(tasks):
            for i, query in enumerate(task["learning"]):
                users.queries[u, i] = query["keyword"]
                users.live[u, i] = True
                users.wanted[u, i, query["wanted"]] = True
            users.unseen.append(self.tests([(query["keyword"], query["wanted"]) for query in task["unseen"]]))
            unrelated = task["unrelated"][:UNRELATED]
            users.unrelated.append(self.tests([(keyword, self.relevant[keyword]) for keyword in unrelated]))
        return users

    def tests(self, pairs: list) -> tuple[Tensor, Tensor]:
        wanted = torch.zeros(len(pairs), len(self.documents), dtype=torch.bool)
        for row, (_, documents) in enumerate(pairs):
            wanted[row, documents] = True
        return torch.tensor([keyword for keyword, _ in pairs]), wanted

    def mrr(self, y: Tensor, wanted: Tensor) -> float:
        scores = y @ self.documents.T
        best = scores.masked_fill(~wanted, -9).amax(1, keepdim=True)
        return (1 / (1 + (scores > best).sum(1)).float()).mean().item()

    def centred(self, axes: int) -> tuple[Tensor, Tensor]:
        """Keywords and documents without the documents' mean and first principal axes."""
        mean, top = self.documents.mean(0), self.axes[:axes]
        strip = lambda x: unit((x - mean) - (x - mean) @ top.T @ top)
        return strip(self.keywords), strip(self.documents)

    def centres(self, count: int) -> Tensor:
        """Spherical k-means of the keywords."""
        if count in self.known_centres:
            return self.known_centres[count]
        generator = torch.Generator().manual_seed(1)
        x = self.keywords
        rows = [int(torch.randint(len(x), (1,), generator=generator))]
        far = torch.full((len(x),), 4.0)
        while len(rows) < count:
            far = torch.minimum(far, (2 - 2 * x @ x[rows[-1]]).clamp_min(0))
            rows.append(int(torch.multinomial(far, 1, generator=generator)))
        centres = x[rows].clone()
        for _ in range(10):
            nearest = (x @ centres.T).argmax(1)
            for c in range(count):
                if (nearest == c).any():
                    centres[c] = unit(x[nearest == c].mean(0))
        self.known_centres[count] = centres
        return centres


class Learners:
    """What each of `users` users has learned, by one variant."""

    def __init__(self, world: World, v: Variant, users: int):
        self.world, self.v, self.count = world, v, users
        n, kept = world.n, max(1, v.kept)
        self.routed, self.routed_documents = (
            (world.keywords, world.documents) if v.centred is None else world.centred(v.centred)
        )
        self.keys = torch.zeros(users, kept, n)
        self.targets = torch.zeros(users, kept, n)
        self.values = torch.zeros(users, kept, n)
        self.used = torch.zeros(users, kept, dtype=torch.bool)
        self.next = torch.zeros(users, dtype=torch.long)
        a = world.centres(v.rank)
        a = a / ((world.keywords @ a.T) ** 2).sum(1).mean().sqrt()
        self.a = (a if v.lora else 0 * a).repeat(users, 1, 1)
        self.b = torch.zeros_like(self.a)
        self.bias = torch.zeros(users, n)
        self.prototypes = world.centres(v.prototypes) if v.prototypes else None
        self.offsets = torch.zeros(users, max(1, v.prototypes), n)
        drawn = torch.randperm(len(world.documents), generator=torch.Generator().manual_seed(5))
        self.background = self.routed_documents[drawn[: v.background]]

    def route(self, keywords: Tensor, who: Tensor) -> tuple[Tensor, Tensor]:
        """[users, queries] keywords to the weight of each kept click, and the part that they take of the whole."""
        v = self.v
        x = self.routed[keywords]
        s = torch.bmm(x, self.keys[who].transpose(1, 2)).masked_fill(~self.used[who][:, None], -9)
        weight = torch.exp(v.sharpness * (s - 1))
        own = weight.sum(2, keepdim=True)
        nothing = torch.full_like(own, np.exp(v.sharpness * (v.null - 1)) if v.null is not None else 1e-30)
        if v.background:
            nothing += v.background_weight * torch.exp(v.sharpness * (x @ self.background.T - 1)).sum(2, keepdim=True)
        gate = own / (own + nothing)
        if v.gate is not None:
            low, high = v.gate
            gate = gate * ((s.amax(2, keepdim=True) - low) / (high - low)).clamp(0, 1)
        weight = weight / own.clamp_min(1e-30) * gate
        if v.target_gate is not None:
            low, high = v.target_gate
            near = torch.bmm(x, self.targets[who].transpose(1, 2))
            weight = weight * ((near - low) / (high - low)).clamp(0, 1)
        return weight, gate

    def delta(self, keywords: Tensor, who: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v, x = self.v, self.world.keywords[keywords]
        weight, gate = self.route(keywords, who)
        recalled = torch.bmm(weight, self.values[who])
        if v.agreement:
            alike = recalled.norm(dim=2, keepdim=True) / (v.strength * weight.sum(2, keepdim=True)).clamp_min(1e-9)
            recalled = recalled * alike**v.agreement
        slow = v.scaling * torch.bmm(torch.bmm(x, self.a[who].transpose(1, 2)), self.b[who]) + self.bias[who][:, None]
        if self.prototypes is not None:
            slow = slow + torch.bmm(self.prototype_weights(x), self.offsets[who])
        if v.slow_cap is not None:
            slow = slow * (v.slow_cap / slow.norm(dim=2, keepdim=True).clamp_min(1e-9)).clamp_max(1)
        if v.slow_gate:
            slow = slow * gate
        return recalled + slow, weight, gate

    def prototype_weights(self, x: Tensor) -> Tensor:
        return torch.softmax(self.v.prototype_sharpness * (x @ self.prototypes.T), -1)

    def learn(self, keywords: Tensor, wanted: Tensor, live: Tensor) -> None:
        """One search and at most one click of each user."""
        v, world, everyone = self.v, self.world, torch.arange(self.count)
        x = world.keywords[keywords]
        delta, weight, gate = self.delta(keywords[:, None], everyone)
        y = x + delta[:, 0]
        shown = (y @ world.documents.T).topk(SHOWN, 1)
        clickable = wanted.gather(1, shown.indices)
        clicked = clickable.any(1) & live
        chosen = clickable.float().argmax(1)
        documents = world.documents[shown.indices]
        length = y.norm(dim=1, keepdim=True)
        p = torch.softmax(shown.values / length / v.temperature, 1)
        labels = torch.zeros_like(p).scatter_(1, chosen[:, None], 1.0)
        if v.soft_labels:
            likeness = dot_rows(documents, documents[everyone, chosen])
            labels = torch.softmax(v.soft_labels * likeness, 1)
        h = torch.bmm((p - labels)[:, None], documents)[:, 0]
        g = (h - (h * unit(y)).sum(1, keepdim=True) * unit(y)) / length / v.temperature * clicked[:, None]
        self.learn_slowly(x, g * gate[:, 0] if v.slow_gate else g)
        if v.kept:
            if v.through_gate:
                self.values -= v.through_gate * weight[:, 0, :, None] * g[:, None]
                self.values *= (v.strength / self.values.norm(dim=2, keepdim=True).clamp_min(1e-9)).clamp_max(1)
            self.keep(keywords, g, world.documents[shown.indices[everyone, chosen]], clicked, 1 - p[everyone, chosen])

    def learn_slowly(self, x: Tensor, g: Tensor) -> None:
        v = self.v
        rate = v.learning_rate
        if self.prototypes is not None:
            self.offsets -= rate * self.prototype_weights(x)[:, :, None] * g[:, None]
            return
        step_b = v.scaling * dot_rows(self.a, x)[:, :, None] * g[:, None]
        step_a = v.scaling * dot_rows(self.b, g)[:, :, None] * x[:, None]
        if v.lora:
            self.b -= rate * step_b
            self.a -= rate * step_a
        if v.bias:
            self.bias -= rate * g

    def keep(self, keywords: Tensor, g: Tensor, targets: Tensor, clicked: Tensor, error: Tensor) -> None:
        v, world = self.v, self.world
        if v.leaving:
            rows = torch.arange(self.count), self.next
            old = self.used[rows] & clicked
            u = dot_rows(self.a, self.keys[rows])
            self.b += v.leaving * u[:, :, None] * (self.values[rows] * old[:, None])[:, None]
        direction = g
        if v.whiten is not None:
            variance = self.world.singular**2
            direction = ((g @ world.axes.T) / (variance + v.whiten * variance[0])) @ world.axes
        if v.strip_axes:
            top = world.axes[: v.strip_axes]
            direction = g - g @ top.T @ top
        length = v.strength * (error[:, None] if v.by_error else 1)
        values = -length * unit(direction)
        keys = unit(self.routed[keywords] + v.key_target * targets)
        if v.int8:
            values, keys = quantised(values), quantised(keys)
        who = clicked.nonzero()[:, 0]
        at = self.next[who]
        self.keys[who, at], self.values[who, at], self.targets[who, at] = keys[who], values[who], targets[who]
        self.used[who, at] = True
        self.next[who] = (at + 1) % v.kept
        if v.merge is not None:
            self.merge_into_nearest(who, at)

    def merge_into_nearest(self, who: Tensor, at: Tensor) -> None:
        s = dot_rows(self.keys[who], self.keys[who, at]).masked_fill(~self.used[who], -9)
        s[torch.arange(len(who)), at] = -9
        nearest, row = s.max(1)
        near = nearest > self.v.merge
        who, row, at = who[near], row[near], at[near]
        self.keys[who, row] = unit(self.keys[who, row] + self.keys[who, at])
        self.values[who, row] = (self.values[who, row] + self.values[who, at]) / 2
        self.used[who, at] = False
        self.next[who] = at


def quantised(rows: Tensor) -> Tensor:
    step = rows.abs().amax(1, keepdim=True).clamp_min(1e-9) / 127
    return (rows / step).round() * step


def measure(world: World, variant: Variant, kind: str) -> dict:
    users = world.users[kind]
    count, clicks = users.queries.shape
    learners = Learners(world, variant, count)
    for t in range(clicks):
        learners.learn(users.queries[:, t], users.wanted[:, t], users.live[:, t])
    gains, before, after = [], [], []
    for u in range(count):
        who = torch.tensor([u])
        score = lambda tests, learned: world.mrr(
            world.keywords[tests[0]] + (learners.delta(tests[0][None], who)[0][0] if learned else 0), tests[1]
        )
        gains.append(score(users.unseen[u], True) - score(users.unseen[u], False))
        before.append(score(users.unrelated[u], False))
        after.append(score(users.unrelated[u], True))
    return {"gain": round(float(np.mean(gains)), 4), "unrelated": round(100 * (np.mean(after) / np.mean(before) - 1), 2)}


def main() -> None:
    folder, name, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    world = World(folder, name)
    rows = json.loads(out.read_text()) if out.exists() else []
    for idea, label, changes in VARIANTS:
        variant = replace(Variant(), **changes)
        if any(row["label"] == label and row["settings"] == json.loads(json.dumps(asdict(variant))) for row in rows):
            continue
        figures = {kind: measure(world, variant, kind) for kind in KINDS}
        rows.append({"idea": idea, "label": label, **figures, "settings": asdict(variant)})
        print(f"{label:48s}", *[f"{f['gain']:+.4f} {f['unrelated']:+.2f} %" for f in figures.values()], sep=" | ", flush=True)
        out.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
