"""What every maker of golden files shares: the versions that it runs with, and the note beside its files."""

import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path


def pinned():
    """The versions of requirements.txt, by package."""
    lines = (Path(__file__).parent / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def check_versions():
    for package, version in pinned().items():
        found = importlib.metadata.version(package).split("+")[0]
        if found != version:
            sys.exit(f"{package} is {found}, not {version}: pip install -r scripts/goldens/requirements.txt")


def note(folder: Path, files, **more):
    """Writes made-by.json: the versions, and the hash of each file."""
    made_by = {
        "command": "npm run goldens",
        "versions": pinned(),
        **more,
        "sha256": {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }
    (folder / "made-by.json").write_text(json.dumps(made_by, indent=2) + "\n")
