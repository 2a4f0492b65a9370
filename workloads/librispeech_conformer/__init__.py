"""LibriSpeech with a Conformer: transcribes read English speech."""

from workloads.librispeech_conformer.workload import build as build
