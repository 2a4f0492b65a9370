"""fastMRI with a U-Net: reconstructs a knee from a quarter of its k-space."""

from workloads.fastmri.workload import build as build
