"""Windows with known shapes, and tissue whose truth is known."""

import numpy as np
import pytest

from histo.space import Window


@pytest.fixture(scope="session")
def square():
    """1 x 1 mm."""
    return Window(np.ones((250, 250), bool), 4.0)


@pytest.fixture(scope="session")
def disc():
    """A disc of 1 mm across, in the middle of 260 x 260 pixels of 4 µm."""
    y, x = np.mgrid[:260, :260] + 0.5 - 130
    return Window(y**2 + x**2 <= 125**2, 4.0)


@pytest.fixture(scope="session")
def holed():
    """A ragged strip with many holes, beside the origin of the slide."""
    rng = np.random.default_rng(7)
    mask = np.zeros((220, 300), bool)
    mask[10:180, 15:280] = True
    mask[60:90, 200:] = False
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    for at in rng.uniform(0, 1, (25, 2)) * mask.shape:
        mask[np.hypot(y - at[0], x - at[1]) < rng.uniform(4, 14)] = False
    return Window(mask, 4.0, (1000.0, 500.0))


@pytest.fixture(scope="session")
def clustered():
    """Return a function that scatters clusters of cells, each with its own share of positives."""

    def scatter(seed, *, side_um=3000, clusters=60, cells=20, sigma_um=60, share=0.35, spread=4):
        rng = np.random.default_rng(seed)
        count = rng.poisson(clusters)
        centres = rng.uniform(0, side_um, (count, 2))
        own_share = rng.beta(share * spread, (1 - share) * spread, count)
        of = np.repeat(np.arange(count), rng.poisson(cells, count))
        points = (centres[of] + rng.normal(0, sigma_um, (of.size, 2))) % side_um
        return points, rng.random(of.size) < own_share[of]

    return scatter
