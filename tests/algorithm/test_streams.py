import numpy as np
import pytest

from perilune.algorithm.streams import trajectory_seed, uniforms


def keys(*values):
    return np.array(values, dtype=np.uint64)


def test_seeds_are_what_they_were():
    assert trajectory_seed(0, "p", "g", 0) == 10802158970686355546
    assert trajectory_seed(7, "é", "g", 3) == 13271768590419663147


def test_numbers_are_what_they_were():
    numbers = uniforms(keys(0, 0, 1, 2**64 - 1), keys(0, 1, 0, 2**64 - 1))
    expected = [0.6524484863740322, 0.7012121095215252, 0.36818951565166946, 0.2668471864940366]
    assert numbers.tolist() == expected


def test_numbers_are_splitmix64_computed_with_python_integers():
    def finalise(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    golden = 0x9E3779B97F4A7C15
    # The first output of the published generator with seed 0.
    assert finalise(golden) == 0xE220A8397B1DCDAF
    for seed, position in [(0, 0), (123, 45), (2**63 + 1, 10**6)]:
        state = (finalise((seed + golden) % 2**64) + (position + 1) * golden) % 2**64
        assert uniforms(keys(seed), keys(position))[0] == (finalise(state) >> 11) / 2**53


def test_every_part_of_the_name_changes_the_seed():
    names = [(0, "p", "g", 0), (1, "p", "g", 0), (0, "q", "g", 0), (0, "p", "h", 0), (0, "p", "g", 1)]
    names += [(0, "pg", "", 0), (0, "", "pg", 0), (0, 'p","g', "", 0)]
    seeds = [trajectory_seed(*name) for name in names]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_a_number_does_not_depend_on_its_batch():
    rng = np.random.default_rng(0)
    seeds = rng.integers(0, 2**64, size=100, dtype=np.uint64)
    positions = rng.integers(0, 500, size=100, dtype=np.uint64)
    together = uniforms(seeds, positions)
    alone = [uniforms(seeds[i : i + 1], positions[i : i + 1])[0] for i in range(100)]
    assert together.tolist() == alone
    order = rng.permutation(100)
    assert uniforms(seeds[order], positions[order]).tolist() == together[order].tolist()


def chi_square(numbers, bins):
    counts = np.histogram(numbers, bins=bins, range=(0.0, 1.0))[0]
    expected = numbers.size / bins
    return float(((counts - expected) ** 2 / expected).sum())


def streams(seeds, length):
    grid = np.meshgrid(np.asarray(seeds, dtype=np.uint64), np.arange(length, dtype=np.uint64), indexing="ij")
    return uniforms(grid[0].ravel(), grid[1].ravel()).reshape(len(seeds), length)


@pytest.mark.parametrize("seeds", [range(200), [trajectory_seed(1, "p", "g", i) for i in range(200)]])
def test_numbers_are_uniform_within_and_across_streams(seeds):
    numbers = streams(seeds, 500)
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    # 99 degrees of freedom: beyond 149 lies 0.1 %.
    assert chi_square(numbers.ravel(), 100) < 149
    assert chi_square(numbers[:, 0], 10) < 27.9
    assert chi_square(numbers[0], 10) < 27.9


def test_neighbouring_positions_and_streams_do_not_correlate():
    numbers = streams(range(300), 300)
    # Standard error 1/sqrt(89,700) = 0.0033.
    assert abs(np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]) < 0.013
    assert abs(np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]) < 0.013


def test_the_largest_number_stays_below_one():
    # The float conversion is exact: 53 bits, so no rounding up to 1.
    assert float(np.uint64(2**53 - 1)) * 2.0**-53 < 1.0
    assert uniforms(keys(5), keys(2**64 - 1)).dtype == np.float64
