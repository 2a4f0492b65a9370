import numpy as np

from algoperf_jax.workload import Placement
from workloads import load
from workloads.fastmri import builtin
from workloads.fastmri.reconstruction import reconstruct


def test_slices_have_the_format_of_the_real_ones() -> None:
    volume = builtin.volume(320, "train", 0)
    assert len(volume) == builtin.SLICES_PER_VOLUME
    for example in volume:
        assert example.hybrid.shape == (320, 368)
        assert example.hybrid.dtype == np.complex64
        assert example.target.shape == (320, 320)
        assert example.target.dtype == np.float32
    assert volume[0].volume_max == max(example.target.max() for example in volume)


def test_the_target_is_the_reconstruction_from_all_columns() -> None:
    for size in (48, 60):
        example = builtin.volume(size, "train", 1)[3]
        found = reconstruct(example, np.ones(example.hybrid.shape[1], bool), (size, size))
        np.testing.assert_allclose(found.inputs, found.targets, rtol=0, atol=1e-4)


def test_volumes_differ_and_are_drawn_alike() -> None:
    draws = [builtin.volume(48, *which)[0].target for which in (("train", 0), ("train", 1), ("test", 0), ("train", 0))]
    np.testing.assert_array_equal(draws[0], draws[3])
    assert not np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_a_slice_has_no_symmetry_in_k_space() -> None:
    """The k-space of a real-valued image would have one, and half of its columns would determine the others."""
    spectrum = builtin.volume(48, "train", 0)[4].hybrid[:, 1:]
    assert np.abs(np.abs(spectrum) - np.abs(spectrum[:, ::-1])).mean() > 0.1 * np.abs(spectrum).mean()


def test_built_in_slices_are_read_without_drawing_all_of_them() -> None:
    source = builtin.GeneratedSlices(48, {"train": 10**9, "validation": 8, "test": 8})
    assert len(source.examples("train")) == 10**9
    assert source.examples("train").read(10**9 - 1).target.any()


def test_the_small_variant_is_named_and_sized_so() -> None:
    workload = load("fastmri_small")
    batch = workload.data.open("train", batch_size=2, seed=0, placement=Placement()).batch(0)
    assert batch["inputs"].shape == (2, 64, 64)
    assert workload.goal != load("fastmri").goal or workload.budget != load("fastmri").budget
