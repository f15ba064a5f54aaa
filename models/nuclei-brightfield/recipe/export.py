"""Turn a checkpoint into the model folder: ``python export.py CHECKPOINT``.

Writes weights.pt (the running average of the weights, batch normalisation kept, as float16)
and puts its SHA-256 into rdf.yaml.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parent.parent


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="checkpoint.pt or weights.pt of train.py")
    state = torch.load(parser.parse_args().checkpoint, weights_only=True)
    weights = state.get("average", state)
    half = {n: v.half() if v.dtype.is_floating_point else v for n, v in weights.items()}
    torch.save(half, FOLDER / "weights.pt")
    digest = hashlib.sha256((FOLDER / "weights.pt").read_bytes()).hexdigest()
    card = FOLDER / "rdf.yaml"
    text = card.read_text(encoding="utf-8")
    # Of the two hashes in the card (source code, weights) the weights' follows its file name.
    text = re.sub(r"(source: weights\.pt\n\s+sha256: )[0-9a-f]+", rf"\g<1>{digest}", text)
    card.write_text(text, encoding="utf-8")
    print(f"weights.pt, SHA-256 {digest}")


if __name__ == "__main__":
    main()
